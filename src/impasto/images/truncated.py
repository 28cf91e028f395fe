"""Files that lack a few bytes at their end, as broken downloads and some cameras leave them.

Decoders refuse such a file, or fill whatever is missing with a color, be it half of the image.
``completed`` supplies the end of a file where at most about 1 % of the image is missing.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from impasto.images import png_chunks
from impasto.images.opening import opened

MISSING_SHARE = 0.01
"""Share of a file that may be missing."""
MIN_MISSING_BYTES = 16
COMPLETE_ROWS = 0.97
"""Share of the rows of a JPEG that the last bytes of a nearly complete file don't change."""
BLOCK_ROWS = 16
"""A JPEG is written in blocks of up to so many rows; the last bytes may change two of them."""
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
START_OF_SCAN = 0xDA
WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))
"""JPEG markers that no data follow."""
COEFFICIENTS = 64
"""Coefficients of a block of 8×8 px after the discrete cosine transform."""


def completed(data: bytes) -> bytes | None:
    """Return a file with an end that decoders accept; None where too much is missing.

    Args:
        data: A file that its decoder refused as cut short, or as otherwise damaged.
    """
    spare = max(MIN_MISSING_BYTES, round(len(data) * MISSING_SHARE))
    if data.startswith(JPEG_START):
        return _completed_jpeg(data, spare)
    if png_chunks.is_png(data):
        return _completed_png(data)
    return data + bytes(spare)


def _completed_jpeg(data: bytes, spare: int) -> bytes | None:
    """Append the end mark.

    libjpeg fills what is missing with the last color, so the decoded image doesn't tell how much of
    it there was. But the last bytes of the file show where it ends: without them, only the last
    rows may change.
    """
    data = data.removesuffix(b"\xff")
    if not _has_all_scans(data):
        return None
    whole, shorter = (_decoded(part + JPEG_END) for part in (data, data[:-spare]))
    changed = np.flatnonzero((whole != shorter).reshape(len(whole), -1).any(axis=1))
    if not changed.size:  # zeros, as where space was set aside for a file that never came
        return None
    first_changed = changed[0]
    complete = min(COMPLETE_ROWS * len(whole), len(whole) - 2 * BLOCK_ROWS)
    return data + JPEG_END if first_changed >= complete else None


def _decoded(data: bytes) -> np.ndarray:
    image: Image.Image = opened(io.BytesIO(data))
    return np.asarray(image)


def _has_all_scans(data: bytes) -> bool:
    """Return whether the scans of a JPEG have begun to give each coefficient in full precision.

    A baseline file has one scan; a progressive one has several, each of which covers the image, so
    half a file shows all of it, but blurred.
    """
    precise: dict[int, set[int]] = {}
    for scan in _scan_headers(data):
        count = scan[0]
        components = scan[1 : 1 + 2 * count : 2]
        first, last, approximation = scan[1 + 2 * count : 4 + 2 * count]
        for component in components:
            known = precise.setdefault(component, set())
            if approximation & 0x0F == 0:
                known.update(range(first, last + 1))
    return bool(precise) and all(len(known) == COEFFICIENTS for known in precise.values())


def _scan_headers(data: bytes) -> Iterator[bytes]:
    """Yield the header of each scan. ITU-T T.81, section B.2.3."""
    position = len(JPEG_START)
    while (position := data.find(b"\xff", position)) >= 0 and position + 4 <= len(data):
        marker = data[position + 1]
        if marker in (0x00, 0xFF) or marker in WITHOUT_LENGTH:  # a data byte, or no segment
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack(">H", data[position + 2 : position + 4])
        if marker == START_OF_SCAN:
            yield data[position + 4 : position + 2 + length]
        position += 2 + length


def _completed_png(data: bytes) -> bytes | None:
    """Append black rows to the pixels."""
    pixels = png_chunks.pixel_data(data)
    try:
        rows = zlib.decompressobj().decompress(pixels)
    except zlib.error:
        return None
    spare = max(MIN_MISSING_BYTES, round(len(rows) * MISSING_SHARE))
    return png_chunks.with_pixel_data(data, zlib.compress(rows + bytes(spare), 1))
