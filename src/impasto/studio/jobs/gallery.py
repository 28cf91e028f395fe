"""Thumbnails of the styles in the studio."""

from __future__ import annotations

import io

from impasto.base.errors import StyleFileError
from impasto.networks import styles
from impasto.styles import catalogue

THUMBNAIL_QUALITY = 85


def thumbnail(name: str) -> bytes | None:
    """Return a JPEG of 128 px of a style, or None if there is none of that name."""
    try:
        entry = catalogue.find(name)
        if entry.origin == "built-in":
            return styles.thumbnail(name)
        small = entry.thumbnail()
    except StyleFileError:
        return None
    buffer = io.BytesIO()
    small.save(buffer, "jpeg", quality=THUMBNAIL_QUALITY)
    return buffer.getvalue()
