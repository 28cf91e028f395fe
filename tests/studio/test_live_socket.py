"""Films as jobs, and live pictures over the WebSocket, without a browser."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import socket
import ssl
import time

import av
import clips
import httpx
import numpy as np
import pytest
from PIL import Image
from studio_server import png, running, served
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from impasto.live.sinks import StudioSink, open_sink
from impasto.settings.recipe import Recipe
from impasto.studio.jobs.models import FilmSettings
from impasto.studio.server.routes import live
from impasto.studio.server.settings import Settings
from impasto.studio.workers.live_worker import LiveSession
from impasto.studio.workers.protocol import LiveSettings

STYLE = "violet-spots"


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with running(tmp_path_factory.mktemp("studio") / "data") as studio:
        yield studio


@pytest.fixture
def open_socket(studio):
    address = studio.address.replace("http", "ws") + "/v1/live"

    def open_socket(**options):
        return connect(address, open_timeout=20, **options)

    return open_socket


def test_pictures_come_back_painted(open_socket, photo_image, painting_image):
    import base64

    with open_socket() as socket:
        socket.send(json.dumps({"style": STYLE, "rate": 30}))
        assert json.loads(socket.recv(60)) == {"ready": True, "method": "instant"}
        socket.send(png(photo_image))
        first = Image.open(io.BytesIO(socket.recv(60)))
        assert (first.format, first.size) == ("JPEG", photo_image.size)
        socket.send(json.dumps({"painting": base64.b64encode(png(painting_image)).decode()}))
        assert json.loads(socket.recv(60)) == {"ready": True, "method": "instant"}
        socket.send(png(photo_image))
        second = Image.open(io.BytesIO(socket.recv(60)))
        assert first.tobytes() != second.tobytes()


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ({"style": "/etc/passwd"}, "there is no style"),
        ({"style": ["x"]}, "there is no style"),
        ({"strength": 1}, "choose a style first"),
        ({"style": STYLE, "strength": 101}, "strength is a number from 0 to 100"),
        ({"style": STYLE, "strokes": "x"}, "strokes is a number"),
        ({"painting": "%%%"}, "a picture in base64"),
        ({"painting": "aGVsbG8="}, "isn't an image of a known type"),
        (b"no picture", "choose a style first"),
    ],
)
def test_what_makes_no_sense_gets_a_sentence(message, sentence, open_socket):
    with open_socket() as socket:
        socket.send(message if isinstance(message, bytes) else json.dumps(message))
        assert sentence in json.loads(socket.recv(60))["error"]
        socket.send(json.dumps({"style": STYLE}))  # and the session goes on
        assert json.loads(socket.recv(60)) == {"ready": True, "method": "instant"}


def test_broken_pictures(open_socket, photo_image):
    with open_socket() as socket:
        socket.send(json.dumps({"style": STYLE}))
        socket.recv(60)
        for broken in (b"", b"\xff\xd8\xff\xe0 half a JPEG", png(photo_image.resize((20, 20)))):
            socket.send(broken)
            answer = json.loads(socket.recv(60))
            assert answer["picture"] is True
            assert "picture" in answer["error"]


@pytest.mark.parametrize("message", ["[]", "{", "[" * 5000, "null", r'{"style": "\ud800"}'])
def test_who_doesnt_keep_to_the_protocol_is_sent_away(message, open_socket):
    with open_socket() as socket:
        socket.send(message)
        assert "JSON object" in json.loads(socket.recv(60))["error"]
        with pytest.raises(ConnectionClosed):
            socket.recv(10)


def flood(socket, picture: bytes) -> None:
    for _ in range(50):
        socket.send(picture)
    while True:
        socket.recv(10)


def test_a_flood_is_sent_away(open_socket, photo_image):
    with open_socket() as socket:
        socket.send(json.dumps({"style": STYLE}))
        socket.recv(60)
        with pytest.raises(ConnectionClosed):
            flood(socket, png(photo_image.resize((32, 32))))


def test_only_so_many_at_once(open_socket):
    with contextlib.ExitStack() as sockets:
        ready, deadline = 0, time.monotonic() + 30
        while ready < live.MAX_SESSIONS:
            socket = sockets.enter_context(open_socket())
            socket.send(json.dumps({"style": STYLE}))
            ready += "ready" in json.loads(socket.recv(60))  # others may still be leaving
            assert time.monotonic() < deadline
        with open_socket() as another:
            assert "others are live" in json.loads(another.recv(10))["error"]


def test_sockets_are_guarded(tmp_path):
    def status(address: str, **options) -> int:
        address = address.replace("http", "ws") + "/v1/live"
        with pytest.raises(InvalidStatus) as refused, connect(address, **options):
            pass
        return refused.value.response.status_code

    with served(Settings(tmp_path, workers=0, token="open-sesame")) as address:
        assert status(address) == 403
        assert status(address, additional_headers={"Authorization": "Bearer wrong"}) == 403
        right = {"Authorization": "Bearer open-sesame"}
        assert status(address, additional_headers=right, origin="http://evil.example") == 403
        with connect(f"{address.replace('http', 'ws')}/v1/live", additional_headers=right):
            pass


def test_a_session_ends_with_its_client(studio, open_socket):
    with open_socket() as socket:
        socket.send(json.dumps({"style": STYLE}))
        socket.recv(60)
        assert len(studio.workers()) == 2
    deadline = time.monotonic() + 10
    while len(studio.workers()) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def send(studio, path, **data) -> httpx.Response:
    with path.open("rb") as file:
        return studio.client.post("/v1/films", files={"film": (path.name, file)}, data=data)


def test_a_film_is_a_job(studio, clip, tmp_path):
    answer = send(studio, clip, styles=STYLE, settings=json.dumps({"end": 0.6, "size": 96}))
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["kind"], job["name"]) == ("film", "clip_violet-spots")
    assert studio.client.get(f"/v1/jobs/{job['id']}/result").status_code == 409
    done = studio.wait(job["id"], "done")
    assert (done["step"], done["result"]) == (15, {"width": 96, "height": 58})
    made = studio.client.get(f"/v1/jobs/{job['id']}/result?download=true")
    assert made.headers["content-type"] == "video/mp4"
    assert 'filename="clip_violet-spots.mp4"' in made.headers["content-disposition"]
    (tmp_path / "made.mp4").write_bytes(made.content)
    with av.open(str(tmp_path / "made.mp4")) as film:
        assert film.streams.audio
        assert len(list(film.decode(video=0))) == 15
    part = studio.client.get(f"/v1/jobs/{job['id']}/result", headers={"Range": "bytes=0-99"})
    assert (part.status_code, len(part.content)) == (206, 100)  # players jump about in it
    assert studio.client.get(f"/v1/jobs/{job['id']}/preview").status_code == 200
    again = studio.client.post(f"/v1/jobs/{job['id']}/continue", json={})
    assert "from the beginning" in again.json()["detail"]
    assert studio.client.delete(f"/v1/jobs/{job['id']}").status_code == 204


def test_a_film_is_stopped_and_outlives_its_worker(studio, frames, tmp_path):
    long = clips.write(tmp_path / "long.mp4", frames * 30)
    job = send(studio, long, styles=STYLE).json()
    studio.wait(job["id"], "running", step=130)
    studio.workers()[0].kill()
    done = studio.wait(job["id"], "done")
    assert done["step"] == 720
    again = send(studio, long, styles=STYLE).json()
    studio.wait(again["id"], "running", step=20)
    assert studio.client.post(f"/v1/jobs/{again['id']}/stop").status_code == 202
    stopped = studio.wait(again["id"], "stopped")
    assert 20 <= stopped["step"] < 720
    assert studio.client.get(f"/v1/jobs/{again['id']}/result").status_code == 200
    assert not list(studio.data.rglob("*.part*"))


@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        ({}, 422, "one to 4 styles"),
        ({"styles": "none"}, 422, "there is no style"),
        ({"styles": STYLE, "settings": "{"}, 422, "aren't JSON"),
        ({"styles": STYLE, "settings": "[" * 100_000}, 422, "aren't JSON"),
        ({"styles": STYLE, "settings": '{"codec": "x"}'}, 422, "codec"),
        ({"styles": STYLE, "settings": '{"stability": 2}'}, 422, "stability"),
        ({"styles": STYLE, "settings": '{"style_scale": 8.5}'}, 422, "style_scale"),
        ({"styles": STYLE, "settings": '{"start": 5, "end": 2}'}, 422, "end after its start"),
        ({"styles": STYLE, "other": "1"}, 422, "there is no field"),
    ],
)
def test_bad_films_get_one_sentence(data, status, sentence, studio, clip):
    answer = send(studio, clip, **data)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert sentence in answer.json()["detail"]


def test_a_film_that_is_none_fails_with_a_sentence(studio, tmp_path):
    (tmp_path / "words.mp4").write_text("no film " * 50)
    job = send(studio, tmp_path / "words.mp4", styles=STYLE).json()
    studio.wait(job["id"], "failed")
    assert studio.get(job["id"])["error"].startswith("words.mp4 isn't a film")
    missing = studio.client.post("/v1/films", data={"styles": STYLE}, files={"x": b""})
    assert missing.status_code == 422


def test_the_command_line_shows_its_pictures_on_the_page(studio, clip):
    sink = open_sink(f"studio:{studio.address}/", 25)
    sink.show(clips.photo(96, 64), time.monotonic())
    with studio.client.stream("GET", "/v1/live/shown", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
        seen = b""
        for number, part in enumerate(answer.iter_bytes()):
            seen += part
            if seen.count(b"image/jpeg") >= 3:
                break
            sink.show(clips.photo(96, 64, number % 5), time.monotonic())
    sink.close()
    assert seen.count(b"image/jpeg") >= 3


def test_a_picture_of_many_bytes_is_shrunk_for_the_studio(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (2160, 3840, 3), np.uint8)
    with served(Settings(tmp_path, workers=0)) as address:
        sink = open_sink(f"studio:{address}", 25)
        sink.show(noise, time.monotonic())
        with httpx.stream("GET", f"{address}/v1/live/shown", timeout=20) as answer:
            seen = b""
            for part in answer.iter_bytes():
                seen += part
                head, _, picture = seen.partition(b"\r\n\r\n")
                length = int(head.rpartition(b"Content-Length: ")[2] or 0)
                if picture and len(picture) >= length:
                    break
        sink.close()
    width, height = Image.open(io.BytesIO(picture[:length])).size
    assert length <= 1_000_000
    assert 1000 < width < 3840
    assert width / height == pytest.approx(16 / 9, abs=0.01)


def test_a_studio_that_refuses_is_told_once(tmp_path):
    with served(Settings(tmp_path, workers=0, token="open-sesame")) as address:
        sink = open_sink(f"studio:{address}/?token=open-sesame", 25)
        assert isinstance(sink, StudioSink)
        right = sink.client.headers["Authorization"]
        sink.client.headers["Authorization"] = "Bearer another"
        deadline = time.monotonic() + 20
        while "is back" not in " ".join(sink.messages):
            sink.show(clips.photo(96, 64), time.monotonic())
            time.sleep(0.05)
            if time.monotonic() > deadline - 17.5:
                sink.client.headers["Authorization"] = right
            assert time.monotonic() < deadline, sink.messages
        sink.close()
    refused = "the studio refuses the pictures (401 Unauthorized); trying again"
    assert list(sink.messages) == [refused, "the studio is back"]


def test_another_rate_builds_no_other_painter():
    session = LiveSession()
    session.apply(LiveSettings(style=STYLE))
    painter = session.stylist.painter
    session.apply(LiveSettings(rate=20))
    assert (session.stylist.rate, session.stylist.painter) == (20, painter)
    session.apply(LiveSettings(strength=0.5))
    assert session.stylist.painter is not painter


def test_only_jpegs_are_shown(studio):
    refused = studio.client.post("/v1/live/shown", content=b"<svg/>")
    assert refused.status_code == 415
    host, port = studio.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:  # told before it's sent
        head = f"POST /v1/live/shown HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2000000\r\n\r\n"
        client.sendall(head.encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_no_studio_no_sink(impasto, clip):
    said = impasto("live", clip, "studio:http://127.0.0.1:9", "--style", STYLE).sentence()
    assert "there is no studio at" in said


def test_ctrl_c_twice_while_a_client_is_closing(tmp_path):
    """One that has said that it closes, and doesn't: encrypted, that takes two to do."""
    believing = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    believing.check_hostname, believing.verify_mode = False, ssl.CERT_NONE
    with running(tmp_path / "data", "--https") as studio:
        host, port = studio.address.removeprefix("https://").split(":")
        plain = socket.create_connection((host, int(port)))
        with believing.wrap_socket(plain, suppress_ragged_eofs=True) as client:
            client.sendall(
                f"GET /v1/live HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n".encode()
            )
            assert b" 101 " in client.recv(4096)
            client.sendall(b"\x88\x80\0\0\0\0")  # close, masked
            time.sleep(0.5)
            studio.process.send_signal(signal.SIGINT)
            time.sleep(0.2)
            assert studio.end() == 0
        assert b"Traceback" not in b"".join(studio.errors)
        assert b"bug" not in b"".join(studio.errors)


def test_the_bounds_of_a_film_are_those_of_a_recipe():
    """What is accepted here must not fail later, in the worker."""
    settings = FilmSettings.model_json_schema()["properties"]
    recipe = Recipe.model_json_schema()["properties"]
    for name in ("strength", "style_scale", "size"):
        (bounds,) = (kind for kind in settings[name]["anyOf"] if "minimum" in kind)
        assert bounds["minimum"] >= recipe[name]["minimum"]
        assert bounds["maximum"] <= recipe[name]["maximum"]
