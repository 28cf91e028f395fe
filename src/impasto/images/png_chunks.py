"""The chunks of a PNG file, read without Pillow: color, depth, and how many there are."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from impasto.base.errors import ImageError
from impasto.images.color_space import (
    SRGB_CHROMATICITIES,
    ColorSpace,
    TaggedColor,
    from_code_points,
    from_gamma,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXT = (b"tEXt", b"zTXt", b"iTXt")
PIXELS = (b"IDAT", b"fdAT")
MAX_PIXEL_CHUNKS, MAX_OTHER_CHUNKS = 1_000_000, 10_000
"""Files with more are refused: reading millions of tiny chunks takes minutes. Encoders write pixels
in chunks of 8 KB or more.
"""
CHUNK_OVERHEAD = 12
"""Bytes of a chunk besides its data: length, type and checksum."""
BIT_DEPTH_AT = len(SIGNATURE) + 16
HUNDRED_THOUSANDTH = 1e-5
"""Unit of the numbers in the chunks gAMA and cHRM."""


def is_png(data: bytes) -> bool:
    """Return whether these are the bytes of a PNG file."""
    return data.startswith(SIGNATURE)


def is_png_file(file: BinaryIO) -> bool:
    """Return whether an open file is a PNG file; leave its position where it was."""
    start = file.tell()
    found = file.read(len(SIGNATURE)) == SIGNATURE
    file.seek(start)
    return found


def check_chunks(file: BinaryIO, name: str) -> None:
    """Count the chunks of a PNG file; leave its position where it was.

    Raises:
        ImageError: There are more than an image has.
    """
    start = file.tell()
    file.seek(len(SIGNATURE), 1)
    pixels = others = 0
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind in PIXELS:
            pixels += 1
        else:
            others += 1
        if pixels > MAX_PIXEL_CHUNKS or others > MAX_OTHER_CHUNKS:
            raise ImageError(f"{name} has more PNG chunks than an image needs")
        file.seek(length + 4, 1)
    file.seek(start)


def prepared(data: bytes) -> bytes:
    """Return a PNG file without its text, and with its EXIF before its pixels.

    Text can be larger than Pillow accepts, which then refuses an image whose pixels are fine; and
    Pillow finds EXIF behind the pixels only after they have been decoded.
    """
    chunks = [(kind, data[start:end]) for kind, start, end in _chunks(data) if kind not in TEXT]
    chunks.sort(key=lambda chunk: {b"IHDR": 0, b"eXIf": 1}.get(chunk[0], 2))  # the order stays
    return b"".join([SIGNATURE, *(chunk for _, chunk in chunks)])


def text(data: bytes, keyword: str) -> str | None:
    """Return an uncompressed text; None where the file has none with this keyword."""
    start_of_text = keyword.encode("latin-1") + b"\0"
    for kind, start, end in _chunks(data):
        content = data[start + 8 : end - 4]
        if kind == b"tEXt" and content.startswith(start_of_text):
            return content[len(start_of_text) :].decode("latin-1")
    return None


def pixel_data(data: bytes) -> bytes:
    """Return the compressed pixels, as far as there are any."""
    parts = (data[start + 8 : end - 4] for kind, start, end in _chunks(data) if kind == b"IDAT")
    return b"".join(parts)


def with_pixel_data(data: bytes, pixels: bytes) -> bytes:
    """Return the file with other compressed pixels, and nothing after them."""
    before = []
    for kind, start, end in _chunks(data):
        if kind == b"IDAT":
            break
        before.append(data[start:end])
    checksum = zlib.crc32(b"IDAT" + pixels)
    chunk = struct.pack(">I4s", len(pixels), b"IDAT") + pixels + struct.pack(">I", checksum)
    return b"".join([SIGNATURE, *before, chunk])


def bit_depth(data: bytes) -> int:
    """Return the number of bits per channel, 1 to 16."""
    return data[BIT_DEPTH_AT] if len(data) > BIT_DEPTH_AT else 0


def scale_transparent_grey(image: Image.Image, data: bytes) -> None:
    """Scale the grey level that stands for transparency to 8 bits, which Pillow forgets."""
    level = image.info.get("transparency")
    if image.mode == "L" and isinstance(level, int) and bit_depth(data) < 8:
        image.info["transparency"] = level * 255 // (2 ** bit_depth(data) - 1)


def tagged_color(data: bytes) -> tuple[bool, TaggedColor | None]:
    """Return whether chunks besides iCCP say what the colors are, and their space; None for sRGB.

    As the PNG specification (third edition, section 4.3) ranks them, cICP precedes iCCP, sRGB and
    gAMA with cHRM.
    """
    found: dict[bytes, bytes] = {}
    for kind, start, end in _chunks(data):
        if kind in PIXELS:
            break
        found[kind] = data[start + 8 : end - 4]
    if len(found.get(b"cICP", b"")) == 4:
        return True, from_code_points(found[b"cICP"][0], found[b"cICP"][1])
    if b"iCCP" in found or b"sRGB" in found or len(found.get(b"gAMA", b"")) != 4:
        return False, None
    return True, _from_gamma(found)


def _from_gamma(found: dict[bytes, bytes]) -> ColorSpace | None:
    (gamma,) = struct.unpack(">I", found[b"gAMA"])
    chromaticities = SRGB_CHROMATICITIES
    if len(found.get(b"cHRM", b"")) == 32:
        numbers = [n * HUNDRED_THOUSANDTH for n in struct.unpack(">8I", found[b"cHRM"])]
        chromaticities = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return from_gamma(gamma * HUNDRED_THOUSANDTH, chromaticities)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each chunk, and where it starts and ends."""
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        yield kind, position, position + CHUNK_OVERHEAD + length
        position += CHUNK_OVERHEAD + length
