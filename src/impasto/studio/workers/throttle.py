"""A rate limit for something that would otherwise happen too often."""

from __future__ import annotations

import time


class Throttle:
    """Allows something once in each interval of ``interval_s`` seconds."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s, self.last = interval_s, 0.0

    def is_due(self, *, force: bool = False) -> bool:
        """Return whether the interval is over, or ``force``. If so, start the next interval."""
        now = time.monotonic()
        due = force or now - self.last > self.interval_s
        self.last = now if due else self.last
        return due
