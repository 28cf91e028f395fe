"""Opening image files: their type and size, without decoding them. Without torch."""

from __future__ import annotations

import importlib
import io
import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from impasto.base import extras
from impasto.base.errors import ImageError
from impasto.images import png_chunks
from impasto.images.limits import Limits

PIXELS_PER_MPX = 1_000_000

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "PPM", "JPEG2000")
"""Pillow knows more, but some of them run other programs (EPS), and nobody photographs in them."""

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx",
               b"hevm", b"hevs", b"mif1", b"msf1")  # fmt: skip
"""Brands of files with HEVC pictures (ISO/IEC 23008-12, annex B). AVIF files have other ones."""
PREFIX_BYTES = 16
NOT_OF_THIS_TYPE = (SyntaxError, IndexError, TypeError, struct.error)
"""Exceptions of a Pillow plug-in for a file of another type."""
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, RuntimeError,
    ArithmeticError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow raises for a damaged file depends on where in the file the damage is."""
Accept = Callable[[bytes], bool | str]
"""A function of a file's first bytes that says whether a plug-in of Pillow can read it."""


def open_image(file: BinaryIO, name: str, limits: Limits) -> Image.Image:
    """Open the image in a file, of a type that the bytes tell, without decoding it.

    Its metadata has no text of PNG files, see ``png_chunks.prepared``.

    Raises:
        ImageError: It isn't an image, or has more pixels than the limit.
    """
    try:
        if png_chunks.is_png_file(file):
            png_chunks.check_chunks(file, name)
            file = io.BytesIO(png_chunks.prepared(file.read()))
        image = opened(file)
    except UnidentifiedImageError as error:
        if _is_heic(file):
            raise extras.missing_error("heic", name) from error
        raise ImageError(
            f"{name} isn't an image of a known type (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC)"
        ) from error
    except Image.DecompressionBombError as error:  # some plug-ins check by themselves
        raise ImageError(f"{name} has too many pixels for a file of its type") from error
    except DAMAGE as error:
        raise damaged(name, error) from error
    check_pixels(image.width, image.height, name, limits)
    return image


def opened(file: BinaryIO) -> Image.Image:
    """Open the image in a file, whatever its size, without decoding it.

    As ``Image.open``, but for its check of the number of pixels, which only a variable of the
    module turns off, for all of the process. Ours has a limit of its own.

    Raises:
        UnidentifiedImageError: It is of none of ``FORMATS``.
    """
    Image.init()
    start = file.tell()
    prefix = file.read(PREFIX_BYTES)
    plugins = {**Image.OPEN, **_heic_plugin()}
    for name in FORMATS:
        if name not in plugins:
            continue
        factory, accept = plugins[name]
        accepted = accept is None or accept(prefix)
        if not accepted or isinstance(accepted, str):  # a string says why not
            continue
        file.seek(start)
        try:
            image: Image.Image = factory(file, "")
        except NOT_OF_THIS_TYPE:
            continue
        return image
    raise UnidentifiedImageError("of no known type")


def damaged(name: str, error: Exception) -> ImageError:
    """What to say of one of ``DAMAGE``."""
    return ImageError(f"{name} is damaged or cut short: {error}")


def check_pixels(width: int, height: int, name: str, limits: Limits) -> None:
    """Raises ImageError: more than the limit."""
    if width * height > limits.max_megapixels * PIXELS_PER_MPX:
        raise ImageError(
            f"{name} is {width}×{height} px; the limit is {limits.max_megapixels:g} megapixels"
        )


def _heic_plugin() -> dict[str, tuple[Callable[[BinaryIO, str], Image.Image], Accept]]:
    """Return the plug-in for HEIC, if it is installed, as an entry of ``Image.OPEN``.

    It isn't registered there, which would change what Pillow reads for all of the process.
    """
    try:
        plugin = importlib.import_module("pillow_heif").HeifImageFile
    except ImportError:
        return {}
    return {"HEIF": (plugin, lambda prefix: _heic_brand(prefix) in HEIC_BRANDS)}


def _is_heic(file: BinaryIO) -> bool:
    """Return whether a file says of itself that it is HEIC."""
    file.seek(0)
    return _heic_brand(file.read(PREFIX_BYTES)) in HEIC_BRANDS


def _heic_brand(prefix: bytes) -> bytes:
    """Return the brand in a FileTypeBox (ISO/IEC 14496-12, section 4.3); b"" without such a box."""
    return prefix[8:12] if prefix[4:8] == b"ftyp" else b""
