"""Text that isn't valid Unicode is refused at the door, and no bad row breaks a list of jobs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, PngImagePlugin
from studio_server import png, served

from impasto.settings.methods import METHODS
from impasto.studio.jobs.models import PictureRequest
from impasto.studio.jobs.store import DAMAGED_ROW, Store
from impasto.studio.jobs.text import without_folders, without_paths
from impasto.studio.server.settings import Settings

SURROGATE = "\\ud800"
"""As JSON writes it."""
REQUEST: dict[str, Any] = {
    "name": "p",
    "content": {"file": "content", "name": "p.png", "width": 64, "height": 64},
    "styles": [{"file": "style-0", "name": "p.png", "weight": 1.0, "built_in": False}],
    "mask": None,
    "recipe": {"method": "optimize", "steps": 9},
    "parent": None,
}


def picture_request(**changed) -> PictureRequest:
    return PictureRequest.model_validate({**REQUEST, **changed})


FOLDER = Path("/srv/my data/jobs/.new-abc")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("{}/content isn't a film", "clip.mp4 isn't a film"),
        ("{}/mask is black", "hand drawn.png is black"),
        ("{}/style-0 is damaged", "sea.jpg is damaged"),
        ("{}/result.png can't be written", "result.png can't be written"),
        ("{} is full", "the job's folder is full"),
        ("/home/me/.cache/vgg.h5 is damaged", "vgg.h5 is damaged"),
        ("see https://example.org/a/b, and/or 1/2", "see https://example.org/a/b, and/or 1/2"),
    ],
)
def test_a_sentence_has_names_and_no_paths(said, shown):
    ink = {"file": None, "name": "ink", "weight": 1.0, "built_in": True}
    request = PictureRequest.model_validate(
        {
            **REQUEST,
            "content": {**REQUEST["content"], "name": "clip.mp4"},
            "styles": [{**REQUEST["styles"][0], "name": "sea.jpg"}, ink],
            "mask": "mask",
            "mask_name": "hand drawn.png",
        }
    )
    assert without_paths(said.format(FOLDER), FOLDER, request.file_names) == shown


def test_an_error_without_a_job_has_no_folders():
    assert without_folders("'/home/me/x.toml' isn't TOML") == "'x.toml' isn't TOML"


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    with served(Settings(tmp_path_factory.mktemp("text"), workers=0, queue=1000)) as address:
        yield address


@pytest.mark.parametrize(
    "recipe",
    [
        f'{{"device": "{SURROGATE}"}}',
        f'{{"weights": "{SURROGATE}"}}',
        f'{{"preset": "{SURROGATE}"}}',
        f'{{"init": "{SURROGATE}"}}',
        f'{{"content_layers": {{"{SURROGATE}": 1}}}}',
        f'{{"{SURROGATE}": 1}}',
    ],
)
@pytest.mark.parametrize("path", ["jobs", "stylize", "estimate", "films"])
def test_half_a_surrogate_pair_is_refused(path, recipe, address, photo_image):
    if path == "estimate":
        question = f'{{"recipe": {recipe}, "width": 64, "height": 64}}'
        json_type = {"Content-Type": "application/json"}
        answer = httpx.post(f"{address}/v1/estimate", content=question, headers=json_type)
    else:
        file, text = ("film", "settings") if path == "films" else ("content", "recipe")
        files = {file: ("photo.png", png(photo_image))}
        data = {"styles": "harvest", text: recipe}
        answer = httpx.post(f"{address}/v1/{path}", files=files, data=data)
    assert (answer.status_code, answer.json()["status"]) == (422, 422)
    assert httpx.get(f"{address}/v1/jobs").json() == {"jobs": []}


@pytest.mark.parametrize("charset", ["unicode_escape", "punycode", "undefined", "utf-16"])
def test_forms_are_utf_8(charset, address):
    body = f'--B\r\nContent-Disposition: form-data; name="styles"\r\n\r\n{SURROGATE}\r\n--B--\r\n'
    kind = {"Content-Type": f"multipart/form-data; boundary=B; charset={charset}"}
    answer = httpx.post(f"{address}/v1/jobs", content=body, headers=kind)
    assert (answer.status_code, "should be UTF-8" in answer.text) == (415, True)
    kind = {"Content-Type": 'Multipart/Form-Data; boundary=B; charset="UTF-8"'}
    assert httpx.post(f"{address}/v1/jobs", content=body, headers=kind).status_code == 422


def test_a_recipe_inside_a_picture_is_checked(address):
    note = PngImagePlugin.PngInfo()
    note.add_text("impasto", json.dumps({"made by": "impasto", "recipe": {"device": "\ud800"}}))
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "png", pnginfo=note)
    answer = httpx.post(f"{address}/v1/recipe", files={"picture": buffer.getvalue()})
    assert (answer.status_code, answer.json()["detail"]) == (422, "that picture holds no recipe")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("request", "{"),
        ("request", "{}"),
        ("request", json.dumps({**REQUEST, "name": "\ud800"})),
        ("progress", "[]"),
        ("progress", '{"step": "many"}'),
        ("created", "yesterday"),
        ("created", 1e300),
    ],
)
@pytest.mark.parametrize("state", ["queued", "running", "done"])
def test_a_row_that_cant_be_read_is_a_failed_job(state, column, value, tmp_path):
    store = Store(tmp_path)
    good, bad = (store.add(store.new_folder(), picture_request()) for _ in range(2))
    query = f"UPDATE job SET state = ?, {column} = ? WHERE id = ?"
    store.database.execute(query, (state, value, bad.id))
    store.close()
    with served(Settings(tmp_path, workers=0)) as address:
        jobs = {job["id"]: job for job in httpx.get(f"{address}/v1/jobs").json()["jobs"]}
        assert jobs[good.id]["state"] == "queued"
        assert (jobs[bad.id]["state"], jobs[bad.id]["error"]) == ("failed", DAMAGED_ROW)
        assert httpx.delete(f"{address}/v1/jobs/{bad.id}").status_code == 204
        assert len(httpx.get(f"{address}/v1/jobs").json()["jobs"]) == 1


@pytest.mark.parametrize("method", ["gone", "broken"])
def test_a_job_of_a_method_that_cant_be_used_is_shown(method, tmp_path, monkeypatch):
    broken = EntryPoint("broken", "no_such_package:METHOD", METHODS.group)
    monkeypatch.setitem(METHODS._installed, "broken", broken)
    store = Store(tmp_path)
    good = store.add(store.new_folder(), picture_request())
    bad = store.add(store.new_folder(), picture_request(recipe={"method": method}))
    store.close()
    with served(Settings(tmp_path, workers=0)) as address:
        jobs = {job["id"]: job for job in httpx.get(f"{address}/v1/jobs").json()["jobs"]}
        assert (jobs[good.id]["method"], jobs[good.id]["can_continue"]) == ("optimize", True)
        assert (jobs[bad.id]["method"], jobs[bad.id]["can_continue"]) == (method, False)
        assert jobs[bad.id]["state"] == "queued"
