"""The note that a stylized image carries about how it was made, as JSON in the file itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

from PIL import UnidentifiedImageError

from impasto.base.errors import ImageError, RecipeError, reason
from impasto.images import png_chunks
from impasto.images.limits import LARGE
from impasto.images.opening import DAMAGE, damaged, open_image

PNG_KEY = "impasto"
"""The keyword of the PNG text chunk. Other formats hold the same text as EXIF ImageDescription."""
EXIF_IMAGE_DESCRIPTION = 0x010E


def to_text(note: dict[str, Any]) -> str:
    """One line of JSON, in plain ASCII so that every format can hold it."""
    return json.dumps({"made by": "impasto", **note}, separators=(",", ":"), ensure_ascii=True)


def read_note(path: Path) -> dict[str, Any]:
    """The note inside an image that impasto made. Raises RecipeError: unreadable, or no note."""
    try:
        with path.open("rb") as file:
            return note_in(file, str(path))
    except OSError as error:
        raise RecipeError(f"{path} can't be read: {reason(error)}") from error


def note_in(file: BinaryIO, name: str) -> dict[str, Any]:
    """``read_note`` of an open file, of any size: no pixel is decoded."""
    try:
        if png_chunks.is_png_file(file):
            png_chunks.check_chunks(file, name)
            text = png_chunks.text(file.read(), PNG_KEY)
        else:
            with open_image(file, name, LARGE) as image:
                text = image.getexif().get(EXIF_IMAGE_DESCRIPTION)
        note = json.loads(str(text)) if text else None
    except (json.JSONDecodeError, RecursionError):
        note = None
    except ImageError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            why = f"{name} is neither a TOML recipe nor an image that holds one"
            raise RecipeError(why) from error
        raise RecipeError(str(error)) from error
    except DAMAGE as error:
        raise RecipeError(str(damaged(name, error))) from error
    if not _is_note(note):
        raise RecipeError(
            f"{name} holds no recipe; only pictures made by impasto (without --no-metadata) do"
        )
    assert isinstance(note, dict)
    return note


def _is_note(note: Any) -> bool:
    """Whether it has the recipe and the images that ``Job.note`` writes down."""
    if not isinstance(note, dict) or not isinstance(note.get("recipe"), dict):
        return False
    styles = note.get("styles", [])
    images = [note.get("content", {}), *(styles if isinstance(styles, list) else [None])]
    return all(isinstance(image, dict) for image in images) and all(
        isinstance(style.get("weight", 1.0), (int, float)) for style in images[1:]
    )
