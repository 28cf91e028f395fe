"""Where live pictures come from, by name: camera, screen, a file as if it were live, a stream."""

from __future__ import annotations

import math
import os
import platform
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer

from impasto.base import files
from impasto.base.errors import ImageError
from impasto.live.slot import Slot
from impasto.networks.connection import ffmpeg_options
from impasto.video.containers import best_stream, check_decodable, open_container
from impasto.video.reading import colour_of, upright

STREAM = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
AGAIN_S = 1.0
"""A stream that is lost is looked for again so often."""
PATIENCE_S = 5.0
"""A stream that says nothing for so long is lost."""
SEGMENT_PATIENCE_S = 30.0
"""By HTTP pictures come in segments of many seconds."""
EARLY_S, LATE_S = 10.0, 1.0
"""A picture that is due later than the first (but not of a file), or came later than the second:
the source's clock has jumped or runs slower than ours, and is started anew."""
QUICK = {
    "fflags": "nobuffer",
    "flags": "low_delay",
    "analyzeduration": "500000",
    "probesize": "500000",
}
"""Begin at once, and keep nothing back."""
BUFFERED = {"analyzeduration": "500000"}
"""Begin as soon, of what comes in bursts."""
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
    when they are due, and not as fast as they can be read; ``patience``: seconds that it may be
    silent.
    """

    name: str
    format: str | None = None
    lasts: bool = True
    paced: bool = True
    patience: float = PATIENCE_S


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
    if source.lower().startswith(("http://", "https://")):
        return Place(source, paced=False, patience=SEGMENT_PATIENCE_S)
    if STREAM.match(source):
        return Place(source)
    if not files.exists(Path(source)):
        raise ImageError(f"{source}: no such file, camera, screen or address")
    return Place(source, lasts=False, paced=False)


@dataclass(frozen=True, eq=False)
class Shot:
    """A live picture, (H, W, 3) of uint8, and when it came (``time.monotonic``)."""

    pixels: np.ndarray
    at: float


class LiveSource:
    """Reads a place in a thread of its own, for as long as it is there, and again when it comes
    back; ``slot`` has the newest picture. ``news`` are sentences for a person; ``damaged`` counts
    what couldn't be decoded.
    """

    def __init__(self, source: str) -> None:
        self.name, self.place = source, place(source)
        self.slot: Slot[Shot] = Slot()
        self.news: deque[str] = deque()
        self.rate = 0.0
        self.closed = threading.Event()
        self.seen = self.damaged = 0
        self.lost = False
        self.ended = not self.place.lasts
        self.started: float | None = None
        self.paced = self.place.paced
        self.failure: Exception | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self, patience: float | None = None) -> Shot:
        """Begin, and wait for the first picture. Raises ImageError: there is none."""
        self.thread.start()
        deadline = time.monotonic() + (patience or self.place.patience)
        while time.monotonic() < deadline and not self.slot.is_closed:
            shot = self.slot.take(0.05)
            if shot is not None:
                return shot
            if self.failure is not None and not self.place.paced:
                break  # a server that answers so will in half a minute
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
                self.failure = None
            except ImageError as error:
                self.failure = error
            except av.error.FFmpegError as error:
                self.failure = ImageError(f"{self.name} is lost: {error.strerror}")
            if self.ended:
                if self.failure is not None and self.seen:
                    self.news.append(str(self.failure))
                break
            if self.seen > before and not self.closed.is_set():
                self.news.append(f"{self.name} is lost; waiting for it")
                self.lost = True
            self.closed.wait(AGAIN_S)
        self.slot.close()

    def _read(self) -> None:
        options = QUICK if self.place.paced else BUFFERED if self.place.lasts else {}
        found: dict[str, Any] = {"format": self.place.format} if self.place.format else {}
        if STREAM.match(self.place.name):
            found["timeout"] = self.place.patience
        options = {**options, **ffmpeg_options(self.place.name)}
        with closing(open_container(self.place.name, options=options, **found)) as container:
            check_decodable(self.name, container)
            stream = best_stream(container)
            stream.codec_context.thread_type = "SLICE"  # frames in parallel come late
            self.rate = float(stream.average_rate or stream.guessed_rate or 0)
            self.started = None
            # A motion JPEG has no times but such as FFmpeg makes up.
            self.paced = self.place.paced or container.format.name == "mpjpeg"
            for frame in self._decoded(container, stream):
                if self.closed.wait(self._until(frame)):
                    return
                now = time.monotonic()
                if self.lost:
                    self.news.append(f"{self.name} is back")
                    self.lost = False
                self.seen += 1
                colour = colour_of(stream.codec_context, frame)
                self.slot.put(Shot(upright(frame, stream.codec_context.name, colour), now))
            # A film that a server gives has an end; what is live has no known one.
            self.ended = self.ended or (not self.place.paced and bool(container.duration))

    def _decoded(self, container: InputContainer, stream: Any) -> Iterator[av.VideoFrame]:
        """What is damaged is left out, and counted, but for what comes before a stream's first
        picture: one may come to it at any moment.
        """
        begun = not self.place.lasts
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self._note_damage(begun)
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._note_damage(begun)
                else:
                    begun = True
                    yield frame

    def _note_damage(self, begun: bool) -> None:
        if begun and not self.damaged:
            self.news.append(f"{self.name} is damaged in places; they are left out")
        self.damaged += begun

    def _until(self, frame: av.VideoFrame) -> float:
        """Seconds until a picture is due."""
        if self.paced or frame.time is None:
            return 0.0
        now = time.monotonic()
        early = EARLY_S if self.place.lasts else math.inf
        if self.started is None or not -LATE_S < self.started + frame.time - now < early:
            self.started = now - frame.time
        return max(0.0, self.started + frame.time - now)
