"""PNG (specification: W3C 2003), written band by band.

Pillow needs the whole picture in bytes, and has no 16-bit colour; a poster of 50 megapixels would
be held three times over.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

import numpy as np

BAND_SAMPLES = 1 << 21
LEVEL = 6
WINDOW = 32768
"""How far back deflate (RFC 1951) refers."""
SUB, UP, PAETH = 1, 2, 4
"""What a row's bytes are the difference from: what is left, above, or the nearest of left, above
and above left to their plane.
"""
COLOUR_TYPES = {1: 0, 3: 2, 4: 6}

Chunk = tuple[bytes, bytes]


def write_png(
    file: BinaryIO,
    shape: tuple[int, int, int],
    bits: int,
    samples: Callable[[int, int], np.ndarray],
    chunks: list[Chunk],
) -> None:
    """Write a picture of ``shape`` (H, W, C). ``samples(top, bottom)`` are its rows, uint8 or
    uint16 as ``bits`` says; ``chunks`` (kind and data) go before them.
    """
    height, width, channels = shape
    header = struct.pack(">2I5B", width, height, bits, COLOUR_TYPES[channels], 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    for kind, data in [(b"IHDR", header), *chunks]:
        _put(file, kind, data)
    for data in _deflated(_filtered_bands(shape, bits, samples)):
        _put(file, b"IDAT", data)
    _put(file, b"IEND", b"")


def _put(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind)
    file.write(data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))


def _filtered_bands(
    shape: tuple[int, int, int], bits: int, samples: Callable[[int, int], np.ndarray]
) -> Iterator[Callable[[], bytes]]:
    """What yields each band's bytes, for a thread of its own."""
    height, width, channels = shape
    rows = max(1, BAND_SAMPLES // (width * channels))
    for top in range(0, height, rows):
        above = min(1, top)
        band = samples(top - above, min(top + rows, height)).astype(f">u{bits // 8}")
        octets = band.reshape(len(band), -1).view(np.uint8)
        if not above:
            octets = np.vstack([np.zeros_like(octets[:1]), octets])
        yield lambda octets=octets: _filtered(octets, channels * bits // 8)  # type: ignore[misc]


def _filtered(octets: np.ndarray, pixel: int) -> bytes:
    """Rows after the first, each with the filter whose differences are least (PNG, 12.8)."""
    here, above = octets[1:], octets[:-1]
    left, above_left = (np.zeros_like(rows) for rows in (here, above))
    left[:, pixel:], above_left[:, pixel:] = here[:, :-pixel], above[:, :-pixel]
    a, b, c = (rows.astype(np.int16) for rows in (left, above, above_left))
    from_left, from_above, from_both = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    nearest = np.where(from_above <= from_both, above, above_left)
    nearest = np.where((from_left <= from_above) & (from_left <= from_both), left, nearest)
    kinds = {SUB: here - left, UP: here - above, PAETH: here - nearest}
    sizes = [abs(rows.view(np.int8).astype(np.int16)).sum(1) for rows in kinds.values()]
    best = np.argmin(sizes, axis=0)
    filtered = np.empty((len(here), here.shape[1] + 1), np.uint8)
    filtered[:, 0] = np.array(list(kinds))[best]
    filtered[:, 1:] = np.choose(best[:, None], list(kinds.values()))
    return filtered.tobytes()


def _deflated(bands: Iterator[Callable[[], bytes]]) -> Iterator[bytes]:
    """A zlib stream (RFC 1950) of the bands, compressed side by side. Each may refer to the one
    before it, so that nothing is lost by that.
    """
    threads = os.cpu_count() or 1
    checksum = zlib.adler32(b"")
    yield b"\x78\x9c"
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Future[bytes], Future[bytes]]] = deque()
        window: Future[bytes] | None = None

        def compress(raw: Future[bytes], before: Future[bytes] | None) -> bytes:
            dictionary = before.result()[-WINDOW:] if before is not None else b""
            deflate = zlib.compressobj(
                LEVEL, zlib.DEFLATED, -15, 9, zlib.Z_FILTERED, zdict=dictionary
            )
            return deflate.compress(raw.result()) + deflate.flush(zlib.Z_SYNC_FLUSH)

        for band in bands:
            raw = pool.submit(band)
            waiting.append((raw, pool.submit(compress, raw, window)))
            window = raw
            if len(waiting) > 2 * threads:
                checksum, data = _finished(*waiting.popleft(), checksum)
                yield data
        while waiting:
            checksum, data = _finished(*waiting.popleft(), checksum)
            yield data
    yield b"\x03\x00" + struct.pack(">I", checksum)  # an empty last block


def _finished(raw: Future[bytes], packed: Future[bytes], checksum: int) -> tuple[int, bytes]:
    return zlib.adler32(raw.result(), checksum), packed.result()
