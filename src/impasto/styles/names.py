"""Resolution of paths and names of styles, as given on the command line or in a request.

A name is looked up in the user's library first, then among the bundled paintings, and then among
the built-in styles of the method ``instant``.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from impasto.base import files
from impasto.networks import styles as built_in
from impasto.styles import bundled, library
from impasto.styles.style_file import HEAD_BYTES, is_style_file, read_bytes, read_info

HASHED_BYTES = 50_000_000
"""Largest file that is compared with the bundled paintings, which are all far smaller."""


def is_built_in(name: str) -> bool:
    """Return whether a name selects a built-in style, and no file or style of the library."""
    return name in built_in.NAMES and not _is_taken(name)


def style_file(name: str) -> Path | None:
    """Return the style file that a path or a name selects, or None.

    The name of a bundled painting selects the style file that was learned from the painting.
    """
    path = Path(name)
    if files.is_file(path):
        with path.open("rb") as file:
            return path if is_style_file(file.read(HEAD_BYTES)) else None
    if files.exists(path):
        return None
    return library.styles().get(name) or bundled.learned_styles().get(name)


def painting(name: str) -> Path | None:
    """Return the bundled painting that a name selects, or None."""
    return None if files.exists(Path(name)) else bundled.paintings().get(name)


def learned_from(path: Path) -> str | None:
    """Return the name of the bundled style that was learned from a style image, or None.

    The image is recognised by the SHA-256 of its file.
    """
    if not files.is_file(path) or path.stat().st_size > HASHED_BYTES:
        return None
    return _by_source().get(hashlib.sha256(path.read_bytes()).hexdigest())


@cache
def _by_source() -> dict[str, str]:
    """Return a mapping from the SHA-256 of a style image to the name of its bundled style."""
    names: dict[str, str] = {}
    for name, path in bundled.learned_styles().items():
        for source in read_info(read_bytes(path), str(path)).sources:
            if source.sha256 is not None:
                names[source.sha256] = name
    return names


def _is_taken(name: str) -> bool:
    """Return whether a name is that of a file or of a style in the library."""
    return files.exists(Path(name)) or name in library.styles()


def all_names() -> list[str]:
    """Return the names of all styles: the user's library, the bundled and the built-in styles."""
    return list(dict.fromkeys([*library.styles(), *bundled.learned_styles(), *built_in.NAMES]))
