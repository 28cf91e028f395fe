"""Converts a finished picture to the format and size that a client asks for."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from impasto.base.errors import RecipeError
from impasto.images import metadata
from impasto.images.limits import LARGE
from impasto.images.opening import open_image
from impasto.images.write import Encoding, Format, encode_image
from impasto.studio.jobs.models import JsonObject

MEDIA_TYPES: dict[str, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "tiff": "image/tiff",
}


def converted(path: Path, target: Format, size: int | None, *, with_recipe: bool) -> bytes:
    """Return the picture in a PNG file as a file of another format.

    Args:
        path: The PNG file.
        target: The format to convert to.
        size: The longest side in pixels. The picture is never enlarged.
        with_recipe: Keep the recipe that the file has inside.
    """
    note = _note(path) if with_recipe else None
    with path.open("rb") as file, open_image(file, path.name, LARGE) as image:
        dpi = round(image.info["dpi"][0]) if "dpi" in image.info else None
        image.load()
        if size is not None:
            image.thumbnail((size, size))
        if target == "jpeg" and image.mode == "RGBA":
            white = Image.new("RGBA", image.size, "white")
            flat = Image.alpha_composite(white, image).convert("RGB")
            return encode_image(flat, Encoding(target, note=note, dpi=dpi))
        return encode_image(image, Encoding(target, note=note, dpi=dpi))


def _note(path: Path) -> JsonObject | None:
    try:
        return metadata.read_note(path)
    except RecipeError:
        return None
