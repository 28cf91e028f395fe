"""Names of images and styles on the command line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from impasto.base import files
from impasto.base.errors import ImageError, RecipeError

STANDARD_STREAM = "-"
FILMS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv")
MAX_NAMED = 4
"""Images that an error message lists, at most."""


def check_input(name: str) -> None:
    """Raise ImageError if a name is not that of a file.

    The output is checked next, and its folder is by default that of the input: without this check,
    a mistake in the input's name would be reported as one in the output's.
    """
    if name == STANDARD_STREAM:
        return
    if not name:
        raise ImageError("the name of an image is empty")
    if "://" in name:
        raise ImageError(f"{name} is a web address; download the image and give its file")
    if files.is_folder(Path(name)):
        raise ImageError(f"{name} is a folder, not an image")
    if not files.exists(Path(name)):
        hint = "; in quotes, ~ does not stand for your home folder" if name[0] == "~" else ""
        raise ImageError(f"{name}: there is no such file{hint}")
    if Path(name).suffix.lower() in FILMS:
        raise ImageError(
            f"{name} is a film; paint it with: impasto video {shlex.quote(name)} STYLE"
        )


def weighted_style(text: str) -> tuple[str, float]:
    """Return path and weight of ``painting.jpg:0.7``.

    The weight is 1 where none is given, and where the whole text is the name of a file.
    """
    path, colon, weight = text.rpartition(":")
    if colon and path and not files.exists(Path(text)):
        try:
            return path, float(weight)
        except ValueError:
            pass
    return text, 1.0


def check_blend(images: Sequence[str], has_weight: Sequence[bool]) -> None:
    """Raise RecipeError if the images may be photos that a shell's * listed, and a painting.

    Args:
        images: The images as they were given.
        has_weight: Whether each of them has a weight, as a style to blend may have.
    """
    if len(images) < 3 or any(has_weight):
        return
    photos, painting = images[:-1], shlex.quote(images[-1])
    loop = shlex.join(photos) if len(photos) <= MAX_NAMED else f"{shlex.quote(photos[0])} ..."
    content, *styles = images
    blend = " ".join(f"--style {shlex.quote(style)}" for style in styles[:MAX_NAMED])
    more = " ..." if len(styles) > MAX_NAMED else ""
    raise RecipeError(
        f"{len(images)} images were given, and one photo is painted at a time. A picture of each"
        f' photo: for photo in {loop}; do impasto "$photo" {painting}; done. One photo in several'
        f" styles: impasto {shlex.quote(content)} {blend}{more}"
    )
