"""Files with settings: presets, other TOML files, and pictures that impasto made."""

from __future__ import annotations

import glob
import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from impasto.base import files
from impasto.base.errors import RecipeError, reason, unknown
from impasto.base.folders import preset_folder
from impasto.settings.methods import DEFAULT_METHOD, METHODS, all_settings

DEFAULT_PRESET = "studio"


def read_recipe_file(path: Path) -> dict[str, Any]:
    """Return the settings in a TOML file or in a picture made by impasto.

    Raises:
        RecipeError: The file is missing, can't be read, or has no recipe.
    """
    if not files.exists(path):
        raise RecipeError(f"{path}: there is no such recipe")
    if files.is_folder(path):
        raise RecipeError(f"{path} is a folder, not a recipe")
    if path.suffix.lower() == ".toml":
        return _read_toml(path)
    from impasto.images import metadata  # noqa: PLC0415, help texts need no Pillow

    def found(name: str) -> str:
        return next(map(str, original_files(name, path)), name)

    return with_paths(metadata.read_note(path)["recipe"], found)


def original_files(name: str, picture: Path) -> Iterator[Path]:
    """Yield the files to which a name in a picture may refer, the likeliest first.

    A picture contains bare names. The search goes through the picture's folder, the working folder
    and the folder above the picture, and then through the subfolders of the first two. Names with
    folders come from older pictures.

    Args:
        name: The name of a file, as the picture has it.
        picture: The picture.
    """
    beside = Path(os.path.realpath(picture)).parent
    bare = Path(name).name
    for candidate in (beside / name, Path(name), beside / bare, beside.parent / bare):
        if files.is_file(candidate):
            yield candidate
    for folder in (beside, Path()):
        yield from sorted(filter(files.is_file, folder.glob(f"*/{glob.escape(bare)}")))


def file_settings(method: str | None = None) -> dict[str, tuple[str, ...]]:
    """Return the settings that name files, each with the values that aren't names of files.

    They are the settings of ``method``, or of all methods if there is no method of that name. A
    setting declares it by ``json_schema_extra={"file": [values that aren't files]}``.
    """
    is_known = method is not None and method in METHODS
    fields = METHODS[str(method)].settings.model_fields if is_known else all_settings()
    return {
        name: ("", "-", *field.json_schema_extra["file"])  # type: ignore[misc]
        for name, field in fields.items()
        if isinstance(field.json_schema_extra, dict) and "file" in field.json_schema_extra
    }


def with_paths(settings: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Return settings in which ``change`` has replaced the name of every file."""

    def changed(value: Any, keywords: tuple[str, ...]) -> Any:
        match value:
            case str() if value not in keywords:
                return change(value)
            case list() | tuple():
                return [changed(item, keywords) for item in value]
            case dict():
                renamed = {
                    changed(mask, keywords): changed(painting, keywords)
                    for mask, painting in value.items()
                }
                # Two masks that get the same name would become one region.
                return renamed if len(renamed) == len(value) else value
        return value

    method = str(settings.get("method", DEFAULT_METHOD))
    keywords_by_setting = {
        name: keywords for name, keywords in file_settings(method).items() if name in settings
    }
    if str(settings.get("preset", "")).endswith(".toml"):
        keywords_by_setting["preset"] = ()
    replaced = {
        name: changed(settings[name], keywords) for name, keywords in keywords_by_setting.items()
    }
    return {**settings, **replaced}


def _read_toml(path: Path) -> dict[str, Any]:
    """Return the settings in a TOML file, without its ``about``, or raise RecipeError."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path} isn't valid TOML: {error}") from error
    except OSError as error:
        raise RecipeError(f"{path} can't be read: {reason(error)}") from error
    values.pop("about", None)
    return values


@dataclass(frozen=True)
class Preset:
    """A partial recipe with a name.

    Attributes:
        name: The name of the preset.
        about: A description in a few words.
        file: The TOML file. None for the defaults of a method that has no preset file.
        method: The name of that method.
    """

    name: str
    about: str
    file: Path | None
    method: str | None = None

    def text(self) -> str:
        """Return the preset as the text of a TOML file.

        Raises:
            RecipeError: The file can't be read.
        """
        if self.file is None:
            # A JSON string is also a valid TOML string.
            about, method = (
                json.dumps(text, ensure_ascii=False) for text in (self.about, self.method)
            )
            return f"about = {about}\nmethod = {method}\n"
        try:
            return self.file.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise RecipeError(f"{self.file} can't be read: {reason(error)}") from error


def presets() -> dict[str, Preset]:
    """Return all presets by name.

    A user's preset replaces a built-in one of the same name. The defaults of a method that has no
    preset file are a preset with the method's name.
    """
    files_by_name = {
        path.stem: path
        for folder in (_built_in_preset_folder(), user_preset_folder())
        if folder is not None
        for path in sorted(folder.glob("*.toml"))
    }
    found = {name: Preset(name, _about(path), path) for name, path in files_by_name.items()}
    for name, method in METHODS.usable():
        if method.preset not in found:
            found[method.preset] = Preset(method.preset, method.summary, None, name)
    return found


def load_preset(name: str) -> dict[str, Any]:
    """Return the settings of a preset.

    A preset starts from the built-in preset that it names as ``preset``. If it names none, a user's
    preset starts from the default preset, and a built-in one from the defaults of the schema.

    Args:
        name: The name of the preset, or its TOML file.

    Raises:
        RecipeError: There is no such preset, or it isn't valid.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not files.is_file(path):
            raise RecipeError(f"{path}: there is no such preset")
    else:
        known = presets()
        if name not in known:
            raise RecipeError(unknown("preset", name, known))
        file = known[name].file
        if file is None:
            return {"method": known[name].method}
        path = file
    values = _read_toml(path)
    base = values.pop("preset", None)
    if base is None and path.parent != _built_in_preset_folder():
        base = DEFAULT_PRESET
    return values if base is None else {**_load_built_in_preset(str(base)), **values}


def _load_built_in_preset(name: str) -> dict[str, Any]:
    """Return the settings of a built-in preset, or raise RecipeError."""
    known = [path.stem for path in sorted(_built_in_preset_folder().glob("*.toml"))]
    if name not in known:
        raise RecipeError(unknown("built-in preset", name, known))
    values = _read_toml(_built_in_preset_folder() / f"{name}.toml")
    base = values.pop("preset", None)
    return values if base is None else {**_load_built_in_preset(str(base)), **values}


def _about(path: Path) -> str:
    """Return the description of a preset: the key ``about`` of its file."""
    try:
        return str(tomllib.loads(path.read_text(encoding="utf-8")).get("about", ""))
    except (OSError, ValueError, RecursionError):
        return "(can't be read)"


def _built_in_preset_folder() -> Path:
    """Return the folder of the built-in presets."""
    return Path(str(resources.files("impasto.settings").joinpath("presets")))


def user_preset_folder() -> Path | None:
    """Return the folder of a user's own presets, or None for a user without a home.

    Every TOML file in it is a preset with the name of the file.
    """
    return preset_folder()
