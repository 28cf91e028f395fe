"""Jobs over REST, by a real server and its worker."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
from conftest import ROOT
from PIL import Image
from studio_server import INSTANT, QUICK, SLOW, Studio, png, running

from impasto.images import metadata
from impasto.studio.jobs import gallery
from impasto.styles import bundled


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Iterator[Studio]:
    with running(tmp_path_factory.mktemp("studio") / "data") as studio:
        yield studio


def events_of(studio: Studio, id: str, after: int | None = None) -> list[tuple[int, str, dict]]:
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    text = studio.client.get(f"/v1/jobs/{id}/events", headers=headers).text
    found = re.findall(r"id: (\d+)\nevent: (\w+)\ndata: (.*)\n\n", text)
    return [(int(number), kind, json.loads(data)) for number, kind, data in found]


def test_from_upload_to_picture(studio, photo_image, painting_image, tmp_path):
    job = studio.job(photo_image, painting_image, QUICK)
    events = events_of(studio, job["id"])  # ends with the job
    assert [kind for _, kind, _ in events][-1] == "done"
    progress = [data for _, kind, data in events if kind == "progress"]
    assert progress[0]["step"] == 0
    assert all(row["losses"]["total"] > 0 for row in progress)
    done = studio.get(job["id"])
    assert (done["state"], done["step"], done["error"]) == ("done", 30, None)
    assert (done["name"], done["result"]) == ("photo_painting", {"width": 64, "height": 43})
    answer = studio.client.get(f"/v1/jobs/{job['id']}/result?download=true")
    assert 'filename="photo_painting.png"' in answer.headers["content-disposition"]
    (tmp_path / "picture.png").write_bytes(answer.content)
    note = metadata.read_note(tmp_path / "picture.png")
    selection = {name: note["recipe"][name] for name in ("precision", "kernel")}
    assert selection["precision"] != "auto"
    assert note["recipe"] == {**done["recipe"], **selection}
    assert (note["content"]["name"], note["styles"][0]["name"]) == ("photo.png", "painting.png")
    picture = np.asarray(Image.open(tmp_path / "picture.png").convert("RGB"), float)
    photo = np.asarray(photo_image.resize((64, 43)), float)
    assert np.abs(picture - photo).mean() > 10


def test_events_resume(studio, photo_image, painting_image):
    job = studio.job(photo_image, painting_image, QUICK)
    every = events_of(studio, job["id"])
    assert [number for number, _, _ in every] == sorted({number for number, _, _ in every})
    middle = every[len(every) // 2][0]
    assert events_of(studio, job["id"], middle) == [row for row in every if row[0] > middle]


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_results_in_every_format_with_and_without_the_recipe(
    format, studio, photo_image, painting_image, tmp_path
):
    job = studio.job(photo_image, painting_image, INSTANT)
    studio.wait(job["id"], "done")
    address = f"/v1/jobs/{job['id']}/result?format={format}"
    for query, has_note in (("", True), ("&metadata=false", False)):
        data = studio.client.get(address + query).raise_for_status().content
        path = tmp_path / "picture"
        path.write_bytes(data)
        assert Image.open(path).format.lower() == format
        assert _has_note(path) == has_note
    small = studio.client.get(address + "&size=32").content
    assert max(Image.open(io.BytesIO(small)).size) == 32


def _has_note(path) -> bool:
    try:
        return bool(metadata.read_note(path))
    except Exception:
        return False


def test_stop_keeps_the_picture_and_it_is_gone_on_with(studio, photo_image, painting_image):
    job = studio.job(photo_image, painting_image, {**SLOW, "steps": 400})
    studio.wait(job["id"], "running", step=3)
    preview = studio.client.get(f"/v1/jobs/{job['id']}/preview").raise_for_status()
    assert Image.open(io.BytesIO(preview.content)).size == (96, 64)
    assert studio.client.post(f"/v1/jobs/{job['id']}/stop").status_code == 202
    stopped = studio.wait(job["id"], "stopped")
    assert 3 <= stopped["step"] < 400
    rest = studio.client.post(f"/v1/jobs/{job['id']}/continue", json={}).json()
    assert rest["parent"] == job["id"]
    studio.wait(rest["id"], "running", step=stopped["step"] + 1)
    assert studio.client.delete(f"/v1/jobs/{rest['id']}").status_code == 204
    assert studio.client.get(f"/v1/jobs/{rest['id']}").status_code == 404
    more = studio.client.post(f"/v1/jobs/{job['id']}/continue", json={"steps": 3}).json()
    assert studio.wait(more["id"], "done")["step"] == 3
    larger = studio.client.post(f"/v1/jobs/{job['id']}/continue", json={"size": 128, "steps": 2})
    assert studio.wait(larger.json()["id"], "done")["result"] == {"width": 128, "height": 85}
    again = studio.client.post(f"/v1/jobs/{more['id']}/continue", json={})
    assert again.status_code == 409
    assert "say how many steps" in again.json()["detail"]


def test_instant_pictures_overtake(studio, photo_image, painting_image):
    long = studio.job(photo_image, painting_image, SLOW)
    waiting = studio.job(photo_image, painting_image, QUICK)
    assert waiting["position"] == 0
    studio.wait(long["id"], "running", step=1)
    quick = studio.job(photo_image, painting_image, {"method": "instant", "size": 64})
    assert studio.wait(quick["id"], "done", seconds=20)["result"]["width"] == 64
    files = {"content": png(photo_image)}
    glance = studio.client.post("/v1/stylize", files=files, data={"styles": "starry-swirl"})
    assert glance.status_code == 200
    assert Image.open(io.BytesIO(glance.content)).size == (96, 64)
    behind = studio.get(waiting["id"])
    assert behind["state"] == "queued"
    assert behind["eta"] > 0
    for job in (waiting, long):
        assert studio.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert studio.client.get("/v1/health").json()["running"] in (0, 1)


def test_a_mask_weights_and_built_in_paintings(studio, photo_image):
    mask = Image.new("L", (96, 64))
    mask.paste(255, (0, 0, 48, 64))
    files = [("content", ("p.png", png(photo_image))), ("mask", ("m.png", png(mask)))]
    form = {"styles": ["harvest", "cafe-terrace"], "weights": "1,0.5"}
    form["recipe"] = json.dumps({"method": "instant", "size": 96, "feather": 0})
    job = studio.client.post("/v1/jobs", files=files, data=form).json()
    assert [style["weight"] for style in job["styles"]] == [1.0, 0.5]
    done = studio.wait(job["id"], "done")
    assert done["mask"]
    data = studio.client.get(f"/v1/jobs/{job['id']}/result").content
    picture = np.asarray(Image.open(io.BytesIO(data)), float)
    change = np.abs(picture - np.asarray(photo_image, float)).mean(2)
    assert change[:, 52:].max() <= 1
    assert change[:, :44].mean() > 10
    sent = studio.client.get(f"/v1/jobs/{job['id']}/mask").content
    assert sent == png(mask)
    assert studio.client.get(f"/v1/jobs/{job['id']}/content").content == png(photo_image)


def test_a_job_that_fails_says_why(studio, photo_image, painting_image):
    buffer = io.BytesIO()
    photo_image.save(buffer, "jpeg")
    damaged = buffer.getvalue()[: buffer.tell() // 2]  # its first bytes are all right
    files = {"content": ("broken.jpg", damaged), "styles": png(painting_image)}
    answer = studio.client.post("/v1/jobs", files=files, data={"recipe": json.dumps(QUICK)})
    job = answer.json()
    while job["state"] in ("queued", "running"):
        job = studio.get(job["id"])
    assert job["state"] == "failed"
    assert job["error"].startswith("broken.jpg is damaged or cut short")
    assert events_of(studio, job["id"])[-1][1] == "failed"


def test_what_there_is(studio):
    schema = studio.client.get("/v1/recipe-schema").json()
    assert schema["properties"]["strength"]["description"]
    presets = {p["name"]: p for p in studio.client.get("/v1/presets").json()["presets"]}
    assert presets["draft"]["recipe"]["steps"] == 62
    styles = studio.client.get("/v1/styles").json()["styles"]
    assert {style["kind"] for style in styles} == {"painting", "style"}
    for style in styles:
        thumbnail = studio.client.get(style["thumbnail"]).raise_for_status().content
        assert Image.open(io.BytesIO(thumbnail)).size == (128, 128)
    for example in studio.client.get("/v1/examples").json()["examples"]:
        data = studio.client.get(f"/v1/examples/{example['name']}").content
        assert min(Image.open(io.BytesIO(data)).size) > 200
    question = {"recipe": {"preset": "draft", "size": 128}, "width": 640, "height": 427}
    estimate = studio.client.post("/v1/estimate", json=question).json()
    assert (estimate["width"], estimate["height"]) == (128, 85)
    assert 0.1 < estimate["seconds"] < 60
    assert estimate["memory_mb"] > 100
    metrics = studio.client.get("/v1/metrics").text
    assert 'impasto_jobs{state="done"}' in metrics
    assert "impasto_workers 1.0" in metrics


def test_the_recipe_inside_a_picture(studio, photo_image, painting_image):
    job = studio.job(photo_image, painting_image, INSTANT)
    studio.wait(job["id"], "done")
    data = studio.client.get(f"/v1/jobs/{job['id']}/result").content
    found = studio.client.post("/v1/recipe", files={"picture": data}).json()
    assert found["recipe"]["method"] == "instant"
    none = studio.client.post("/v1/recipe", files={"picture": png(photo_image)})
    assert (none.status_code, none.json()["detail"]) == (422, "that picture holds no recipe")


def test_the_server_is_small_and_has_no_torch(studio):
    server = psutil.Process(studio.process.pid)
    assert server.memory_info().rss < 300e6
    assert not [m for m in server.memory_maps() if "libtorch" in m.path]


def test_the_page_and_the_reference_come_from_here_alone(studio):
    page = studio.client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    addresses = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert addresses
    for address in addresses:
        assert address.startswith("/")
        assert studio.client.get(address).status_code == 200
    docs = studio.client.get("/v1/docs").text
    for address in re.findall(r'(?:src|href)="([^"]+)"', docs):
        assert studio.client.get(address).status_code == 200
    assert studio.client.get("/v1/openapi.json").json()["paths"]["/v1/jobs"]


def test_every_built_in_painting_has_a_name():
    assert "cafe-terrace" in bundled.paintings()
    assert bundled.title("cafe-terrace") == "Café Terrace at Night"
    assert bundled.title("starry-swirl") == "Starry swirl"
    assert gallery.thumbnail("no-such") is None


DOCS = (ROOT / "docs/rest.md").read_text(encoding="utf-8")


def test_the_python_client_of_the_docs(studio, photo_image, painting_image, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 13  # ten, and the imports
    photo_image.save(tmp_path / "photo.jpg")
    painting_image.save(tmp_path / "painting.jpg")
    code = code.replace("http://127.0.0.1:8765", studio.address).replace("256", "64")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=100)
    assert Image.open(tmp_path / "picture.png").width == 64


def test_the_curl_lines_of_the_docs(studio, photo_image, painting_image, tmp_path):
    block = re.search(r"```sh\n(.*?)```", DOCS, re.DOTALL)[1]
    photo_image.save(tmp_path / "photo.jpg")
    painting_image.save(tmp_path / "painting.jpg")
    id = "ID"
    for line in block.splitlines():
        command = line.replace("http://127.0.0.1:8765", studio.address).replace("256", "64")
        ran = subprocess.run(
            ["sh", "-c", command.replace("ID", id).replace("curl", "curl -sSf")],
            cwd=tmp_path, capture_output=True, check=True, timeout=100,
        )  # fmt: skip
        if id == "ID":
            id = json.loads(ran.stdout)["id"]
    assert Image.open(tmp_path / "picture.jpg").width == 64
    assert Image.open(tmp_path / "quick.png").width == 96


def test_ctrl_c_ends_it_cleanly_and_a_second_server_is_refused(
    tmp_path, photo_image, painting_image
):
    with running(tmp_path / "data") as studio:
        job = studio.job(photo_image, painting_image, SLOW)
        studio.wait(job["id"], "running", step=2)
        (worker,) = studio.workers()
        assert studio.end() == 0
        assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
        assert b"Traceback" not in b"".join(studio.errors)
    row = (
        sqlite3.connect(tmp_path / "data/jobs.sqlite3").execute("SELECT state FROM job").fetchone()
    )
    assert row == ("running",)  # to be gone on with
