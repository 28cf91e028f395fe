"""Recipes from their layers: a preset, a recipe from a file or a picture, and explicit settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from impasto.base.errors import RecipeError, unknown
from impasto.settings.methods import DEFAULT_METHOD, METHODS, all_settings
from impasto.settings.recipe import Recipe
from impasto.settings.recipe_files import DEFAULT_PRESET, load_preset, read_recipe_file

PLAINER = {
    "int_parsing": "a valid integer, such as 1024",
    "float_parsing": "a valid number, such as 0.5",
    "bool_parsing": "yes or no",
}
"""Pydantic's sentences about text that it can't convert, in plainer words."""


def build(
    settings: Mapping[str, Any] | None = None,
    *,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
) -> Recipe:
    """Return a recipe from its layers, each over the one before: the method's defaults, the preset,
    the recipe, and ``settings``.

    Presets and recipes may contain settings of other methods, which are left out: pictures made
    before methods had settings of their own contain all of them. Explicit ones are refused.

    Args:
        settings: Explicit settings by name.
        preset: A preset's name, or a TOML file.
        recipe: A Recipe, a mapping, or a TOML file or picture that contains one.

    Raises:
        RecipeError: Something in it is unknown, out of bounds or doesn't fit together.
    """
    if preset is not None and recipe is not None:
        raise RecipeError("a preset and a recipe were both given; choose one of them")
    settings, given = settings or {}, _as_mapping(recipe)
    wanted = settings.get("method", given.get("method"))
    start = DEFAULT_PRESET if wanted is None else METHODS[str(wanted)].preset
    base = str(preset or given.get("preset") or start)
    if is_complete(given):
        # It needs no preset, even if the one that it came from is gone.
        values = dict(METHODS[str(given["method"])].settings.values_before)
    else:
        values = load_preset(base)
        own_method = values.get("method", DEFAULT_METHOD)
        if wanted and preset and wanted != own_method:
            raise RecipeError(
                f"the preset {base} isn't for the method {wanted}; leave out one of them"
            )
    method = METHODS[str(wanted or values.get("method", DEFAULT_METHOD))]
    values = method.settings.preset_values(values, {**given, **settings})
    layers = without_other_methods({**values, **given, "method": method.name})
    return validate({**layers, **settings, "preset": base})


def is_complete(values: Mapping[str, Any]) -> bool:
    """Return whether a recipe has every setting of its method, but for those that were added since
    it was made.
    """
    name = values.get("method")
    if not isinstance(name, str) or name not in METHODS:
        return False
    schema = METHODS[name].settings
    return set(schema.model_fields) - set(schema.values_before) <= set(values)


def without_other_methods(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without those that only other methods than ``values["method"]`` have."""
    own, known = METHODS[str(values["method"])].settings.model_fields, all_settings()
    return {name: value for name, value in values.items() if name in own or name not in known}


def validate(values: Mapping[str, Any]) -> Recipe:
    """Return the recipe with these settings, the defaults for all others.

    Raises:
        RecipeError: One sentence about the first setting that is wrong.
    """
    method = METHODS[str(values.get("method", DEFAULT_METHOD))]
    for name in values:
        if name not in method.settings.model_fields:
            known = all_settings()
            if name in known:
                raise RecipeError(f"{name} means nothing to the method {method.name}; leave it out")
            raise RecipeError(unknown("setting", str(name), known))
    try:
        return method.settings.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        setting = ".".join(str(part) for part in first["loc"])
        message = PLAINER.get(first["type"]) or first["msg"]
        message = message.removeprefix("Input should be ").removeprefix("Value error, ")
        raise RecipeError(f"{setting} should be {message}, not {_shown(first['input'])}") from error
    except OverflowError as error:
        raise RecipeError("a setting is a number that is too large") from error


def _shown(value: Any) -> str:
    """Return a value as a sentence has it, in one line of at most 60 characters."""
    try:
        return " ".join(f"{value!r:.60}".split())
    except (ValueError, RecursionError):  # Python writes no number of over 4,300 digits
        return "a value that is too large to be shown"


def _as_mapping(recipe: Recipe | Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    match recipe:
        case None:
            return {}
        case Recipe():
            return recipe.model_dump(mode="json")
        case Mapping():
            return dict(recipe)
        case str() | Path():
            return read_recipe_file(Path(recipe))
        case _:
            raise RecipeError(f"a {type(recipe).__name__} isn't a recipe; give a mapping or a file")
