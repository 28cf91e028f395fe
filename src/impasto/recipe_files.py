"""Files that settings come from: presets (TOML, some the user's own), and pictures made here."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import platformdirs

from impasto.errors import RecipeError, reason, unknown

DEFAULT_PRESET = "studio"


def read_recipe_file(path: Path) -> dict[str, Any]:
    """The settings in a TOML file or in a picture made by impasto. Raises RecipeError."""
    if not path.exists():
        raise RecipeError(f"{path}: there is no such recipe")
    if path.is_dir():
        raise RecipeError(f"{path} is a folder, not a recipe")
    if path.suffix.lower() == ".toml":
        return read_toml(path)
    from impasto.images import metadata  # Pillow is slow to import, and rarely needed here

    return dict(metadata.read_note(path)["recipe"])


def read_toml(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, without its ``about``. Raises RecipeError."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} isn't valid TOML: {error}") from error
    except OSError as error:
        raise RecipeError(f"{path} can't be read: {reason(error)}") from error
    values.pop("about", None)
    return values


def load_preset(name: str) -> dict[str, Any]:
    """The settings of a preset, by name or TOML file. Raises RecipeError.

    A preset starts from the built-in one that it names as ``preset``; where it names none, one of
    the user's own starts from the default preset, and a built-in one from Recipe's defaults.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise RecipeError(f"{path}: there is no such preset")
    else:
        known = preset_files()
        if name not in known:
            raise RecipeError(unknown("preset", name, known))
        path = known[name]
    values = read_toml(path)
    base = values.pop("preset", None)
    if base is None and path.parent != built_in_preset_folder():
        base = DEFAULT_PRESET
    return values if base is None else {**load_built_in_preset(str(base)), **values}


def load_built_in_preset(name: str) -> dict[str, Any]:
    """The settings of a preset that comes with impasto. Raises RecipeError."""
    known = [path.stem for path in sorted(built_in_preset_folder().glob("*.toml"))]
    if name not in known:
        raise RecipeError(unknown("built-in preset", name, known))
    values = read_toml(built_in_preset_folder() / f"{name}.toml")
    base = values.pop("preset", None)
    return values if base is None else {**load_built_in_preset(str(base)), **values}


def preset_about(path: Path) -> str:
    """What a preset says of itself: the key ``about`` of its file."""
    try:
        return str(tomllib.loads(path.read_text(encoding="utf-8")).get("about", ""))
    except (OSError, ValueError):
        return "(can't be read)"


def preset_files() -> dict[str, Path]:
    """Name → file of every preset: the built-in ones, then the user's own, which win."""
    return {
        path.stem: path
        for folder in (built_in_preset_folder(), user_preset_folder())
        for path in sorted(folder.glob("*.toml"))
    }


def built_in_preset_folder() -> Path:
    """Where the presets are that come with impasto."""
    return Path(str(resources.files("impasto").joinpath("presets")))


def user_preset_folder() -> Path:
    """Where a user's own presets are: any TOML file there is a preset of that name."""
    return platformdirs.user_config_path("impasto", appauthor=False) / "presets"
