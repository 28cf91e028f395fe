"""From a live source to a sink: always the newest picture, never a queue."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from impasto.live.sinks import Sink
from impasto.live.sources import LiveSource
from impasto.live.stylist import Stylist

RECENT = 30
QUIET_S = 0.1
"""While no picture comes, so often one looks whether to go on."""


@dataclass(frozen=True, eq=False)
class LiveProgress:
    """A picture was shown, or for a moment there was none: how many so far, and how many of the
    source were left out because there was no time; ``rate`` pictures a second of late, ``latency``
    seconds from the source's picture to ours; ``side`` px painted at; ``picture`` the last one;
    ``message`` what a person should know.
    """

    shown: int
    dropped: int
    rate: float
    latency: float
    side: int
    picture: np.ndarray = field(repr=False)
    message: str | None = None


def live(source: LiveSource, stylist: Stylist, sink: Sink) -> Iterator[LiveProgress]:
    """Paint what comes until the source ends, or the sink has had enough; while nothing comes, say
    so. Raises OutputError.
    """
    times: deque[float] = deque(maxlen=RECENT)
    last = LiveProgress(0, 0, 0.0, 0.0, stylist.side, np.zeros((0, 0, 3), np.uint8))
    going = True
    while going and not source.slot.is_closed:
        shot = source.slot.take(QUIET_S)
        if shot is None:
            going = sink.goes_on()
        else:
            picture = stylist.painted(shot.pixels)
            going = sink.show(picture, shot.at)
            times.append(time.monotonic())
            last = replace(
                last,
                shown=last.shown + 1,
                latency=times[-1] - shot.at,
                side=min(stylist.side, max(picture.shape[:2])),
                picture=picture,
            )
        dropped, message = source.slot.dropped, _told(source, sink)
        yield (last := replace(last, dropped=dropped, rate=_rate(times), message=message))
    if (message := _told(source, sink)) is not None:
        yield replace(last, message=message)


def _rate(times: deque[float]) -> float:
    """Pictures a second, less and less while none comes."""
    return (len(times) - 1) / max(1e-6, time.monotonic() - times[0]) if times else 0.0


def _told(source: LiveSource, sink: Sink) -> str | None:
    """Their news, each told once, while they may have more."""
    said = [news.popleft() for news in (source.news, sink.news) for _ in range(len(news))]
    return " ".join(said) or None
