"""Who may ask, and how much: the application in this process, on loopback, without workers."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from studio_server import png, served

from impasto.base.errors import RecipeError
from impasto.images.limits import Limits
from impasto.studio.jobs.image_uploads import PixelBudget
from impasto.studio.server.settings import Settings

TOKEN = "open-sesame"
LIMITS = Limits(max_megabytes=0.5, max_megapixels=1)


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    settings = Settings(
        tmp_path_factory.mktemp("open"), workers=0, queue=1000, limits=LIMITS, idle_seconds=0.5
    )
    with served(settings) as address:
        yield address


@pytest.fixture(scope="module")
def locked(tmp_path_factory) -> Iterator[str]:
    with served(Settings(tmp_path_factory.mktemp("locked"), workers=0, token=TOKEN)) as address:
        yield address


@pytest.fixture
def files(photo_image, painting_image) -> dict:
    return {"content": ("photo.png", png(photo_image)), "styles": png(painting_image)}


def problem(answer: httpx.Response, status: int) -> str:
    """The one sentence of an error."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == status
    assert "\n" not in found["detail"]
    return found["detail"]


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("evil.example", "isn't known by that name; start it with --name evil.example"),
        ("Studio:8765", "start it with --name studio"),
        ("127.0.0.1.evil.example:80", "isn't known by that name"),
        ("localhost..", "isn't known by that name"),
        ("[::1", "isn't the name of a host"),
        ("", "isn't the name of a host"),
        ("@", "isn't the name of a host"),
        (b"\xff", "isn't the name of a host"),
    ],
)
def test_only_its_own_names(host, sentence, address):
    assert sentence in problem(httpx.get(f"{address}/v1/health", headers={"Host": host}), 400)


@pytest.mark.parametrize("host", ["localhost:1", "LocalHost", "localhost.", "localhost.:1"])
def test_a_name_is_compared_as_names_are(host, address):
    assert httpx.get(f"{address}/v1/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("name", ["Studio.Example", "bücher.example", "xn--bcher-kva.example."])
def test_names_that_it_is_given(name):
    settings = Settings(Path(), names=(name,))
    for host in (name, name.upper(), name.encode("idna").decode(), f"{name.removesuffix('.')}."):
        assert settings.knows_host(host)
    assert not settings.knows_host("example")


@pytest.mark.parametrize("name", ["", "http://studio.example", "studio.example:80", "a b"])
def test_what_is_no_name(name):
    with pytest.raises(RecipeError, match="as in studio.example"):
        Settings(Path(), names=(name,))


def test_a_name_in_utf_8(tmp_path):
    with served(Settings(tmp_path, workers=0, names=("bücher.example",))) as address:
        for host in ("bücher.example:80".encode(), b"xn--bcher-kva.example"):
            answer = httpx.get(f"{address}/v1/health", headers={b"Host": host})
            assert answer.status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 404),
        ({}, 404),
    ],
)
def test_other_sites_change_nothing(headers, status, address):
    for method, path in (("POST", "stop"), ("DELETE", "")):
        answer = httpx.request(method, f"{address}/v1/jobs/x/{path}".rstrip("/"), headers=headers)
        problem(answer, status)
    own = {"Origin": address}
    assert httpx.post(f"{address}/v1/jobs/x/stop", headers=own).status_code == 404


def test_the_scheme_counts_where_it_is_known(address):
    def post(host: str, origin: str, **more: str) -> int:
        headers = {"Host": host, "Origin": origin, **more}
        return httpx.post(f"{address}/v1/jobs/x/stop", headers=headers).status_code

    own = address.removeprefix("http://")
    assert post(own, f"http://{own}") == 404
    assert post(own, f"https://{own}") == 403
    assert post("localhost", "http://localhost") == 404
    assert post("localhost", "https://localhost") == 404  # a proxy's, as far as anyone knows
    proxied = {"X-Forwarded-Proto": "https"}
    assert post("localhost", "https://localhost", **proxied) == 404
    assert post("localhost", "http://localhost", **proxied) == 403


def test_no_cors(address):
    answer = httpx.get(f"{address}/v1/health", headers={"Origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_every_answer_is_guarded(address):
    for path in ("/", "/v1/health", "/nothing", "/page/studio.css"):
        headers = httpx.get(f"{address}{path}").headers
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy


def test_the_token(locked):
    assert "needs its token" in problem(httpx.get(f"{locked}/v1/jobs"), 401)
    problem(httpx.get(f"{locked}/"), 401)
    asked = httpx.get(f"{locked}/", headers={"Accept": "text/html,*/*"})
    assert (asked.status_code, 'name="token"' in asked.text) == (401, True)
    problem(httpx.get(f"{locked}/?token=wrong"), 401)
    problem(httpx.get(f"{locked}/v1/jobs?token={TOKEN}"), 401)  # only the page's address has it
    for right in (f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN}"):
        answer = httpx.get(f"{locked}/v1/jobs", headers={"Authorization": right})
        assert answer.status_code == 200
    for wrong in (TOKEN, f"Basic {TOKEN}", f"Bearer{TOKEN}", "Bearer", "Bearer wrong"):
        problem(httpx.get(f"{locked}/v1/jobs", headers={"Authorization": wrong}), 401)
    with httpx.Client() as browser:
        first = browser.get(f"{locked}/?token={TOKEN}")
        assert first.status_code == 303
        cookie = first.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert browser.get(f"{locked}/v1/jobs").status_code == 200


def test_uploads_are_limited_before_they_are_kept(address, files, photo_image):
    def post(**changed) -> httpx.Response:
        return httpx.post(f"{address}/v1/jobs", files={**files, **changed})

    assert "the limit for a file" in problem(post(content=bytes(600_000)), 413)
    assert "megapixels" in problem(post(content=bomb(50_000, 50_000)), 413)
    assert "isn't an image of a known type" in problem(post(content=b"<svg/>"), 415)
    assert "isn't an image of a known type" in problem(post(content=b"%!PS-Adobe-3.0 EPSF"), 415)
    assert "is empty" in problem(post(content=("a.png", b"")), 415)
    small = png(photo_image.resize((10, 10)))
    assert "need at least 32 px" in problem(post(content=small), 422)
    whole = httpx.post(f"{address}/v1/jobs", content=bytes(5_000_000))
    assert "the limit for a request" in problem(whole, 413)


def test_the_pictures_of_a_form_are_counted_together(address, photo_image):
    def post(*pictures: bytes) -> httpx.Response:
        files = [("styles", (f"{number}.png", data)) for number, data in enumerate(pictures)]
        files.append(("content", ("photo.png", png(photo_image))))
        return httpx.post(f"{address}/v1/jobs", files=files)

    large = bomb(990, 1000)  # 1 megapixel is the limit for one
    assert post(large, large).status_code == 202
    sentence = problem(post(large, large, bomb(200, 100)), 413)
    assert "with 2.png the pictures of this form have 2.006 megapixels" in sentence


def test_a_small_memory_lowers_the_limit_of_a_form(monkeypatch):
    monkeypatch.setattr("impasto.studio.jobs.image_uploads.total_memory", lambda: 8_000_000_000)
    assert PixelBudget(Limits(max_megapixels=100)).megapixels == 166
    assert PixelBudget(Limits(max_megapixels=50)).megapixels == 100


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that would be gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1_000_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def test_a_body_without_a_length_is_counted(address):
    def endless():
        yield b'--x\r\nContent-Disposition: form-data; name="content"; filename="a"\r\n\r\n'
        for _ in range(200):
            yield bytes(50_000)

    try:
        answer = httpx.post(f"{address}/v1/jobs", content=endless(), headers=FORM_HEADER)
    except (httpx.WriteError, httpx.RemoteProtocolError):
        return  # the connection was closed on us
    problem(answer, 413)


JSON_HEADER = {"Content-Type": "application/json"}
FORM_HEADER = {"Content-Type": "multipart/form-data; boundary=x"}


def test_a_slow_upload_is_cut_off(address):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(
            f"POST /v1/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode()
        )
        started = time.monotonic()
        answer = line.recv(1000)
        assert b" 408 " in answer.splitlines()[0]
        assert time.monotonic() - started > 0.4


@pytest.mark.parametrize(
    ("form", "status", "sentence"),
    [
        ({"recipe": "{"}, 422, "isn't JSON"),
        ({"recipe": "[1]"}, 422, "should be a JSON object"),
        ({"recipe": "[" * 100_000}, 422, "nested too deeply"),
        ({"recipe": '{"preset": []}'}, 422, "there is no preset"),
        ({"recipe": '{"preset": {"a": 1}}'}, 422, "there is no preset"),
        ({"recipe": '{"size": 3}'}, 422, "size should be at least 32"),
        ({"recipe": '{"sise": 300}'}, 422, "did you mean 'size'"),
        ({"recipe": '{"mask": "/etc/passwd"}'}, 422, "mask can't name a file here"),
        ({"recipe": '{"region": {"/etc/passwd": "/etc/passwd"}}'}, 422, "region can't name"),
        ({"recipe": '{"init": "/etc/passwd"}'}, 422, "init is one of"),
        ({"recipe": '{"preset": "/etc/passwd.toml"}'}, 422, "there is no preset"),
        ({"recipe": '{"weights": "/etc/passwd"}'}, 422, "there is no weights file"),
        ({"recipe": '{"device": "cpu:"}'}, 422, "there is no device 'cpu:'"),
        ({"styles": "../../etc/passwd"}, 422, "there is no style"),
        ({"styles": "starry-swirl", "recipe": '{"preset": "studio"}'}, 422, "is a style of"),
        ({"styles": ["harvest"] * 5}, 422, "one to 4 styles"),
        ({"weights": "1,2,3", "styles": "harvest"}, 422, "there should be"),
        ({"weights": "nan"}, 422, "weights should be numbers"),
        ({"mask": "text"}, 422, "should be a file"),
        ({"other": "1"}, 422, "there is no field"),
    ],
)
def test_bad_forms_get_one_sentence(form, status, sentence, address, files):
    if "styles" in form:
        files = {"content": files["content"]}
    answer = httpx.post(f"{address}/v1/jobs", files=files, data=form)
    assert sentence in problem(answer, status)


def test_bad_requests_get_one_sentence(address, files):
    problem(httpx.post(f"{address}/v1/jobs", json={}), 415)
    problem(httpx.post(f"{address}/v1/jobs", content=b"??", headers=FORM_HEADER), 400)
    problem(httpx.post(f"{address}/v1/jobs", files={"styles": files["styles"]}), 422)
    problem(httpx.post(f"{address}/v1/estimate", json={"width": -1, "height": 1}), 422)
    problem(httpx.get(f"{address}/v1/jobs/nothing"), 404)
    problem(httpx.get(f"{address}/v1/jobs/..%2f..%2fetc/preview"), 404)
    problem(httpx.get(f"{address}/page/..%2f..%2fapp.py"), 404)
    problem(httpx.get(f"{address}/nothing"), 404)
    problem(httpx.put(f"{address}/v1/jobs"), 405)
    queued = httpx.post(f"{address}/v1/jobs", files=files).json()["id"]
    problem(httpx.post(f"{address}/v1/jobs/{queued}/stop"), 409)
    problem(httpx.get(f"{address}/v1/jobs/{queued}/result"), 409)
    problem(httpx.get(f"{address}/v1/jobs/{queued}/result?format=bmp"), 422)
    problem(httpx.get(f"{address}/v1/jobs/{queued}/preview"), 404)
    problem(httpx.post(f"{address}/v1/jobs/{queued}/continue", json={"steps": 1}), 409)
    assert httpx.delete(f"{address}/v1/jobs/{queued}").status_code == 204


def test_a_recipe_may_be_a_file(address, files):
    def post(recipe: bytes) -> httpx.Response:
        return httpx.post(f"{address}/v1/jobs", files={**files, "recipe": ("r.json", recipe)})

    job = post(b'{"size": 77}').json()
    assert job["recipe"]["size"] == 77
    assert "isn't JSON" in problem(post(b"\xff"), 422)


def test_strange_numbers(address, files):
    queued = httpx.post(f"{address}/v1/jobs", files=files).json()["id"]
    problem(httpx.get(f"{address}/v1/jobs/{queued}/styles/{'1' * 300}"), 422)
    problem(httpx.get(f"{address}/v1/styles/{'1' * 300}/thumbnail"), 404)
    assert httpx.delete(f"{address}/v1/jobs/{queued}").status_code == 204


def test_a_body_that_is_no_form_is_small(address):
    with contextlib.suppress(httpx.TransportError):  # or the connection is closed on us
        sentence = problem(httpx.post(f"{address}/v1/estimate", content=bytes(1_500_000)), 413)
        assert "more than 1 MB" in sentence

    def endless():
        for _ in range(100):
            yield bytes(50_000)

    with contextlib.suppress(httpx.WriteError, httpx.RemoteProtocolError):
        problem(httpx.post(f"{address}/v1/estimate", content=endless(), headers=JSON_HEADER), 413)


def test_a_slow_question_is_cut_off(address):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(
            f"POST /v1/estimate HTTP/1.1\r\nHost: {host}\r\nContent-Length: 50\r\n"
            "Content-Type: application/json\r\n\r\n{".encode()
        )
        assert b" 408 " in line.recv(1000).splitlines()[0]


def test_a_recipe_is_only_looked_for_in_small_pictures(address):
    def post(picture: bytes) -> httpx.Response:
        return httpx.post(f"{address}/v1/recipe", files={"picture": ("a.png", picture)})

    assert "holds no recipe" in problem(post(bomb(20_000, 20_000)), 422)  # and isn't decoded
    assert "limit for a file" in problem(post(bytes(600_000)), 413)
    assert "is empty" in problem(post(b""), 415)
    assert "holds no recipe" in problem(post(b"<svg/>"), 422)


def test_names_of_uploads_are_only_shown(address, files, tmp_path):
    wicked = {**files, "content": ("../../../etc/pass\nwd.png", files["content"][1])}
    job = httpx.post(f"{address}/v1/jobs", files=wicked).json()
    assert job["content"]["name"] == "passwd.png" or "/" not in job["content"]["name"]


def test_a_photo_held_upright(address, files, photo_image):
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    photo_image.save(buffer, "jpeg", exif=exif)
    job = httpx.post(f"{address}/v1/jobs", files={**files, "content": buffer.getvalue()}).json()
    assert (job["content"]["width"], job["content"]["height"]) == (64, 96)
    assert json.dumps(job)
