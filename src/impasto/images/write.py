"""Writing images: PNG and TIFF (8 or 16 bit), JPEG and WebP, in sRGB and saying so."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import numpy as np
import tifffile
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from impasto.base.errors import OutputError, unknown
from impasto.images import metadata
from impasto.images.paper import MM_PER_INCH
from impasto.images.png import Chunk, write_png

Format = Literal["png", "jpeg", "webp", "tiff"]
BitDepth = Literal[8, 16]

FORMATS: tuple[str, ...] = get_args(Format)
EXTENSIONS: dict[str, Format] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}

JPEG_QUALITY = 95
WEBP_QUALITY = 92
BAND_ROWS = TILE_PX = 256


@dataclass(frozen=True)
class Encoding:
    """How pixels become bytes. ``note`` and ``dpi`` go into the file; None leaves them out."""

    format: Format = "png"
    bit_depth: BitDepth = 8
    note: dict[str, Any] | None = None
    dpi: int | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise OutputError(unknown("output format", str(self.format), FORMATS))
        if self.bit_depth not in get_args(BitDepth):
            raise OutputError(f"a picture has 8 or 16 bits per channel, not {self.bit_depth}")
        if self.bit_depth == 16 and self.format not in ("png", "tiff"):
            raise OutputError(f"16 bits per channel need PNG or TIFF, not {self.format.upper()}")


def format_for(path: Path) -> Format:
    """The format that a file name asks for. Raises OutputError for an extension that none has."""
    try:
        return EXTENSIONS[path.suffix.lower()]
    except KeyError:
        if not path.suffix:
            raise OutputError(
                f"{path} has no extension; use one of {' '.join(EXTENSIONS)}, or --format"
            ) from None
        raise OutputError(unknown("output format", path.suffix, EXTENSIONS)) from None


def write(file: BinaryIO, pixels: np.ndarray, encoding: Encoding) -> None:
    """Write (H, W, 3) or (H, W, 4) float in [0, 1] to a file, which TIFF has to seek in. JPEG,
    which has no transparency, gets a white background.

    PNG and TIFF are written band by band, without a second copy of the picture.
    """

    def samples(top: int, bottom: int) -> np.ndarray:
        return quantize(pixels[top:bottom], encoding.bit_depth)

    match encoding.format:
        case "png":
            write_png(file, pixels.shape, encoding.bit_depth, samples, _png_chunks(encoding))
        case "tiff":
            _write_tiff(file, pixels, encoding)
        case _:
            if encoding.format == "jpeg" and pixels.shape[2] == 4:
                pixels = pixels[:, :, :3] * pixels[:, :, 3:] + (1 - pixels[:, :, 3:])
            _save(file, Image.fromarray(quantize(pixels, 8)), encoding)


def encode(pixels: np.ndarray, encoding: Encoding) -> bytes:
    """The same → a file's bytes."""
    buffer = io.BytesIO()
    write(buffer, pixels, encoding)
    return buffer.getvalue()


def encode_image(image: Image.Image, encoding: Encoding) -> bytes:
    """An image with 8 bits per channel, in sRGB → a file's bytes."""
    buffer = io.BytesIO()
    _save(buffer, image, encoding)
    return buffer.getvalue()


def quantize(pixels: np.ndarray, bits: BitDepth) -> np.ndarray:
    """Float in [0, 1] → uint8 or uint16, rounded to nearest."""
    most = np.float32(2**bits - 1)
    samples = np.empty(pixels.shape, np.uint8 if bits == 8 else np.uint16)
    for top in range(0, len(pixels), BAND_ROWS):  # no second copy in float of a poster
        band = pixels[top : top + BAND_ROWS] * most
        samples[top : top + BAND_ROWS] = np.rint(band, out=band).clip(0, most, out=band)
    return samples


@cache
def srgb_profile() -> bytes:
    """An sRGB ICC profile, always the same bytes: the library dates it with today."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    date = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return profile[:24] + date + profile[36:]


def _save(file: BinaryIO, image: Image.Image, encoding: Encoding) -> None:
    """By Pillow."""
    exif = Image.Exif()
    if encoding.note is not None:
        exif[metadata.EXIF_IMAGE_DESCRIPTION] = metadata.to_text(encoding.note)
    options: dict[str, Any] = {"exif": exif}
    if encoding.dpi is not None:
        options["dpi"] = (encoding.dpi, encoding.dpi)
    match encoding.format:
        case "png":
            information = PngImagePlugin.PngInfo()
            for kind, data in _png_chunks(encoding):
                information.add(kind, data)
            options = {"pnginfo": information}
        case "jpeg":
            options |= {"quality": JPEG_QUALITY, "subsampling": 0}
        case "webp":
            if encoding.dpi is not None:  # in inches
                exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = encoding.dpi
                exif[ExifTags.Base.ResolutionUnit] = 2
            options = {"quality": WEBP_QUALITY, "exif": exif}
        case "tiff":
            options["compression"] = "tiff_adobe_deflate"
    image.save(file, format=encoding.format, icc_profile=srgb_profile(), **options)


def _png_chunks(encoding: Encoding) -> list[Chunk]:
    chunks = [(b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile()))]
    if encoding.dpi is not None:
        per_metre = round(encoding.dpi * 1000 / MM_PER_INCH)
        chunks.append((b"pHYs", struct.pack(">2IB", per_metre, per_metre, 1)))
    if encoding.note is not None:
        text = f"{metadata.PNG_KEY}\0{metadata.to_text(encoding.note)}"
        chunks.append((b"tEXt", text.encode("latin-1")))
    return chunks


def _write_tiff(file: BinaryIO, pixels: np.ndarray, encoding: Encoding) -> None:
    """In tiles, as programs for large pictures like it."""
    height, width, channels = pixels.shape

    def tiles() -> Iterator[np.ndarray]:
        for top, left in product(range(0, height, TILE_PX), range(0, width, TILE_PX)):
            part = pixels[top : top + TILE_PX, left : left + TILE_PX]
            beyond = (0, TILE_PX - part.shape[0]), (0, TILE_PX - part.shape[1]), (0, 0)
            yield np.pad(quantize(part, encoding.bit_depth), beyond)

    with tifffile.TiffWriter(file) as tiff:
        tiff.write(
            tiles(),
            shape=pixels.shape,
            dtype=np.uint8 if encoding.bit_depth == 8 else np.uint16,
            tile=(TILE_PX, TILE_PX),
            photometric="rgb",
            extrasamples=["unassalpha"] if channels == 4 else None,
            compression="adobe_deflate",
            predictor=True,
            maxworkers=os.cpu_count(),
            iccprofile=srgb_profile(),
            description=None if encoding.note is None else metadata.to_text(encoding.note),
            software=False,
            metadata=None,
            resolution=(encoding.dpi or 1,) * 2,
            resolutionunit="none" if encoding.dpi is None else "inch",
        )
