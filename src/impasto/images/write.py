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
from PIL import Image, ImageCms, PngImagePlugin

from impasto.errors import OutputError, unknown
from impasto.images import metadata

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


@dataclass(frozen=True)
class Encoding:
    """How pixels become bytes. ``note`` goes into the file; None leaves it out."""

    format: Format = "png"
    bit_depth: BitDepth = 8
    note: dict[str, Any] | None = None

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
        return _png_16_bit(quantize(pixels, 16), encoding.note)
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
    most = 2**bits - 1
    kind = np.uint8 if bits == 8 else np.uint16
    samples: np.ndarray = np.rint(np.clip(pixels, 0, 1).astype(np.float64) * most).astype(kind)
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
    match encoding.format:
        case "png":
            information = PngImagePlugin.PngInfo()
            if text is not None:
                information.add_text(metadata.PNG_KEY, text)
            return {"pnginfo": information}
        case "jpeg":
            return {"quality": JPEG_QUALITY, "subsampling": 0, "exif": exif}
        case "webp":
            return {"quality": WEBP_QUALITY, "exif": exif}
        case "tiff":
            return {"compression": "tiff_adobe_deflate", "exif": exif}


def _png_16_bit(samples: np.ndarray, note: dict[str, Any] | None) -> bytes:
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
    if note is not None:
        chunks.append((b"tEXt", f"{metadata.PNG_KEY}\0{metadata.to_text(note)}".encode("latin-1")))
    chunks += [(b"IDAT", zlib.compress(filtered.tobytes(), level=6)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
