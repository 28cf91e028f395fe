"""Where live pictures come from, by name: camera, screen, a file as if it were live, a stream."""

from __future__ import annotations

import os
import platform
import re
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from impasto.errors import ImageError
from impasto.video.live.slot import Slot
from impasto.video.reading import best_stream, colour_of, open_container, upright

STREAM = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
AGAIN_S = 1.0
"""A stream that is lost is looked for again so often."""
PATIENCE_S = 5.0
"""A stream that says nothing for so long is lost."""
QUICK = {
    "fflags": "nobuffer",
    "flags": "low_delay",
    "analyzeduration": "500000",
    "probesize": "500000",
}
"""Begin at once, and keep nothing back."""
DEVICES = {
    "Linux": ("v4l2", "/dev/video{}"),
    "Darwin": ("avfoundation", "{}:none"),
    "Windows": ("dshow", "video={}"),
}
SCREENS = {
    "Linux": ("x11grab", ":{}"),  # not Wayland's
    "Darwin": ("avfoundation", "Capture screen {}:none"),
    "Windows": ("gdigrab", "desktop"),
}


@dataclass(frozen=True)
class Place:
    """What FFmpeg opens. ``lasts``: it may be lost and come back; ``paced``: it gives its pictures
    when they are due, and not as fast as they can be read.
    """

    name: str
    format: str | None = None
    lasts: bool = True
    paced: bool = True


def place(source: str) -> Place:
    """``camera``, ``camera:1``, ``screen``, a device, an address or a file. Raises ImageError."""
    system = platform.system()
    kind, _, which = source.partition(":")
    if kind == "camera":
        format, pattern = DEVICES.get(system, DEVICES["Linux"])
        return Place(pattern.format(which or "0"), format)
    if kind == "screen":
        format, pattern = SCREENS.get(system, SCREENS["Linux"])
        if format == "x11grab" and not which and "DISPLAY" in os.environ:
            return Place(os.environ["DISPLAY"], format)
        return Place(pattern.format(which or "0"), format)
    if source.startswith("/dev/video"):
        return Place(source, "v4l2")
    if STREAM.match(source):
        return Place(source)
    if not Path(source).exists():
        raise ImageError(f"{source}: no such file, camera, screen or address")
    return Place(source, lasts=False, paced=False)


@dataclass(frozen=True, eq=False)
class Shot:
    """A live picture, (H, W, 3) of uint8, and when it came (``time.monotonic``)."""

    pixels: np.ndarray
    at: float


class LiveSource:
    """Reads a place in a thread of its own, for as long as it is there, and again when it comes
    back; ``slot`` has the newest picture. ``news`` are sentences for a person.
    """

    def __init__(self, source: str) -> None:
        self.name, self.place = source, place(source)
        self.slot: Slot[Shot] = Slot()
        self.news: list[str] = []
        self.rate = 0.0
        self.closed = threading.Event()
        self.seen = 0
        self.lost = False
        self.failure: Exception | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self, patience: float = PATIENCE_S) -> Shot:
        """Begin, and wait for the first picture. Raises ImageError: there is none."""
        self.thread.start()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            shot = self.slot.take(0.05)
            if shot is not None:
                return shot
            if self.failure is not None and (not self.place.lasts or not self.thread.is_alive()):
                raise self.failure
        self.close()
        raise self.failure or ImageError(f"{self.name} gives no pictures")

    def close(self) -> None:
        self.closed.set()
        self.slot.close()

    def _run(self) -> None:
        while not self.closed.is_set():
            before = self.seen
            try:
                self._read()
            except ImageError as error:
                self.failure = error
            except av.error.FFmpegError as error:
                self.failure = ImageError(f"{self.name} is lost: {error.strerror}")
            if not self.place.lasts:
                break
            if self.seen > before and not self.closed.is_set():
                self.news.append(f"{self.name} is lost; waiting for it")
                self.lost = True
            self.closed.wait(AGAIN_S)
        self.slot.close()

    def _read(self) -> None:
        options = dict(QUICK) if self.place.lasts else {}
        found: dict[str, Any] = {"format": self.place.format} if self.place.format else {}
        if STREAM.match(self.place.name):
            found["timeout"] = PATIENCE_S
        with closing(open_container(self.place.name, options=options, **found)) as container:
            if not container.streams.video:
                raise ImageError(f"{self.name} has no pictures")
            stream = best_stream(container)
            stream.codec_context.thread_type = "SLICE"  # frames in parallel come late
            self.rate = float(stream.average_rate or stream.guessed_rate or 0)
            started: float | None = None
            for frame in container.decode(stream):
                if self.closed.is_set():
                    return
                now = time.monotonic()
                if not self.place.paced and frame.time is not None:
                    started = now - frame.time if started is None else started
                    if self.closed.wait(max(0.0, started + frame.time - now)):
                        return
                    now = time.monotonic()
                if self.lost:
                    self.news.append(f"{self.name} is back")
                    self.lost = False
                self.seen += 1
                self.slot.put(Shot(upright(frame, colour_of(stream.codec_context, frame)), now))
