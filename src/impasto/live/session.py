"""A live session: pictures from a source, stylized, to a sink.

Only the newest picture is stylized: nothing queues up, so that what is shown is never late.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from impasto.live.sinks import Sink
from impasto.live.sources import LiveSource
from impasto.live.stylist import Stylist

RATE_WINDOW = 30
"""The rate is measured over so many pictures."""
POLL_S = 0.1
"""While the source is silent, the sink is asked so often whether to continue."""


@dataclass(frozen=True, eq=False)
class LiveProgress:
    """The state of a live session after a picture, or after a moment without one.

    Attributes:
        shown: How many pictures were shown.
        dropped: How many pictures of the source were left out because there was no time for them.
        rate: Recent pictures per second.
        latency: Seconds from the source's picture to the stylized one.
        side: Long side at which pictures are stylized, px.
        picture: The last stylized picture, (H, W, 3) of uint8.
        message: A sentence for the user, or None.
    """

    shown: int
    dropped: int
    rate: float
    latency: float
    side: int
    picture: np.ndarray = field(repr=False)
    message: str | None = None


def stylize_live(source: LiveSource, stylist: Stylist, sink: Sink) -> Iterator[LiveProgress]:
    """Stylize the source's pictures until the source ends or the sink doesn't want any more.

    Yields an event after each picture, and while no picture comes.

    Raises:
        OutputError: The sink can't be written.
    """
    times: deque[float] = deque(maxlen=RATE_WINDOW)
    last = LiveProgress(0, 0, 0.0, 0.0, stylist.side, np.zeros((0, 0, 3), np.uint8))
    should_continue = True
    while should_continue and not source.slot.is_closed:
        taken = source.slot.take(POLL_S)
        if taken is None:
            should_continue = sink.should_continue()
        else:
            picture = stylist.painted(taken.pixels)
            should_continue = sink.show(picture, taken.time)
            times.append(time.monotonic())
            last = replace(
                last,
                shown=last.shown + 1,
                latency=times[-1] - taken.time,
                side=min(stylist.side, max(picture.shape[:2])),
                picture=picture,
            )
        dropped, message = source.slot.dropped, _take_messages(source, sink)
        yield (last := replace(last, dropped=dropped, rate=_rate(times), message=message))
    if (message := _take_messages(source, sink)) is not None:
        yield replace(last, message=message)


def _rate(times: deque[float]) -> float:
    """Return pictures per second up to now: it falls while no picture comes."""
    return (len(times) - 1) / max(1e-6, time.monotonic() - times[0]) if times else 0.0


def _take_messages(source: LiveSource, sink: Sink) -> str | None:
    """Remove and join the messages of both, whose threads may add more meanwhile."""
    queues = (source.messages, sink.messages)
    messages = [queue.popleft() for queue in queues for _ in range(len(queue))]
    return " ".join(messages) or None
