"""Pictures of more than 8 bits per channel that are no TIFF. Pillow reduces these to 8 bits."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from impasto.images import png_chunks

HEADER_BYTES = 1 << 16
"""Number of bytes at the start of a file that hold its depth."""


def read_deep(data: bytes, format: str | None) -> np.ndarray | None:
    """Decode a file of more than 8 bits per channel.

    Args:
        data: The file.
        format: Pillow's name of its type.

    Returns:
        (H, W, 1 or 3 or 4) uint16, 0 to 65535, not turned upright; None for a file of 8 bits, of
        another type, or one that OpenCV can't decode.
    """
    maximum = MAXIMUM[format](data) if format in MAXIMUM else 255
    if maximum <= 255:
        return None
    samples = _decoded(data)
    if samples is None or samples.dtype != np.uint16:
        return None
    if maximum < 65535:
        samples = np.rint(samples * np.float32(65535 / maximum)).astype(np.uint16)
    return samples


def _decoded(data: bytes) -> np.ndarray | None:
    """Return the samples of a file (H, W, C), red first; None where OpenCV can't decode it."""
    import cv2  # takes time to import, and is rarely needed here

    log: Any = cv2.utils.logging
    level = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)  # the caller's ImageError says what is wrong
    try:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    finally:
        log.setLogLevel(level)
    if samples is None:
        return None
    samples = samples.reshape(*samples.shape[:2], -1)
    if samples.shape[2] >= 3:  # OpenCV puts blue first
        samples[..., [0, 2]] = samples[..., [2, 0]]
    return samples


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
    header = re.sub(rb"#[^\n]*", b"", data[:1024]).split(None, 4)
    is_color = header[0] in (b"P3", b"P6") and len(header) > 3 and header[3].isdigit()
    return int(header[3]) if is_color else 255


MAXIMUM = {
    "PNG": _png_maximum,
    "AVIF": _av1_maximum,
    "JPEG2000": _jpeg_2000_maximum,
    "PPM": _ppm_maximum,
}
"""Functions of a file that return its highest value, by Pillow's names of their types."""
