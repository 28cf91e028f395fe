"""Thumbnails of the styles in the studio."""

from __future__ import annotations

import io

from impasto.base.errors import StyleFileError
from impasto.networks import styles
from impasto.styles import catalogue

THUMBNAIL_QUALITY = 85


def thumbnail(name: str) -> bytes | None:
    """Return the thumbnail of a style as a JPEG file, or None if there is no such style."""
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
