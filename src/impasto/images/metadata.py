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
    except (OSError, SyntaxError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) and error.strerror else str(error)
        raise RecipeError(f"{path} can't be read: {why}") from error
    if not isinstance(note, dict) or not isinstance(note.get("recipe"), dict):
        raise RecipeError(
            f"{path} holds no recipe; only pictures made by impasto (without --no-metadata) do"
        )
    return note
