"""The user's library of learned styles: a folder of style files."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from impasto.base import files, folders
from impasto.base.errors import OutputError, StyleFileError, unknown
from impasto.networks import styles as built_in
from impasto.styles import bundled
from impasto.styles.style_file import (
    SUFFIX,
    StyleDescription,
    read_bytes,
    read_info,
    read_parameters,
)

MAX_NAME_LETTERS = 80
"""Largest length of a name, characters."""
NAME = re.compile(rf"[\w][\w .-]{{0,{MAX_NAME_LETTERS - 1}}}", re.UNICODE)
"""Pattern of the names of styles in the library, which are also names of files."""


def folder() -> Path | None:
    """Return the folder of the library, or None if the user has no home folder."""
    data = folders.data_folder()
    return None if data is None else data / "styles"


def styles() -> dict[str, Path]:
    """Return the styles of the library: name → style file, in alphabetical order."""
    place = folder()
    if place is None or not files.is_folder(place):
        return {}
    return {path.stem: path for path in sorted(place.glob(f"*{SUFFIX}")) if files.is_file(path)}


def find(name: str) -> Path:
    """Return the file of a style in the library.

    Raises:
        StyleFileError: There is no such style.
    """
    known = styles()
    if name not in known:
        if not known:
            raise StyleFileError(f"there is no style '{name}' in your library, which is empty")
        raise StyleFileError(unknown("style of yours", name, known))
    return known[name]


def add(path: Path, name: str | None = None, *, force: bool = False) -> Path:
    """Copy a style file to the library, and return the copy.

    Args:
        path: The style file.
        name: The name in the library. By default, the name of the file.
        force: Whether to replace an existing style with that name.

    Returns:
        The file in the library.

    Raises:
        StyleFileError: The file isn't a style file, or is damaged.
        OutputError: A style with that name exists, or the name or the folder can't be used.
    """
    data = read_bytes(path)
    read_parameters(data, str(path))
    target = new_file(name or path.stem, force=force)
    files.write_atomically(target, data)
    return target


def add_new(data: bytes, name: str) -> str:
    """Add a new style, and return its name in the library.

    A name that is taken gets a number. If the same file has been added before, the library isn't
    changed, so a repeated call is harmless.

    Args:
        data: The bytes of the style file.
        name: The preferred name.

    Raises:
        OutputError: The name or the folder can't be used.
    """
    for candidate in _numbered(name):
        if _comes_with_impasto(candidate):
            continue
        target = _target(candidate)
        if files.is_file(target) and read_bytes(target) == data:
            return candidate
        if not files.exists(target):
            break
    files.make_folder(target.parent, parents=True)
    files.write_atomically(target, data)
    return candidate


def _numbered(name: str) -> Iterator[str]:
    """Yield ``name``, ``name-2``, ``name-3``, …, cut to ``MAX_NAME_LETTERS``."""
    yield name
    for number in itertools.count(2):
        ending = f"-{number}"
        yield name[: MAX_NAME_LETTERS - len(ending)] + ending


def new_file(name: str, *, force: bool = False) -> Path:
    """Return the path of a new style in the library, and make the folder if it doesn't exist.

    Args:
        name: The name of the style.
        force: Whether an existing style with that name may be replaced.

    Raises:
        OutputError: A style with that name exists, or the name or the folder can't be used.
    """
    target = _target(name)
    files.make_folder(target.parent, parents=True)
    files.check_writable(target, force=force)
    return target


def rename(old: str, new: str) -> Path:
    """Rename a style in the library, and return its file.

    Args:
        old: The current name.
        new: The new name.

    Raises:
        StyleFileError: There is no such style.
        OutputError: A style with the new name exists, or the name can't be used.
    """
    source, target = find(old), _target(new)
    files.check_writable(target)
    source.rename(target)
    return target


def remove(name: str) -> None:
    """Delete a style from the library.

    Raises:
        StyleFileError: There is no such style.
    """
    find(name).unlink()


def info_of(path: Path) -> StyleDescription:
    """Return the description of a style file.

    Raises:
        StyleFileError: The file can't be read, isn't a style file, or is damaged.
    """
    return read_info(read_bytes(path), str(path))


def _target(name: str) -> Path:
    """Return the path of a style in the library.

    Raises:
        OutputError: There is no library, or the name can't be used.
    """
    place = folder()
    if place is None:
        raise OutputError("there is no folder for your styles, because you have no home folder")
    if not NAME.fullmatch(name):
        raise OutputError(f"'{name[:80]}' can't be the name of a style; use letters and digits")
    if _comes_with_impasto(name):
        raise OutputError(f"{name} is a style that comes with impasto; choose another name")
    return place / f"{name}{SUFFIX}"


def _comes_with_impasto(name: str) -> bool:
    """Return whether a name is that of a bundled painting or a built-in style."""
    return name in bundled.paintings() or name in built_in.NAMES
