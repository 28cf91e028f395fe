"""The note that a stylized image carries about how it was made, as JSON in the file itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from impasto.errors import RecipeError, reason

PNG_KEY = "impasto"
"""The keyword of the PNG text chunk. Other formats hold the same text as EXIF ImageDescription."""
EXIF_IMAGE_DESCRIPTION = 0x010E


def to_text(note: dict[str, Any]) -> str:
    """One line of JSON, in plain ASCII so that every format can hold it."""
    return json.dumps({"made by": "impasto", **note}, separators=(",", ":"), ensure_ascii=True)


def read_note(path: Path) -> dict[str, Any]:
    """The note inside an image that impasto made. Raises RecipeError: unreadable, or no note."""
    try:
        with Image.open(path) as image:
            text = getattr(image, "text", {}).get(PNG_KEY)
            text = text or image.getexif().get(EXIF_IMAGE_DESCRIPTION, "")
            note = json.loads(str(text)) if text else None
    except UnidentifiedImageError as error:
        raise RecipeError(f"{path} is neither a TOML recipe nor an image that holds one") from error
    except json.JSONDecodeError:
        note = None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        why = reason(error) if isinstance(error, OSError) and error.strerror else str(error)
        raise RecipeError(f"{path} can't be read: {why}") from error
    if not _is_note(note):
        raise RecipeError(
            f"{path} holds no recipe; only pictures made by impasto (without --no-metadata) do"
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
