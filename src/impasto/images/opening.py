"""Opening image files: their type and size, without decoding them. Without torch."""

from __future__ import annotations

import importlib
import struct
import threading
import warnings
import zlib
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from impasto.errors import ImageError
from impasto.images.limits import Limits

PIXELS_PER_MPX = 1_000_000

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "PPM", "JPEG2000")
"""Pillow knows more, but some of them run other programs (EPS), and nobody photographs in them."""

DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, RuntimeError,
    ArithmeticError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow raises for a damaged file depends on where in the file the damage is."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_TEXT = (b"tEXt", b"zTXt", b"iTXt")

_bomb_guard = threading.Lock()


def open_image(file: BinaryIO, name: str, limits: Limits) -> Image.Image:
    """The image in a file, of a type that the bytes tell. Raises ImageError: none, or too large."""
    _register_plugins()
    try:
        # Pillow's own bomb check is set aside: ours has a limit of its own.
        with _bomb_guard, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            guard, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = opened(file)
            finally:
                Image.MAX_IMAGE_PIXELS = guard
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name} isn't an image of a known type (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF; HEIC"
            " with the package pillow-heif)"
        ) from error
    except DAMAGE as error:
        raise damaged(name, error) from error
    check_pixels(image.width, image.height, name, limits)
    return image


def png_without_text(data: bytes) -> bytes:
    """Return a PNG file without its text, which can be larger than Pillow accepts, and refuse an
    image whose pixels are fine; other files as they are.
    """
    if not data.startswith(PNG_SIGNATURE):
        return data
    parts, position = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        end = position + 12 + length
        if data[position + 4 : position + 8] not in PNG_TEXT:
            parts.append(data[position:end])
        position = end
    return b"".join(parts)


def opened(file: BinaryIO) -> Image.Image:
    """The image in a file, whatever its size."""
    Image.init()
    return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])


def damaged(name: str, error: Exception) -> ImageError:
    """What to say of one of ``DAMAGE``."""
    return ImageError(f"{name} is damaged or cut short: {error}")


def check_pixels(width: int, height: int, name: str, limits: Limits) -> None:
    """Raises ImageError: more than the limit."""
    if width * height > limits.max_megapixels * PIXELS_PER_MPX:
        raise ImageError(
            f"{name} is {width}×{height} px; the limit is {limits.max_megapixels:g} megapixels"
        )


def _register_plugins() -> None:
    """Let Pillow read HEIC where its plug-in is installed."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return
