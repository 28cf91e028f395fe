"""Handling of SIGINT, SIGTERM and SIGHUP, so that stopping a run keeps its picture."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopHandler:
    """The handler of the signals that stop a run.

    Before the first step a signal ends the program. Later, the first signal asks for a stop after
    the current step, and the second one ends the step at once. While the picture is being written,
    signals have no effect.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self.is_running = False
        self.is_writing = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        is_repeated = self.signal_number != 0
        self.signal_number = number
        if (is_repeated or not self.is_running) and not self.is_writing:
            self.is_writing = is_repeated  # the picture is written after the second signal
            raise KeyboardInterrupt

    def start(self) -> None:
        """Declare that there is a picture to keep from now on.

        Some imports swallow a KeyboardInterrupt: a signal that came during them takes effect here.
        """
        if self.signal_number:
            raise KeyboardInterrupt
        self.is_running = True

    @property
    def exit_code(self) -> int:
        """The exit code of a program that was ended by the signal."""
        return 128 + self.signal_number


@contextmanager
def handle_stop_signals() -> Iterator[StopHandler]:
    """Handle SIGINT, SIGTERM and SIGHUP with a StopHandler inside the ``with`` block."""
    stop = StopHandler()
    previous = {number: signal.signal(number, stop) for number in _stop_signals()}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            # A stopped program only has to end: another Ctrl-C must not change its exit code.
            signal.signal(number, signal.SIG_IGN if stop.signal_number else handler)


def _stop_signals() -> list[signal.Signals]:
    """Return the signals that stop a run, without SIGHUP where it is ignored, as under nohup."""
    signals = [signal.SIGINT, signal.SIGTERM]
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
        signals.append(hangup)
    return signals
