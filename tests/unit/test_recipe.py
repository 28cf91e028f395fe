from __future__ import annotations

import re
from typing import Any

import pytest
from recipes import build_optimize

from impasto.base.errors import RecipeError
from impasto.settings.build import build
from impasto.settings.methods import METHODS, all_settings, bounds, settings_schema
from impasto.settings.recipe import Recipe
from impasto.settings.recipe_files import (
    load_preset,
    presets,
    user_preset_folder,
)


def test_the_tutorials_numbers():
    recipe = build_optimize(preset="tutorial")
    assert recipe.content_layers == {"block5_conv2": 1}
    assert recipe.style_layers == {f"block{n}_conv1": 1 for n in range(1, 6)}
    assert (recipe.style_weight, recipe.content_weight, recipe.tv_weight) == (1e-2, 1e4, 30)
    assert (recipe.steps, recipe.size, recipe.solver, recipe.init) == (1000, 512, "adam", "content")
    assert (recipe.learning_rate, recipe.adam_beta1, recipe.adam_epsilon) == (0.02, 0.99, 0.1)


def test_the_defaults_are_those_of_the_default_preset():
    assert Recipe() == build()


@pytest.mark.parametrize("name", ["draft", "poster"])
def test_quick_and_large_pictures_have_the_look_of_the_default(name):
    ours, studio = build(preset=name).model_dump(), build().model_dump()
    look = [key for key in studio if "layers" in key or "loss" in key or "weight" in key]
    assert len(look) >= 9
    assert {key: ours[key] for key in look} == {key: studio[key] for key in look}


def test_style_layers_of_the_users_own_are_for_every_painting():
    assert build_optimize().plain_style_layers
    assert build_optimize({"style_layers": "block1_conv1"}).plain_style_layers == {}
    both = build_optimize({"style_layers": "block1_conv1", "plain_style_layers": "block2_conv1"})
    assert both.plain_style_layers == {"block2_conv1": 1}


def test_recipes_written_before_there_were_some_settings_mean_what_they_meant():
    old = build(preset="studio").model_dump(mode="json")
    for name in ("plain_style_layers", "style_goal", "figures", "palette", "polish"):
        del old[name]
    again = build_optimize(recipe=old)
    assert again.plain_style_layers == {}
    assert (again.style_goal, again.figures, again.palette, again.polish) == (0, 1, 0, 0)


def test_the_papers_numbers():
    recipe = build_optimize(preset="gatys")
    assert recipe.content_layers == {"block4_conv2": 1}
    assert recipe.style_layers == {f"block{n}_conv1": 0.2 for n in range(1, 6)}
    assert recipe.content_weight / recipe.style_weight == 1e-3
    assert (recipe.pooling, recipe.solver, recipe.loss_form) == ("avg", "lbfgs", "paper")
    assert (recipe.style_loss, recipe.palette, recipe.polish, recipe.scales) == (
        {"gram": 1},
        0,
        0,
        1,
    )


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_valid_and_explains_itself(name):
    assert build(preset=name).preset == name
    assert len(presets()[name].about) > 20


def test_later_layers_win(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('preset = "tutorial"\nsteps = 7\nsize = 64\n')
    recipe = build_optimize({"size": 96}, recipe=path)
    assert (recipe.preset, recipe.steps, recipe.size) == ("tutorial", 7, 96)
    assert recipe.adam_beta1 == 0.99


def test_a_users_own_preset_is_found_by_name():
    user_preset_folder().mkdir(parents=True)
    (user_preset_folder() / "mine.toml").write_text('about = "My own look"\nsteps = 3\n')
    assert build_optimize(preset="mine").steps == 3


def test_a_preset_can_be_a_file(tmp_path):
    path = tmp_path / "look.toml"
    path.write_text("steps = 5\n")
    assert build_optimize(preset=str(path)).steps == 5
    assert "about" not in load_preset("tutorial")


def test_a_users_preset_starts_from_the_default_or_the_one_it_names(tmp_path):
    path = tmp_path / "look.toml"
    path.write_text("seed = 5\n")
    expected = build({"seed": 5}).model_dump(exclude={"preset"})
    assert build(preset=str(path)).model_dump(exclude={"preset"}) == expected
    path.write_text('preset = "tutorial"\n')
    assert build_optimize(preset=str(path)).solver == "adam"
    path.write_text('preset = "nope"\n')
    with pytest.raises(RecipeError, match="there is no built-in preset 'nope'"):
        build(preset=str(path))


def test_a_whole_recipe_needs_no_preset():
    whole = build({"steps": 9}, preset="tutorial").model_dump(mode="json")
    whole["preset"] = "no-longer-there"
    assert build_optimize(recipe=whole).steps == 9
    values: dict[str, Any] = {"steps": 4}
    assert build_optimize(recipe=Recipe(**values)).steps == 4


def test_a_recipe_has_the_settings_of_its_own_method_alone():
    optimize, instant = build().model_dump(), build({"method": "instant"}).model_dump()
    assert set(optimize) - set(instant) >= {"steps", "style_layers", "kernel", "seamless"}
    assert set(instant) - set(optimize) == {"statistics"}
    values: dict[str, Any] = {"method": "instant"}
    for recipe in (Recipe(**values), Recipe.model_validate(values)):
        assert set(recipe.model_dump()) == set(instant)


@pytest.mark.parametrize("method", METHODS.names())
def test_recipes_written_before_methods_had_settings_of_their_own_mean_the_same(method):
    recipe = build({"method": method})
    every = [build({"method": name}).model_dump(mode="json") for name in METHODS.names()]
    whole = {name: value for values in every for name, value in values.items()}
    assert build(recipe={**whole, **recipe.model_dump(mode="json")}) == recipe


def test_a_setting_of_another_method_is_refused_where_it_is_given_explicitly():
    with pytest.raises(RecipeError, match="steps means nothing to the method instant"):
        build({"method": "instant", "steps": 3})
    with pytest.raises(RecipeError, match="statistics means nothing to the method optimize"):
        build({"statistics": "thumbnail"})
    with pytest.raises(RecipeError, match="the preset tutorial isn't for the method instant"):
        build({"method": "instant"}, preset="tutorial")


@pytest.mark.parametrize("make", [build, Recipe.model_validate, lambda values: Recipe(**values)])
@pytest.mark.parametrize("name", ["sketch", "", 3])
def test_a_method_that_there_is_not_is_refused_in_one_sentence(make, name):
    sentence = re.escape(f"there is no method '{name}'; choose one of: optimize, instant")
    with pytest.raises(RecipeError, match=sentence):
        make({"method": name})


def test_the_schema_of_all_settings_has_those_of_every_method_once():
    properties = settings_schema()["properties"]
    assert list(properties) == list(all_settings())
    assert properties["method"]["enum"] == ["optimize", "instant", "learned"]
    for name in METHODS.names():
        for setting, field in METHODS[name].settings.model_fields.items():
            assert properties[setting]["description"] == field.description


def test_layers_can_be_written_in_several_ways():
    expected = {"block4_conv2": 1.0, "block5_conv1": 0.5}
    for value in ("relu4_2,block5_conv1:0.5", ["relu4_2", "relu5_1:0.5"], expected):
        assert build_optimize({"content_layers": value}).content_layers == expected


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"stepps": 5}, "there is no setting 'stepps'; did you mean 'steps'"),
        ({"steps": 0}, "steps should be greater than or equal to 1, not 0"),
        ({"steps": "many"}, "steps should be a valid integer"),
        ({"size": 31}, "size should be at least 32"),
        ({"solver": "adamm"}, "solver should be 'adam' or 'lbfgs', not 'adamm'"),
        ({"style_weight": -1}, "style_weight should be greater than or equal to 0"),
        ({"style_weight": float("nan")}, "style_weight should be a finite number"),
        ({"style_layers": "block4_con1"}, "there is no layer 'block4_con1'"),
        ({"style_layers": "relu1_1:x"}, "weight isn't a number"),
        ({"style_layers": "relu1_1:0"}, "weights are all zero"),
        ({"style_layers": ""}, "no layer was named"),
        ({"content_layers": 7}, "content_layers should be"),
        ({"preset": "tutorail"}, "there is no preset 'tutorail'; did you mean 'tutorial'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(settings, sentence):
    preset = settings.pop("preset", None)
    with pytest.raises(RecipeError, match=sentence) as error:
        build(settings, preset=preset)
    assert "\n" not in str(error.value)


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        build_optimize().steps = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("steps = = 3", "isn't valid TOML"),
        ("stepps = 3", "did you mean 'steps'"),
        ("steps = 0", "greater than or equal to 1"),
    ],
)
def test_recipe_files_are_checked(content, sentence, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(content)
    with pytest.raises(RecipeError, match=sentence):
        build(recipe=path)


def test_missing_recipe_files(tmp_path):
    with pytest.raises(RecipeError, match="no such recipe"):
        build(recipe=tmp_path / "none.toml")
    with pytest.raises(RecipeError, match="no such preset"):
        build(preset=str(tmp_path / "none.toml"))
    with pytest.raises(RecipeError, match="is a folder"):
        build(recipe=tmp_path)
    with pytest.raises(RecipeError, match="choose one of them"):
        build(preset="tutorial", recipe=Recipe())


@pytest.mark.parametrize(
    ("setting", "text", "sentence"),
    [
        ("size", "1024px", "size should be a valid integer, such as 1024, not '1024px'"),
        ("strength", "--fast", "strength should be a valid number, such as 0.5, not '--fast'"),
        ("seamless", "maybe", "seamless should be yes or no, not 'maybe'"),
    ],
)
def test_text_that_is_no_number_is_explained(setting, text, sentence):
    with pytest.raises(RecipeError, match=re.escape(sentence)):
        build({setting: text})


@pytest.mark.parametrize(
    "text", ["size = " + "1" * 5000, "size = 0x" + "f" * 5000, "x = " + "[" * 100_000]
)
def test_hostile_toml_is_refused_in_one_sentence(text, tmp_path):
    path = tmp_path / "hostile.toml"
    path.write_text(text)
    with pytest.raises(RecipeError):
        build(recipe=path)
    (user_preset_folder() / "hostile.toml").parent.mkdir(parents=True, exist_ok=True)
    path.replace(user_preset_folder() / "hostile.toml")
    assert "hostile" in presets()


def test_bounds_are_those_of_the_schema():
    assert bounds("strength") == (0, 100)
    assert bounds("style_scale") == (0.1, 8)
    assert bounds("style_weight") == (0, float("inf"))  # a bound of its annotated type
    assert bounds("lr") == (-float("inf"), float("inf"))  # its bound is exclusive
    assert bounds("mask") == (-float("inf"), float("inf"))


@pytest.mark.parametrize("name", ["strength", "style_scale", "trim", "polish"])
def test_values_at_the_bounds_are_allowed_and_those_beyond_are_not(name):
    low, high = bounds(name)
    for allowed in (low, high):
        assert getattr(build({name: allowed}), name) == allowed
    for refused in (low - 1, high + 1):
        with pytest.raises(RecipeError, match=f"{name} should be"):
            build({name: refused})
