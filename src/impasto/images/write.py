"""Writing images: PNG (8 or 16 bit), JPEG, WebP and TIFF, in sRGB and saying so."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from impasto.errors import OutputError, unknown
from impasto.images import metadata
from impasto.images.paper import MM_PER_INCH

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
BAND_ROWS = 256


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
        if self.bit_depth == 16 and self.format != "png":
            raise OutputError(f"16 bits per channel need PNG, not {self.format.upper()}")


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


def encode(pixels: np.ndarray, encoding: Encoding) -> bytes:
    """(H, W, 3) or (H, W, 4) float in [0, 1] → a file's bytes. JPEG, which has no transparency,
    gets a white background.
    """
    if encoding.bit_depth == 16:
        return _png_16_bit(quantize(pixels, 16), encoding)
    if encoding.format == "jpeg" and pixels.shape[2] == 4:
        pixels = pixels[:, :, :3] * pixels[:, :, 3:] + (1 - pixels[:, :, 3:])
    return encode_image(Image.fromarray(quantize(pixels, 8)), encoding)


def encode_image(image: Image.Image, encoding: Encoding) -> bytes:
    """An image with 8 bits per channel, in sRGB → a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, format=encoding.format, icc_profile=srgb_profile(), **_options(encoding))
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


def _options(encoding: Encoding) -> dict[str, Any]:
    text = None if encoding.note is None else metadata.to_text(encoding.note)
    exif = Image.Exif()
    if text is not None:
        exif[metadata.EXIF_IMAGE_DESCRIPTION] = text
    dpi = {} if encoding.dpi is None else {"dpi": (encoding.dpi, encoding.dpi)}
    match encoding.format:
        case "png":
            information = PngImagePlugin.PngInfo()
            if text is not None:
                information.add_text(metadata.PNG_KEY, text)
            return {"pnginfo": information, **dpi}
        case "jpeg":
            return {"quality": JPEG_QUALITY, "subsampling": 0, "exif": exif, **dpi}
        case "webp":
            if encoding.dpi is not None:  # in inches
                exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = encoding.dpi
                exif[ExifTags.Base.ResolutionUnit] = 2
            return {"quality": WEBP_QUALITY, "exif": exif}
        case "tiff":
            return {"compression": "tiff_adobe_deflate", "exif": exif, **dpi}


def _png_16_bit(samples: np.ndarray, encoding: Encoding) -> bytes:
    """Pillow can't write 16-bit colour; the format is simple (PNG specification, W3C 2003).

    Every row is stored as its difference from the row above (filter type 2, "Up").
    """
    height, width, channels = samples.shape
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)  # (H, bytes per row)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), 2, np.uint8), rows - above])
    colour_type = {3: 2, 4: 6}[channels]
    chunks = [
        (b"IHDR", struct.pack(">2I5B", width, height, 16, colour_type, 0, 0, 0)),
        (b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile())),
    ]
    if encoding.dpi is not None:
        per_metre = round(encoding.dpi * 1000 / MM_PER_INCH)
        chunks.append((b"pHYs", struct.pack(">2IB", per_metre, per_metre, 1)))
    if encoding.note is not None:
        text = f"{metadata.PNG_KEY}\0{metadata.to_text(encoding.note)}"
        chunks.append((b"tEXt", text.encode("latin-1")))
    chunks += [(b"IDAT", zlib.compress(filtered.tobytes(), level=6)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
