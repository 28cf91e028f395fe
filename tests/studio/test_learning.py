"""Styles that networks have learned, and their trainings, over REST."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from studio_server import Studio, png, running, served
from style_files import style_bytes

from impasto.base import files
from impasto.base.errors import OutputError, StyleFileError
from impasto.images import metadata
from impasto.learning.settings import LearnSettings
from impasto.studio.jobs.models import LearnRequest, StoredRecipe, StyleFile
from impasto.studio.server.settings import Settings
from impasto.studio.workers.learn_job import LearnJob
from impasto.studio.workers.live_worker import LiveSession
from impasto.studio.workers.protocol import JobEnded, LiveSettings, RunOrder
from impasto.styles import bundled, library, names, style_file

SHORT = {"steps": 2, "crop": 128, "steadiness": 0}
LONG = {"steps": 3000, "crop": 128, "steadiness": 0}


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Iterator[Studio]:
    with running(tmp_path_factory.mktemp("studio") / "data") as studio:
        folder = studio.home / "impasto/styles"
        folder.mkdir(parents=True)
        (folder / "my swirl.style").write_bytes(style_bytes())
        (folder / "broken.style").write_bytes(b"no style at all")
        yield studio


def style_file_of(studio: Studio, id: str) -> bytes:
    return studio.client.get(f"/v1/jobs/{id}/result").raise_for_status().content


def info_of(data: bytes) -> style_file.StyleDescription:
    return style_file.read_parameters(data, "the style")[0]


def picture_job(studio: Studio, photo: Image.Image, style, **recipe):
    files = [("content", ("photo.png", png(photo)))]
    data = {"recipe": json.dumps({"size": 64, **recipe})}
    if isinstance(style, str):
        data["styles"] = style
    else:
        files.append(("styles", style))
    return studio.client.post("/v1/jobs", files=files, data=data)


def test_a_training_from_painting_to_style_file(studio, painting_image, photo_image):
    job = studio.learn(painting_image, SHORT, name="Waves")
    assert (job["kind"], job["name"], job["method"]) == ("learn", "Waves", "learned")
    assert (job["content"], job["unit"], job["can_continue"]) == (None, "step", False)
    done = studio.wait(job["id"], "done")
    assert (done["step"], done["steps"], done["share"], done["result"]) == (2, 2, 1, None)
    assert done["style"] == "Waves"
    assert done["losses"]["style"] > 0
    data = style_file_of(studio, job["id"])
    info = info_of(data)
    assert (info.name, info.training["done"]["steps"]) == ("Waves", 2)
    assert info.sources[0].name == "painting.png"
    assert (studio.home / "impasto/styles/Waves.style").read_bytes() == data
    preview = studio.client.get(f"/v1/jobs/{job['id']}/preview").raise_for_status()
    assert Image.open(io.BytesIO(preview.content)).width > 500
    answer = studio.client.get(f"/v1/jobs/{job['id']}/result?download=true")
    assert 'filename="Waves.style"' in answer.headers["content-disposition"]
    painted = picture_job(studio, photo_image, "Waves").json()
    assert studio.wait(painted["id"], "done")["method"] == "learned"


def test_a_name_that_is_taken_gets_a_number(studio, painting_image):
    names: list[str] = []
    for name in ("Same", "Same", "harvest"):
        job = studio.learn(painting_image, SHORT | {"seed": len(names)}, name=name)
        names.append(studio.wait(job["id"], "done")["style"])
    assert names == ["Same", "Same-2", "harvest-2"]
    assert set(names) <= set(studio.library())


def test_a_bundled_painting_gives_its_title(studio):
    form = {"styles": "cafe-terrace", "settings": json.dumps(SHORT)}
    job = studio.client.post("/v1/learn", files={"none": b""}, data=form)
    assert job.status_code == 422
    assert "there is no field 'none'" in job.json()["detail"]
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form.items()
    )
    answer = studio.client.post("/v1/learn", content=f"{parts}--x--\r\n", headers=boundary)
    assert answer.json()["name"] == "Café Terrace at Night"
    assert studio.wait(answer.json()["id"], "done")["style"] == "Café Terrace at Night"


def test_a_stopped_training_keeps_its_style(studio, painting_image):
    job = studio.learn(painting_image, LONG, name="Stopped")
    studio.wait(job["id"], "running", step=1)
    assert studio.client.post(f"/v1/jobs/{job['id']}/stop").status_code == 202
    stopped = studio.wait(job["id"], "stopped")
    assert 0 < stopped["share"] < 1
    assert stopped["style"] == "Stopped"
    assert info_of(style_file_of(studio, job["id"])).training["done"]["steps"] == stopped["step"]
    again = studio.client.post(f"/v1/jobs/{job['id']}/continue", json={})
    assert again.status_code == 409


def test_pictures_dont_wait_for_a_training(studio, painting_image, photo_image):
    job = studio.learn(painting_image, LONG)
    studio.wait(job["id"], "running", step=1)
    quick = picture_job(studio, photo_image, "my swirl").json()
    studio.wait(quick["id"], "done", seconds=30)
    assert studio.get(job["id"])["state"] == "running"
    assert studio.client.get(f"/v1/jobs/{job['id']}/result").status_code == 409
    assert studio.client.delete(f"/v1/jobs/{job['id']}").status_code == 204


def test_a_training_survives_a_killed_server_and_a_killed_worker(tmp_path, painting_image):
    with running(tmp_path / "data") as studio:
        job = studio.learn(painting_image, LONG, name="Survivor")
        before = studio.wait(job["id"], "running", step=5)
        checkpoint = tmp_path / "data/jobs" / job["id"] / "checkpoint"
        studio.kill()
        studio.start()
        studio.wait_until_ready()
        assert checkpoint.exists()
        middle = studio.wait(job["id"], "running", step=before["step"] + 1)
        (worker,) = studio.workers()
        worker.kill()
        studio.wait(job["id"], "running", step=middle["step"] + 2)
        studio.client.post(f"/v1/jobs/{job['id']}/stop")
        studio.wait(job["id"], "stopped")
        text = studio.client.get(f"/v1/jobs/{job['id']}/events").text
        steps = [int(step) for step in re.findall(r'event: progress\ndata: {"step": (\d+)', text)]
        assert len(steps) > 3
        assert steps.count(0) == 1  # it never began anew
        assert studio.library() == ["Survivor"]


def test_a_file_is_added_to_the_library_once():
    first, second = style_bytes(), style_bytes(seed=1)
    assert [library.add_new(first, "a"), library.add_new(first, "a")] == ["a", "a"]
    assert [library.add_new(second, "a"), library.add_new(second, "a")] == ["a-2", "a-2"]
    assert library.add_new(first, "ink") == "ink-2"
    long = "c" * 80
    assert library.add_new(first, long) == long
    assert library.add_new(second, long) == "c" * 78 + "-2"


def test_a_full_disk_doesnt_end_a_training(tmp_path, painting_image, monkeypatch):
    """Neither a checkpoint nor a preview can be written until its end."""
    (tmp_path / "style-0").write_bytes(png(painting_image))
    style = StyleFile(file="style-0", name="p.png", weight=1, built_in=False)
    request = LearnRequest(
        name="p",
        styles=[style],
        settings=LearnSettings(**SHORT),
        recipe=StoredRecipe(method="learned"),
    )
    events: list[Any] = []
    order = RunOrder(job="a", folder=str(tmp_path), request=request)
    job = LearnJob(order, request, events.append)
    write = files.write_atomically

    def full_until_the_end(path, data):
        if path.name != "result.style" and not (tmp_path / "result.style").exists():
            raise OutputError(f"{path} can't be written: no space left on device")
        write(path, data)

    monkeypatch.setattr(files, "write_atomically", full_until_the_end)
    while not job.advance():
        pass
    assert isinstance(events[-1], JobEnded)
    assert (events[-1].ended, events[-1].progress.style) == ("done", "p")


@pytest.mark.parametrize(
    ("name", "data", "status", "sentence"),
    [
        ("a.style", style_bytes(), 422, "a.style is a style file"),
        ("a.png", b"words", 415, "a.png isn't an image"),
        ("a.png", png(Image.new("RGB", (63, 90))), 422, "a.png is 63×90 px; at least 64 px"),
    ],
)
def test_what_nothing_can_be_learned_from(studio, name, data, status, sentence):
    answer = studio.client.post("/v1/learn", files={"styles": (name, data)})
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(sentence)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"settings": '{"quality": "perfect"}'}, "quality: input should be"),
        ({"settings": '{"time": "soon"}'}, "a time is a number of seconds"),
        ({"settings": "{"}, "the settings aren't JSON"),
        ({"name": "../up"}, "'../up' can't be the name of a style"),
        ({"styles": "violet-spots"}, "there is no painting 'violet-spots'"),
    ],
)
def test_settings_that_make_no_sense(studio, painting_image, form, sentence):
    answer = studio.client.post("/v1/learn", files={"styles": png(painting_image)}, data=form)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(sentence)


def test_styles_of_the_library_are_listed(studio):
    styles = {style["name"]: style for style in studio.client.get("/v1/styles").json()["styles"]}
    own = styles["my swirl"]
    assert (own["kind"], own["origin"], own["learned"]) == ("learned", "yours", True)
    assert styles["harvest"]["origin"] == "bundled"
    assert (styles["violet-spots"]["kind"], styles["violet-spots"]["learned"]) == ("style", False)
    thumbnail = studio.client.get(own["thumbnail"]).raise_for_status().content
    assert Image.open(io.BytesIO(thumbnail)).size == (128, 128)
    assert studio.client.get(styles["broken"]["thumbnail"]).status_code == 404


@pytest.mark.parametrize("style", ["my swirl", ("sent.style", style_bytes(seed=3))])
def test_a_style_file_is_the_style_of_a_picture(studio, photo_image, style, tmp_path):
    job = picture_job(studio, photo_image, style).json()
    assert job["styles"][0]["learned"]
    done = studio.wait(job["id"], "done")
    assert done["method"] == "learned"
    data = studio.client.get(f"/v1/jobs/{job['id']}/result").content
    (tmp_path / "picture.png").write_bytes(data)
    assert metadata.read_note(tmp_path / "picture.png")["recipe"]["method"] == "learned"
    files = {"content": png(photo_image)}
    form = {"recipe": json.dumps({"size": 64})}
    if isinstance(style, str):
        form["styles"] = style
    else:
        files["styles"] = style
    glance = studio.client.post("/v1/stylize", files=files, data=form).raise_for_status()
    picture, preview = (np.asarray(Image.open(io.BytesIO(one))) for one in (data, glance.content))
    assert np.array_equal(picture, preview)


def test_a_style_file_is_the_style_of_a_film(studio, clip):
    files = {"film": clip.read_bytes(), "styles": ("sent.style", style_bytes(seed=3))}
    job = studio.client.post("/v1/films", files=files).raise_for_status().json()
    done = studio.wait(job["id"], "done")
    assert (done["method"], done["step"]) == ("learned", 24)


@pytest.fixture
def _harvest_is_learned(tmp_path, monkeypatch):
    """Give the bundled painting harvest a style file, as a release has it."""
    painting = bundled.paintings()["harvest"]
    source = {"name": painting.name, "sha256": sha256(painting.read_bytes()).hexdigest()}
    path = tmp_path / "harvest.style"
    path.write_bytes(style_bytes(sources=[source]))
    monkeypatch.setattr(bundled, "learned_styles", lambda: {"harvest": path})
    names._by_source.cache_clear()
    yield
    names._by_source.cache_clear()


@pytest.mark.usefixtures("_harvest_is_learned")
def test_a_bundled_painting_is_learned_for_films_and_live_alone(tmp_path, photo_image, clip):
    with served(Settings(tmp_path / "data", workers=0)) as address:

        def posted(path: str, files: dict, **data: Any) -> dict:
            answer = httpx.post(f"{address}/v1/{path}", files=files, data=data)
            return answer.raise_for_status().json()

        film = posted("films", {"film": clip.read_bytes()}, styles="harvest")
        assert (film["method"], film["styles"][0]["learned"]) == ("learned", True)
        mixed = posted("films", {"film": clip.read_bytes()}, styles=["harvest", "mosaic"])
        assert (mixed["method"], mixed["styles"][0]["learned"]) == ("instant", False)
        picture = posted("jobs", {"content": png(photo_image)}, styles="harvest")
        assert (picture["method"], picture["styles"][0]["learned"]) == ("optimize", False)
        chosen = posted(
            "jobs", {"content": png(photo_image)}, styles="harvest", recipe='{"method": "learned"}'
        )
        assert (chosen["method"], chosen["styles"][0]["learned"]) == ("learned", True)
        styles = {s["name"]: s for s in httpx.get(f"{address}/v1/styles").json()["styles"]}
        assert (styles["harvest"]["kind"], styles["harvest"]["learned"]) == ("painting", True)
    assert LiveSession().apply(LiveSettings(style="harvest")).method == "learned"


def test_live_pictures_in_learned_styles(tmp_path, photo_image):
    session, picture = LiveSession(), png(photo_image)
    assert session.apply(LiveSettings(style="honey-wash")).method == "instant"
    pictures = [session.paint(picture)]
    sent = base64.b64encode(style_bytes(seed=3)).decode()
    assert session.apply(LiveSettings(painting=sent)).method == "learned"
    pictures.append(session.paint(picture))
    library.add_new(style_bytes(seed=4), "mine")
    assert session.apply(LiveSettings(style="mine")).method == "learned"
    pictures.append(session.paint(picture))
    assert session.apply(LiveSettings(strength=0.5)).method == "learned"
    assert len(set(pictures)) == 3


def test_a_damaged_style_file_isnt_a_live_style():
    sent = base64.b64encode(style_bytes()[:5000]).decode()
    with pytest.raises(StyleFileError, match="is damaged or cut short"):
        LiveSession().apply(LiveSettings(painting=sent))


@pytest.mark.parametrize(
    ("style", "recipe", "sentence"),
    [
        (("a.style", b"{" * 40), {}, "a.style isn't a style file"),
        (("a.style", style_bytes()[:5000]), {}, "a.style is damaged or cut short"),
        (("big.style", style_bytes() + bytes(16_000_000)), {}, "big.style is too large"),
        ("broken", {}, "broken isn't a style file"),
        ("my swirl", {"preset": "draft"}, "my swirl is a style of the method learned, not of opt"),
        ("honey-wash", {"method": "learned"}, "honey-wash is a style of the method instant, not"),
    ],
)
def test_styles_that_cant_be_used(studio, photo_image, style, recipe, sentence):
    answer = picture_job(studio, photo_image, style, **recipe)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(sentence)


def test_the_method_learned_has_estimates(studio):
    question = {"recipe": {"preset": "learned", "size": 128}, "width": 640, "height": 427}
    estimate = studio.client.post("/v1/estimate", json=question).raise_for_status().json()
    assert (estimate["width"], estimate["height"]) == (128, 85)


def test_methods_say_which_styles_they_take(studio):
    methods = studio.client.get("/v1/recipe-schema").json()["methods"]
    kinds = ("style_images", "learned_styles", "built_in_styles")
    takes = {method["name"]: [method[kind] for kind in kinds] for method in methods}
    assert takes["optimize"] == [True, False, False]
    assert takes["instant"] == [True, False, True]
    assert takes["learned"] == [False, True, False]
