"""Making a GIF, with one palette for the whole film, from lossless work files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av

from impasto.base import files
from impasto.base.errors import OutputError, reason
from impasto.video.containers import open_container
from impasto.video.frames import Clip
from impasto.video.write.work_file import WorkFilePart

GIF_TIME_BASE = Fraction(1, 100)
"""The unit of a GIF's times, seconds."""
MAX_DELAY = 65535
"""Longest time that a GIF can show a frame, in that unit."""


def write_gif(parts: Sequence[WorkFilePart], output: Path, clip: Clip, last_duration: int) -> None:
    """Write a GIF.

    The palette is computed in a first pass, by FFmpeg's ``palettegen``. Frames that are closer than
    a GIF's time base are dropped.

    Args:
        parts: The lossless work files.
        output: The GIF.
        clip: The film's properties.
        last_duration: The duration of the last frame, in the clip's time base.

    Raises:
        OutputError: The GIF can't be written.
    """
    try:
        files.make_atomically(output, lambda path: _write_gif(parts, path, clip, last_duration))
    except av.error.FFmpegError as error:
        raise OutputError(f"{output} can't be written: {reason(error)}") from error


def _write_gif(parts: Sequence[WorkFilePart], path: Path, clip: Clip, last_duration: int) -> None:
    palette = _palette(parts)
    graph = av.filter.Graph()
    final = round(last_duration * clip.time_base / GIF_TIME_BASE)
    options = {"loop": "0", "final_delay": str(min(max(1, final), MAX_DELAY))}
    with av.open(str(path), "w", format="gif", options=options) as output:
        gif: Any = output.add_stream("gif", rate=clip.rate)
        gif.pix_fmt, gif.width, gif.height = "pal8", clip.width, clip.height
        gif.time_base = gif.codec_context.time_base = GIF_TIME_BASE
        pictures = colours = None
        last = -1
        for frame, seconds in _part_frames(parts, clip):
            frame.pts, frame.time_base = round(seconds / GIF_TIME_BASE), GIF_TIME_BASE
            if frame.pts <= last:
                continue
            last = frame.pts
            if pictures is None or colours is None:
                pictures, colours = (
                    graph.add_buffer(
                        width=f.width, height=f.height, format=f.format, time_base=GIF_TIME_BASE
                    )
                    for f in (frame, palette)
                )
                used, sink = graph.add("paletteuse"), graph.add("buffersink")
                pictures.link_to(used, 0, 0)
                colours.link_to(used, 0, 1)
                used.link_to(sink)
                graph.configure()
                palette.pts, palette.time_base = 0, GIF_TIME_BASE
                colours.push(palette)
                colours.push(None)
            pictures.push(frame)
            _drain_into(sink, gif, output)
        if pictures is not None:
            pictures.push(None)
            _drain_into(sink, gif, output)
        output.mux(gif.encode(None))


def _drain_into(sink: Any, stream: Any, output: Any) -> None:
    """Encode the frames that a filter has finished."""
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            frame = sink.pull()
            output.mux(stream.encode(frame))


def _palette(parts: Sequence[WorkFilePart]) -> Any:
    """Return the palette of the whole film, as a frame of 16 × 16 pixels."""
    graph, first, sink = av.filter.Graph(), None, None
    for part in parts:
        with closing(open_container(str(part.path))) as pictures:
            for frame in pictures.decode(video=0):
                if first is None:
                    first = graph.add_buffer(template=pictures.streams.video[0])
                    chosen, sink = graph.add("palettegen"), graph.add("buffersink")
                    first.link_to(chosen)
                    chosen.link_to(sink)
                    graph.configure()
                first.push(frame)
    assert first is not None
    assert sink is not None
    first.push(None)
    return sink.pull()


def _part_frames(parts: Sequence[WorkFilePart], clip: Clip) -> Iterator[tuple[Any, Fraction]]:
    """Yield frames and their times in seconds."""
    for part in parts:
        with closing(open_container(str(part.path))) as pictures:
            start: Fraction | None = None
            frames: Any = islice(pictures.decode(video=0), part.frames)
            for frame in frames:
                time = frame.pts * frame.time_base
                start = time if start is None else start
                yield frame, part.first * clip.time_base + time - start
