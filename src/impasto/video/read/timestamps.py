"""Times of frames, durations and rates, where files lack them or state wrong ones."""

from __future__ import annotations

import heapq
import re
from collections import deque
from collections.abc import Iterator
from contextlib import closing, suppress
from fractions import Fraction
from itertools import islice
from typing import Any

import av
from av.container import InputContainer

from impasto.video.containers import best_stream, open_container

MAX_REORDERED = 16
"""H.264 shows a frame at most so many frames after it is decoded."""
RATE_PACKETS = 500
"""The rate is measured over so many packets."""
MAX_UNTIMED_FRAMES = 64
"""Upper limit of the frames without a time that are dropped at a film's start: a cut film may still
contain those before the cut. A file with more of them has no times at all.
"""


def stated_duration(container: InputContainer, stream: Any) -> float | None:
    """Return a film's duration as the file states it, seconds, or None."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def stated_picture_duration(container: InputContainer, stream: Any) -> float | None:
    """Return the duration of the pictures alone as the file states it, seconds, or None."""
    if stream.duration or len(container.streams) == 1:
        return stated_duration(container, stream)
    tag = re.match(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", ""))  # Matroska's
    return None if tag is None else 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])


def measured_rate(path: str) -> Fraction | None:
    """Return the frames per second of a film's first packets, or None if these have no times."""
    with closing(open_container(path)) as container, suppress(av.error.FFmpegError):
        stream = best_stream(container)
        packets = islice(container.demux(stream), RATE_PACKETS)
        stamps = [packet.dts if packet.pts is None else packet.pts for packet in packets]
        times = sorted(time for time in stamps if time is not None)
        if len(times) > 1 and times[-1] > times[0]:
            rate = Fraction(len(times) - 1, times[-1] - times[0]) / Fraction(stream.time_base)
            return rate.limit_denominator(1001)
    return None


def with_sorted_times(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Give the frames of an AVI the times at which they are shown.

    An AVI stores the times at which frames are decoded. Frames come out of the decoder in the order
    in which they are shown, so the earliest pending time belongs to the next frame.
    """
    pending: deque[av.VideoFrame] = deque()
    times: list[int] = []  # a heap
    for frame in frames:
        pending.append(frame)
        heapq.heappush(times, frame.pts or 0)
        if len(pending) > MAX_REORDERED:
            pending[0].pts = heapq.heappop(times)
            yield pending.popleft()
    for frame in pending:
        frame.pts = heapq.heappop(times)
        yield frame


def with_missing_times(frames: Iterator[av.VideoFrame], step: int) -> Iterator[av.VideoFrame]:
    """Give each frame without a time that of the frame before, plus ``step``.

    Frames before the first one with a time are dropped, unless the film has no times at all.
    """
    untimed: list[av.VideoFrame] = []
    last: int | None = None
    for frame in frames:
        if frame.pts is None and last is None and len(untimed) < MAX_UNTIMED_FRAMES:
            untimed.append(frame)
            continue
        if frame.pts is None:
            yield from _counted(untimed, step)
            last = step * (len(untimed) - 1) if last is None else last
            frame.pts = last + step
        untimed = []
        last = frame.pts
        yield frame
    if last is None:
        yield from _counted(untimed, step)


def _counted(frames: list[av.VideoFrame], step: int) -> Iterator[av.VideoFrame]:
    """Give the first frames of a film times from 0 on."""
    for number, frame in enumerate(frames):
        frame.pts = number * step
        yield frame
