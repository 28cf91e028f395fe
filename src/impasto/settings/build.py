"""Building a recipe from its layers: a preset, a stored recipe, and explicit settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from impasto.base.errors import RecipeError, unknown
from impasto.settings.methods import DEFAULT_METHOD, METHODS, all_settings
from impasto.settings.recipe import Recipe
from impasto.settings.recipe_files import DEFAULT_PRESET, load_preset, read_recipe_file

PLAIN_MESSAGES = {
    "int_parsing": "a valid integer, such as 1024",
    "float_parsing": "a valid number, such as 0.5",
    "bool_parsing": "yes or no",
}
"""Plainer words for Pydantic's messages about text that it can't convert: error type → words."""


def build(
    settings: Mapping[str, Any] | None = None,
    *,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
) -> Recipe:
    """Return a recipe from its layers: the method's defaults, the preset, the recipe, ``settings``.

    Each layer overrides the ones before it. Settings of other methods are left out of presets and
    recipes, because older pictures contain the settings of all methods. They are refused in
    ``settings``.

    Args:
        settings: Explicit settings by name.
        preset: The name of a preset, or a TOML file.
        recipe: A Recipe, a mapping, or a TOML file or picture that contains one.

    Raises:
        RecipeError: A setting is unknown or out of bounds, or two of them contradict each other.
    """
    if preset is not None and recipe is not None:
        raise RecipeError("a preset and a recipe were both given; choose one of them")
    settings, stored = settings or {}, _as_mapping(recipe)
    method_name = settings.get("method", stored.get("method"))
    default_preset = DEFAULT_PRESET if method_name is None else METHODS[str(method_name)].preset
    base = str(preset or stored.get("preset") or default_preset)
    if is_complete(stored):
        # A complete recipe needs no preset, so its preset may have been deleted.
        values = dict(METHODS[str(stored["method"])].settings.values_before)
    else:
        values = load_preset(base)
        preset_method = values.get("method", DEFAULT_METHOD)
        if method_name and preset and method_name != preset_method:
            raise RecipeError(
                f"the preset {base} isn't for the method {method_name}; leave out one of them"
            )
    method = METHODS[str(method_name or values.get("method", DEFAULT_METHOD))]
    values = method.settings.preset_values(values, {**stored, **settings})
    layers = without_other_methods({**values, **stored, "method": method.name})
    return validate({**layers, **settings, "preset": base})


def is_complete(values: Mapping[str, Any]) -> bool:
    """Return whether a recipe has every setting of its method.

    Settings that were added to the method later may be missing.
    """
    name = values.get("method")
    if not isinstance(name, str) or name not in METHODS:
        return False
    schema = METHODS[name].settings
    return set(schema.model_fields) - set(schema.values_before) <= set(values)


def without_other_methods(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without those that belong only to methods other than ``values["method"]``."""
    own, known = METHODS[str(values["method"])].settings.model_fields, all_settings()
    return {name: value for name, value in values.items() if name in own or name not in known}


def validate(values: Mapping[str, Any]) -> Recipe:
    """Return the recipe with these settings, and the defaults for all others.

    Raises:
        RecipeError: A setting is wrong. The message is one sentence about the first such setting.
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
        message = PLAIN_MESSAGES.get(first["type"]) or first["msg"]
        message = message.removeprefix("Input should be ").removeprefix("Value error, ")
        raise RecipeError(f"{setting} should be {message}, not {_shown(first['input'])}") from error
    except OverflowError as error:
        raise RecipeError("a setting is a number that is too large") from error


def _shown(value: Any) -> str:
    """Return a value as text for an error message, in one line of at most 60 characters."""
    try:
        return " ".join(f"{value!r:.60}".split())
    except (ValueError, RecursionError):  # Python refuses to format more than 4,300 digits
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
