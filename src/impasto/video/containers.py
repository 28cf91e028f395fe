"""Opening film files, and selecting the stream of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import torch
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition

from impasto.base import devices
from impasto.base.errors import ImageError, reason

MAX_FRAME_MPX = 100
"""Megapixels of a frame. The largest cameras record 80 (12K)."""
BYTES_PER_PIXEL = 50
"""Memory that decoding takes for each pixel of a frame: FFmpeg keeps reference frames, and a copy
of each for every thread. Measured with H.264 of 16384×8704 px: 7.0 GB.
"""
SAMPLE_BYTES = 1024
"""Text is recognized by so many bytes of a file."""
STANDARD_STREAM = "-"
CONTROL_CHARACTERS = bytes(set(range(32)) - set(b"\t\n\r\f")) + b"\x7f"
STILL_CODECS = ("apng", "jpeg2000", "jpegxl", "mjpeg", "png", "tiff", "webp")
"""Codecs whose frames may have a color profile with a name as side data. PyAV 18 frees the name
twice, so that the process crashes.
"""
COVERS = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def check_file(path: str) -> None:
    """Raise ImageError for a pipe, a device or text.

    FFmpeg would open them, follow playlists to other files, and render text as a film.
    """
    if path == STANDARD_STREAM:
        raise ImageError("a film can't come from standard input; give the name of a file")
    file = Path(path)
    try:
        if not file.exists():
            return  # opening it raises the right error
        if not file.is_file():
            raise ImageError(f"{path} is a pipe or a device; save the film as a file first")
        with file.open("rb") as opened:
            sample = opened.read(SAMPLE_BYTES)
    except OSError as error:
        raise ImageError(f"{path} can't be read: {reason(error)}") from error
    if sample and sample.translate(None, CONTROL_CHARACTERS) == sample:
        raise ImageError(f"{path} isn't a film but text; of a playlist, give the films themselves")


def open_container(path: str, **options: Any) -> InputContainer:
    """Open a file, a device or an address with FFmpeg. Raises ImageError."""
    try:  # an absolute path isn't taken for an address even if the file's name has a colon
        name = str(Path(path).absolute()) if Path(path).exists() else path
        container: InputContainer = av.open(name, **options)
        return container
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise ImageError(f"{path}: no such file") from error
        if isinstance(error, av.error.InvalidDataError):
            raise ImageError(f"{path} isn't a film, or is damaged") from error
        raise ImageError(f"{path} can't be read: {reason(error)}") from error


def best_stream(container: InputContainer) -> Any:
    """Return the stream of pictures: no cover, no still if possible, the default, the largest."""

    def rank(stream: Any) -> tuple[bool, bool, bool, int]:
        context = stream.codec_context
        pixels = 0 if context is None else context.width * context.height
        is_default = bool(stream.disposition & Disposition.default)
        return is_cover(stream), stream.frames == 1, not is_default, -pixels

    return min(container.streams.video, key=rank)


def is_cover(stream: Any) -> bool:
    """Return whether a stream is a cover picture or thumbnail, as music files have it."""
    return bool(stream.disposition & COVERS)


def check_decodable(path: str, container: InputContainer) -> None:
    """Raise ImageError for a film that can't be decoded, or only with too much memory.

    It has no pictures but a cover, its codec is unknown, or its frames are too large.
    """
    if not container.streams.video:
        kinds = " and ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise ImageError(f"{path} has no pictures, only {kinds}")
    stream = best_stream(container)
    if is_cover(stream) and len(container.streams) > 1:
        raise ImageError(f"{path} is no film: its only picture is a cover")
    context = stream.codec_context
    if context is None:
        raise ImageError(f"{path} can't be decoded: its pictures are of an unknown codec")
    megapixels = context.width * context.height / 1e6
    size = f"{path} is {context.width}×{context.height} px"
    if megapixels > MAX_FRAME_MPX:
        raise ImageError(f"{size}; the limit for a film is {MAX_FRAME_MPX} megapixels")
    available = devices.memory_available_mb(torch.device("cpu"))
    if megapixels * BYTES_PER_PIXEL > available:
        raise ImageError(
            f"{size}; decoding it needs about {megapixels * BYTES_PER_PIXEL / 1000:.1f} GB of"
            f" memory, and {available / 1000:.1f} GB are free"
        )
    if not context.is_open:  # a file may contain frames larger than the size that it states
        context.options = {**context.options, "max_pixels": str(MAX_FRAME_MPX * 1_000_000)}


def orientation(frame: av.VideoFrame, codec: str) -> int:
    """Return a frame's orientation, 1 to 8 as in EXIF.

    The display matrix maps x to a·x + c·y and y to b·x + d·y, and y points down.
    """
    if codec in STILL_CODECS:
        return {90: 8, 180: 3, 270: 6}.get(int(frame.rotation) % 360, 1)
    side_data: Any = frame.side_data
    matrix = next((data for data in side_data if data.type == SideDataType.DISPLAYMATRIX), None)
    if matrix is None:
        return 1
    a, b, _, c, d, *_ = memoryview(bytes(matrix)).cast("i")
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return {(True, True): 1, (False, True): 2, (False, False): 3, (True, False): 4}[
            (a >= 0, d >= 0)
        ]
    return {(True, True): 5, (True, False): 6, (False, False): 7, (False, True): 8}[(b > 0, c > 0)]
