"""Answers: their headers, and the sentences where files, room or patience run out."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import tempfile
from urllib.parse import unquote

import httpx
import pytest
from PIL import Image
from studio_server import png, running, served
from test_text import picture_request
from websockets.sync.client import connect

from impasto.studio.jobs.store import Store
from impasto.studio.server import broadcast
from impasto.studio.server.settings import Settings


@pytest.fixture
def address(tmp_path):
    with served(Settings(tmp_path, workers=0)) as address:
        yield address


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("photo_harvest", "photo_harvest"),
        ("写真_starry-swirl", "___starry-swirl"),
        ("café", "cafe"),
        ("été 1", "ete_1"),
        ('a"b;\\c', "a_b__c"),
        ("100 % 'new'", "100____new_"),
    ],
)
def test_a_download_keeps_its_name(name, plain, tmp_path, photo_image):
    store = Store(tmp_path)
    job = store.add(store.new_folder(), picture_request(name=name))
    job.state = "done"
    store.save(job)
    (store.folder_of(job) / "result.png").write_bytes(png(photo_image))
    store.close()
    with served(Settings(tmp_path, workers=0)) as address:
        answer = httpx.get(f"{address}/v1/jobs/{job.id}/result?download=true")
    header = answer.headers["content-disposition"]
    first, _, encoded = header.partition("; filename*=UTF-8''")
    assert first == f'attachment; filename="{plain}.png"'
    assert unquote(encoded) == ("" if name == plain else f"{name}.png")
    assert header.isascii()


def test_proxies_dont_collect_streams(address, photo_image, painting_image):
    files = {"content": png(photo_image), "styles": png(painting_image)}
    job = httpx.post(f"{address}/v1/jobs", files=files).json()
    for path in (f"/v1/jobs/{job['id']}/events", "/v1/live/shown"):
        with httpx.stream("GET", f"{address}{path}") as answer:
            assert answer.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize(
    ("number", "status", "sentence"),
    [
        (errno.EMFILE, 503, "too many files are open; try again later"),
        (errno.ENFILE, 503, "too many files are open; try again later"),
        (errno.ENOSPC, 507, "the disk is full; delete some pictures"),
        (errno.EDQUOT, 507, "the disk is full; delete some pictures"),
        (errno.EIO, 507, "input/output error"),
    ],
)
def test_files_that_cant_be_kept(number, status, sentence, address, photo_image, monkeypatch):
    def copyfileobj(source, target):
        raise OSError(number, os.strerror(number), "/srv/secret")

    monkeypatch.setattr(shutil, "copyfileobj", copyfileobj)
    files = {"content": png(photo_image)}
    answer = httpx.post(f"{address}/v1/jobs", files=files, data={"styles": "harvest"})
    assert (answer.status_code, answer.json()["detail"]) == (status, sentence)
    assert ("retry-after" in answer.headers) == (status == 503)


def test_a_full_temporary_folder_is_named(address, photo_image, monkeypatch):
    class Full(io.BytesIO):
        def __init__(self, max_size):
            super().__init__()

        def write(self, data):
            raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr("starlette.formparsers.SpooledTemporaryFile", Full)
    answer = httpx.post(f"{address}/v1/jobs", files={"content": png(photo_image)})
    assert answer.status_code == 507
    assert tempfile.gettempdir() in answer.json()["detail"]


def jpeg(size: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((size, size), 100).save(buffer, "jpeg")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff\r\n--picture\r\nContent-Type: text/html\r\n\r\n<b>hello</b>\xff\xd9",
        jpeg()[:-900],
        jpeg() + b"\r\n--picture\r\n",
        b"<svg/>",
        b"",
    ],
)
def test_only_whole_jpegs_are_shown(content, address):
    assert httpx.post(f"{address}/v1/live/shown", content=content).status_code == 415


def test_other_types_are_not_shown(address, photo_image):
    answer = httpx.post(f"{address}/v1/live/shown", content=png(photo_image) + b"\xff\xd9")
    assert (answer.status_code, answer.json()["detail"]) == (415, "that isn't a JPEG")


def test_only_so_many_watch(address, monkeypatch):
    monkeypatch.setattr(broadcast, "MAX_VIEWERS", 2)
    assert httpx.post(f"{address}/v1/live/shown", content=jpeg()).status_code == 204
    with contextlib.ExitStack() as stack:
        kinds, streams = set(), []
        for _ in range(2):
            answer = stack.enter_context(httpx.stream("GET", f"{address}/v1/live/shown"))
            streams.append(answer.iter_raw())
            next(streams[-1])
            kinds.add(answer.headers["content-type"])
        boundary = kinds.pop().partition("boundary=")[2]
        assert len(boundary) == 32
        answer = httpx.get(f"{address}/v1/live/shown")
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert "too many are watching" in answer.json()["detail"]


def test_no_file_of_the_working_directory_is_run(tmp_path, monkeypatch, photo_image):
    monkeypatch.chdir(tmp_path)
    for name in ("queue", "json", "torch", "av", "cv2"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('this is not the module')")
    # The command itself runs as the installed script does, without the working directory.
    monkeypatch.setattr("studio_server.SAFE", ("-P",))
    with running(tmp_path / "data") as studio:
        files = {"content": png(photo_image)}
        answer = studio.client.post("/v1/stylize", files=files, data={"styles": "starry-swirl"})
        assert answer.status_code == 200
        with connect(f"{studio.address.replace('http', 'ws')}/v1/live") as live:
            live.send('{"style": "starry-swirl"}')
            assert live.recv(60) == '{"ready":true,"method":"instant"}'
