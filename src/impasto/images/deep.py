"""Pictures of more than 8 bits per channel that are no TIFF. Pillow reduces these to 8 bits."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import imagecodecs
import numpy as np

from impasto.images import png_chunks
from impasto.images.opening import DAMAGE

HEADER_BYTES = 1 << 16
"""Number of bytes at the start of a file that hold its depth."""
PPM_SPACE = rb"(?:\s|#[^\n]*\n)+"
PPM_HEADER = re.compile(PPM_SPACE.join([rb"(P[36])", rb"(\d+)", rb"(\d+)", rb"(\d+)"]) + rb"\s")
WITHOUT_COMMENTS = re.compile(rb"#[^\n]*")
LUMA_AND_CHROMA = re.compile(rb"colr\x01..\0\0\0\x12", re.DOTALL)
"""The color specification of JPEG 2000 (T.800, I.5.3.3) for sYCC, which Pillow converts."""


def read_deep(data: bytes, file_type: str | None) -> np.ndarray | None:
    """Decode a file of more than 8 bits per channel.

    Args:
        data: The file.
        file_type: Pillow's name of its type.

    Returns:
        (H, W, 1 or 3 or 4) uint16, 0 to 65535, not turned upright; None for a file of 8 bits, of
        another type, or one that can't be decoded.
    """
    if file_type not in MAXIMUM or (maximum := MAXIMUM[file_type](data)) <= 255:
        return None
    samples = _decoded(data, file_type)
    if samples is None or samples.dtype != np.uint16:
        return None
    if maximum < 65535:
        samples = np.rint(samples * np.float32(65535 / maximum)).astype(np.uint16)
    return samples


def _decoded(data: bytes, file_type: str) -> np.ndarray | None:
    """Return the samples of a file (H, W, C), red first; None where it can't be decoded."""
    try:
        samples = DECODERS[file_type](data)
    except DAMAGE:  # Pillow says what is wrong with it
        return None
    if samples is None:
        return None
    samples = samples.reshape(*samples.shape[:2], -1)
    if samples.shape[2] == 2:  # grey and alpha
        samples = samples[..., [0, 0, 0, 1]]
    return samples


def _decode_jpeg_2000(data: bytes) -> np.ndarray | None:
    if LUMA_AND_CHROMA.search(data, 0, HEADER_BYTES):
        return None
    samples: np.ndarray = imagecodecs.jpeg2k_decode(data)
    return samples


def _decode_ppm(data: bytes) -> np.ndarray:
    """Decode a PPM file of 16-bit samples: P3 has them as text, P6 as big-endian numbers."""
    kind, width, height, _, *pixels = _ppm_parts(data)
    shape = int(height), int(width), 3
    if kind == b"P6":
        return np.frombuffer(pixels[0], ">u2", math.prod(shape)).reshape(shape).astype(np.uint16)
    words = WITHOUT_COMMENTS.sub(b" ", pixels[0]).split()
    return np.array(words[: math.prod(shape)], np.uint16).reshape(shape)


def _ppm_parts(data: bytes) -> tuple[bytes, ...]:
    """Return kind, width, height, maximum and pixels of a PPM file; () where that isn't one."""
    found = PPM_HEADER.match(data)
    return () if found is None else (*found.groups(), data[found.end() :])


def _png_maximum(data: bytes) -> int:
    maximum: int = 2 ** png_chunks.bit_depth(data) - 1
    return maximum


def _av1_maximum(data: bytes) -> int:
    """Read AV1CodecConfigurationBox: high_bitdepth and twelve_bit are bits of its third byte."""
    start = data.find(b"av1C", 0, HEADER_BYTES)
    flags = data[start + 6] if start >= 0 and start + 6 < len(data) else 0
    return 255 if not flags & 0x40 else 4095 if flags & 0x20 else 1023


def _jpeg_2000_maximum(data: bytes) -> int:
    """Read the depth of the first component from the marker segment SIZ (T.800, A.5.1)."""
    start = data.find(b"\xff\x51", 0, HEADER_BYTES)
    bits = (data[start + 40] & 0x7F) + 1 if start >= 0 and start + 40 < len(data) else 8
    maximum: int = 2**bits - 1
    return maximum


def _ppm_maximum(data: bytes) -> int:
    parts = _ppm_parts(data)
    return int(parts[3]) if parts else 255


MAXIMUM = {
    "PNG": _png_maximum,
    "AVIF": _av1_maximum,
    "JPEG2000": _jpeg_2000_maximum,
    "PPM": _ppm_maximum,
}
"""Functions of a file that return its highest value, by Pillow's names of their types."""
DECODERS: dict[str, Callable[[bytes], np.ndarray | None]] = {
    "PNG": lambda data: imagecodecs.png_decode(data),  # loads the decoder when it is used
    "AVIF": lambda data: imagecodecs.avif_decode(data, index=0),
    "JPEG2000": _decode_jpeg_2000,
    "PPM": _decode_ppm,
}
"""Decoders by the same names. Samples are as high as the file has them."""
