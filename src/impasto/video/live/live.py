"""From a live source to a sink: always the newest picture, never a queue."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from impasto.video.live.sinks import Sink
from impasto.video.live.sources import LiveSource
from impasto.video.live.stylist import Stylist

RECENT = 30


@dataclass(frozen=True, eq=False)
class LiveProgress:
    """A picture was shown: how many so far, and how many of the source were left out because there
    was no time; ``rate`` pictures a second of late, ``latency`` seconds from the source's picture
    to ours; ``side`` px painted at; ``message`` a sentence that a person should know.
    """

    shown: int
    dropped: int
    rate: float
    latency: float
    side: int
    picture: np.ndarray = field(repr=False)
    message: str | None = None


def live(source: LiveSource, stylist: Stylist, sink: Sink) -> Iterator[LiveProgress]:
    """Paint what comes until the source ends, or the sink has had enough. Raises OutputError."""
    times: deque[float] = deque(maxlen=RECENT)
    shown = 0
    while not source.slot.is_closed:
        shot = source.slot.take(0.5)
        news = [*source.news, *sink.news]
        source.news, sink.news = [], []
        if shot is None:
            if news:
                yield LiveProgress(
                    shown, source.slot.dropped, 0.0, 0.0, stylist.side, _nothing(), " ".join(news)
                )
            continue
        picture = stylist.painted(shot.pixels)
        going = sink.show(picture, shot.at)
        now = time.monotonic()
        times.append(now)
        shown += 1
        yield LiveProgress(
            shown=shown,
            dropped=source.slot.dropped,
            rate=(len(times) - 1) / max(1e-6, times[-1] - times[0]),
            latency=now - shot.at,
            side=min(stylist.side, max(picture.shape[:2])),
            picture=picture,
            message=" ".join(news) or None,
        )
        if not going:
            return


def _nothing() -> np.ndarray:
    return np.zeros((0, 0, 3), np.uint8)
