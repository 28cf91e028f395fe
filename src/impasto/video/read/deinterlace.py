"""Deinterlacing with FFmpeg's filter ``bwdif``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

import av

FILTER = "bwdif"
"""FFmpeg's best deinterlacer that needs no file of weights."""
OPTIONS = "mode=send_frame:parity=auto:deint=interlaced"
"""One picture per frame; frames that aren't marked as interlaced stay as they are."""


def deinterlaced(
    first: av.VideoFrame, others: Iterator[av.VideoFrame], stream: Any
) -> Iterator[av.VideoFrame]:
    """Yield frames without combing artefacts, at their times.

    Args:
        first: The first frame.
        others: The frames after it, of the same size and pixel format.
        stream: The stream whose time base the frames' times are in.
    """
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=first.width,
        height=first.height,
        format=first.format,
        time_base=stream.time_base,
    )
    deinterlacer, sink = graph.add(FILTER, OPTIONS), graph.add("buffersink")
    source.link_to(deinterlacer)
    deinterlacer.link_to(sink)
    graph.configure()
    for frame in chain([first], others):
        source.push(frame)
        yield from _ready(sink, stream)
    source.push(None)
    yield from _ready(sink, stream)


def _ready(sink: Any, stream: Any) -> Iterator[av.VideoFrame]:
    """Yield the frames that the filter has finished."""
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            frame = sink.pull()
            ratio = frame.time_base / stream.time_base  # the filter's is half the stream's
            if frame.pts is not None:
                frame.pts = round(frame.pts * ratio)
            if frame.duration:
                frame.duration = round(frame.duration * ratio)
            yield frame
