"""Recipes over REST: each contains the settings of its method, and old ones are still read."""

from __future__ import annotations

import io
import json

import httpx
import pytest
from old_recipes import DRAFT_RECIPE, INSTANT_RECIPE
from PIL import Image, PngImagePlugin
from studio_server import png, served

from impasto.base.folders import preset_folder
from impasto.images import metadata
from impasto.settings.build import build
from impasto.settings.methods import METHODS, all_settings
from impasto.studio.jobs.uploads import whole_recipe
from impasto.studio.server.settings import Settings


@pytest.fixture
def address(tmp_path):
    with served(Settings(tmp_path, workers=0)) as address:
        yield address


@pytest.fixture
def post_job(address, photo_image):
    """Send a job with a recipe, and return the answer."""

    def post(recipe: dict, style: str = "harvest") -> httpx.Response:
        data = {"styles": style, "recipe": json.dumps(recipe)}
        files = {"content": png(photo_image)}
        return httpx.post(f"{address}/v1/jobs", files=files, data=data)

    return post


@pytest.mark.parametrize("method", ["optimize", "instant"])
def test_the_recipe_of_a_job_can_be_sent_again(method, post_job):
    first = post_job({"method": method, "size": 64}).json()
    again = post_job(first["recipe"])
    assert set(first["recipe"]) == set(METHODS[method].settings.model_fields)
    assert (again.status_code, again.json()["recipe"]) == (202, first["recipe"])
    assert (again.json()["method"], again.json()["unit"]) == (
        method,
        {"optimize": "step", "instant": "percent"}[method],
    )
    assert again.json()["can_continue"] == (method == "optimize")


@pytest.mark.parametrize("recipe", [INSTANT_RECIPE, DRAFT_RECIPE])
def test_a_note_with_the_settings_of_all_methods_is_read(recipe, address):
    text = PngImagePlugin.PngInfo()
    note = {"recipe": recipe, "content": {"name": "a.png"}, "styles": [{"name": "b.png"}]}
    text.add_text(metadata.PNG_KEY, metadata.to_text(note))
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "png", pnginfo=text)
    answer = httpx.post(f"{address}/v1/recipe", files={"picture": buffer.getvalue()})
    assert (answer.status_code, answer.json()) == (200, note)


def test_a_preset_of_ones_own_may_have_settings_of_the_other_method(address, post_job):
    folder = preset_folder()
    assert folder is not None
    folder.mkdir(parents=True)
    look = 'method = "instant"\nstrength = 0.5\nsteps = 50\ninit = "noise"\n'
    (folder / "mine.toml").write_text(look)
    (folder / "wrong.toml").write_text('method = "magic"')  # isn't listed
    presets = {one["name"]: one for one in httpx.get(f"{address}/v1/presets").json()["presets"]}
    assert "wrong" not in presets
    own = set(METHODS["instant"].settings.model_fields)
    assert set(presets["mine"]["recipe"]) == own
    job = post_job({"preset": "mine", "mix": 0.9}).json()
    assert (job["method"], job["steps"]) == ("instant", 0)
    assert job["recipe"] == {**presets["mine"]["recipe"], "mix": 0.9}
    assert job["recipe"]["strength"] == 0.5
    styled = post_job({"preset": "mine"}, style="starry-swirl")
    assert (styled.status_code, styled.json()["recipe"]["preset"]) == (202, "mine")


@pytest.mark.parametrize(
    ("recipe", "style", "sentence"),
    [
        ({"method": "instant", "steps": 5}, "harvest", "steps means nothing to the method instant"),
        ({"statistics": "whole"}, "harvest", "statistics means nothing to the method optimize"),
        ({"method": "magic"}, "harvest", "there is no method 'magic'; choose one of: optimize"),
        ({"method": ["instant"]}, "harvest", "there is no method"),
        ({"preset": "studio"}, "starry-swirl", "is a style of the method instant, not of optimize"),
        ({"preset": "studio", "method": "instant"}, "harvest", "isn't for the method instant"),
        ({"init": "/etc/passwd"}, "harvest", "init is one of content, noise, style, instant here"),
        ({"init": "-"}, "harvest", "init is one of content, noise, style, instant here"),
        ({"init": ""}, "harvest", "init is one of content, noise, style, instant here"),
        ({"mask": "-"}, "harvest", "mask can't name a file here"),
    ],
)
def test_settings_that_dont_fit_the_method_are_refused(recipe, style, sentence, post_job):
    answer = post_job(recipe, style)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"strength": 0.5},
        {"preset": "gatys", "steps": 9, "solver": "adam"},
        {"preset": "studio", "method": "instant"},
        {"preset": "instant", "method": "optimize", "steps": 9},
        {"method": "instant", "statistics": "thumbnail"},
        DRAFT_RECIPE,
        INSTANT_RECIPE,
    ],
)
def test_a_preview_has_the_settings_that_the_method_instant_knows(recipe):
    made = whole_recipe({**recipe, "size": 96}, for_preview=True, styles=[]).settings()
    assert (made["preset"], made["method"], made["size"]) == ("instant", "instant", 96)
    own = METHODS["instant"].settings.model_fields
    assert set(made) == set(own)
    changed = {name: recipe[name] for name in recipe if name in own}
    assert {**made, "preset": "", "method": "", "size": 0} == {
        **build(preset="instant").model_dump(mode="json"),
        **changed,
        "preset": "",
        "method": "",
        "size": 0,
    }


def test_a_preview_of_a_quick_preset_starts_from_it():
    folder = preset_folder()
    assert folder is not None
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text('method = "instant"\nstrength = 0.5\nsteps = 50\n')
    made = whole_recipe({"preset": "mine"}, for_preview=True, styles=[]).settings()
    assert (made["preset"], made["strength"]) == ("mine", 0.5)


def test_the_schema_tells_which_settings_each_method_has(address):
    schema = httpx.get(f"{address}/v1/recipe-schema").json()
    methods = {method["name"]: method for method in schema["methods"]}
    assert list(methods) == ["optimize", "instant", "learned"]
    for name, method in methods.items():
        assert set(method["settings"]) == set(METHODS[name].settings.model_fields)
        assert set(method["settings"]) <= set(schema["properties"])
    assert set(schema["properties"]) == set(all_settings())
    assert schema["properties"]["method"]["enum"] == list(methods)
    assert [method["built_in_styles"] for method in methods.values()] == [False, True, False]
    assert [method["quick"] for method in methods.values()] == [False, True, True]
    assert methods["instant"]["preset"] == "instant"
