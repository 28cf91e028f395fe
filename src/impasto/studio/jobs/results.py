"""A finished picture in the format and size that somebody wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from impasto.base.errors import RecipeError
from impasto.images import metadata
from impasto.images.limits import LARGE
from impasto.images.opening import open_image
from impasto.images.write import Encoding, Format, encode_image

MEDIA_TYPES: dict[str, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "tiff": "image/tiff",
}


def converted(path: Path, format: Format, size: int | None, *, with_recipe: bool) -> bytes:
    """The picture in a PNG file as a file of another kind; ``size`` px at most on its long side."""
    note = _note(path) if with_recipe else None
    with path.open("rb") as file, open_image(file, path.name, LARGE) as image:
        dpi = round(image.info["dpi"][0]) if "dpi" in image.info else None
        image.load()
        if size is not None:
            image.thumbnail((size, size))
        if format == "jpeg" and image.mode == "RGBA":
            white = Image.new("RGBA", image.size, "white")
            flat = Image.alpha_composite(white, image).convert("RGB")
            return encode_image(flat, Encoding(format, note=note, dpi=dpi))
        return encode_image(image, Encoding(format, note=note, dpi=dpi))


def _note(path: Path) -> dict[str, Any] | None:
    try:
        return metadata.read_note(path)
    except RecipeError:
        return None
