"""Lossless work files → a GIF, with one palette for all of it."""

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
from impasto.video.writing import Part

GIF_TIME = Fraction(1, 100)
"""What a GIF counts in, seconds."""
MAX_DELAY = 65535


def write_gif(parts: Sequence[Part], output: Path, clip: Clip, last_duration: int) -> None:
    """A GIF of lossless work files: one palette for all of it, chosen in a first pass (FFmpeg's
    ``palettegen``). Of frames that come quicker than a GIF can count, the first are kept.
    ``last_duration`` is that of the last frame, in the clip's time base. Raises OutputError.
    """
    try:
        files.make_atomically(output, lambda path: _write_gif(parts, path, clip, last_duration))
    except av.error.FFmpegError as error:
        raise OutputError(f"{output} can't be written: {reason(error)}") from error


def _write_gif(parts: Sequence[Part], path: Path, clip: Clip, last_duration: int) -> None:
    palette = _palette(parts)
    graph = av.filter.Graph()
    final = round(last_duration * clip.time_base / GIF_TIME)
    options = {"loop": "0", "final_delay": str(min(max(1, final), MAX_DELAY))}
    with av.open(str(path), "w", format="gif", options=options) as output:
        gif: Any = output.add_stream("gif", rate=clip.rate)
        gif.pix_fmt, gif.width, gif.height = "pal8", clip.width, clip.height
        gif.time_base = gif.codec_context.time_base = GIF_TIME
        pictures = colours = None
        last = -1
        for frame, seconds in _part_frames(parts, clip):
            frame.pts, frame.time_base = round(seconds / GIF_TIME), GIF_TIME
            if frame.pts <= last:
                continue
            last = frame.pts
            if pictures is None or colours is None:
                pictures, colours = (
                    graph.add_buffer(
                        width=f.width, height=f.height, format=f.format, time_base=GIF_TIME
                    )
                    for f in (frame, palette)
                )
                used, sink = graph.add("paletteuse"), graph.add("buffersink")
                pictures.link_to(used, 0, 0)
                colours.link_to(used, 0, 1)
                used.link_to(sink)
                graph.configure()
                palette.pts, palette.time_base = 0, GIF_TIME
                colours.push(palette)
                colours.push(None)
            pictures.push(frame)
            _drain_into(sink, gif, output)
        if pictures is not None:
            pictures.push(None)
            _drain_into(sink, gif, output)
        output.mux(gif.encode(None))


def _drain_into(sink: Any, stream: Any, output: Any) -> None:
    """Encode the frames that have come through a filter."""
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            frame = sink.pull()
            output.mux(stream.encode(frame))


def _palette(parts: Sequence[Part]) -> Any:
    """A frame of 16 × 16 pixels: the colours that suit all of it."""
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


def _part_frames(parts: Sequence[Part], clip: Clip) -> Iterator[tuple[Any, Fraction]]:
    """Frames and their times in seconds."""
    for part in parts:
        with closing(open_container(str(part.path))) as pictures:
            start: Fraction | None = None
            frames: Any = islice(pictures.decode(video=0), part.frames)
            for frame in frames:
                time = frame.pts * frame.time_base
                start = time if start is None else start
                yield frame, part.first * clip.time_base + time - start
