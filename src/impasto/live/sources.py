"""Sources of live pictures: a camera, a screen, a stream, or a file played in real time."""

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
from impasto.video.read.pixels import colour_of, upright

STREAM = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
RETRY_INTERVAL_S = 1.0
TIMEOUT_S = 5.0
"""A stream that is silent for so long is lost."""
SEGMENT_TIMEOUT_S = 30.0
"""The same for HTTP, where pictures come in segments of many seconds."""
MAX_EARLY_S, MAX_LATE_S = 10.0, 1.0
"""If a picture of a stream is more than 10 s early, or any picture is more than 1 s late, the
source's clock has jumped or is slower than ours: it is synchronized again."""
LOW_LATENCY_OPTIONS = {
    "fflags": "nobuffer",
    "flags": "low_delay",
    "analyzeduration": "500000",
    "probesize": "500000",
}
"""FFmpeg's options for a source that is paced by itself: begin at once, buffer nothing."""
SEGMENT_OPTIONS = {"analyzeduration": "500000"}
"""FFmpeg's options for a stream that comes in bursts: begin at once."""
DEVICES = {
    "Linux": ("v4l2", "/dev/video{}"),
    "Darwin": ("avfoundation", "{}:none"),
    "Windows": ("dshow", "video={}"),
}
SCREENS = {
    "Linux": ("x11grab", ":{}"),  # X11's screen; FFmpeg doesn't record Wayland's
    "Darwin": ("avfoundation", "Capture screen {}:none"),
    "Windows": ("gdigrab", "desktop"),
}


@dataclass(frozen=True)
class LiveInput:
    """An input for FFmpeg.

    Attributes:
        name: What FFmpeg opens.
        format: FFmpeg's name of the device's kind; None for addresses and files.
        is_endless: Whether the input may be lost and come back.
        is_paced: Whether pictures come when they are due, not as fast as they can be read.
        timeout: How long the input may be silent, seconds.
    """

    name: str
    format: str | None = None
    is_endless: bool = True
    is_paced: bool = True
    timeout: float = TIMEOUT_S


def live_input(source: str) -> LiveInput:
    """Return the input that a name stands for.

    Args:
        source: ``camera``, ``camera:1``, ``screen``, a device, an address or a file.

    Raises:
        ImageError: There is no such file.
    """
    system = platform.system()
    kind, _, which = source.partition(":")
    if kind == "camera":
        driver, pattern = DEVICES.get(system, DEVICES["Linux"])
        return LiveInput(pattern.format(which or "0"), driver)
    if kind == "screen":
        driver, pattern = SCREENS.get(system, SCREENS["Linux"])
        if driver == "x11grab" and not which and "DISPLAY" in os.environ:
            return LiveInput(os.environ["DISPLAY"], driver)
        return LiveInput(pattern.format(which or "0"), driver)
    if source.startswith("/dev/video"):
        return LiveInput(source, "v4l2")
    if source.lower().startswith(("http://", "https://")):
        return LiveInput(source, is_paced=False, timeout=SEGMENT_TIMEOUT_S)
    if STREAM.match(source):
        return LiveInput(source)
    if not files.exists(Path(source)):
        raise ImageError(f"{source}: no such file, camera, screen or address")
    return LiveInput(source, is_endless=False, is_paced=False)


@dataclass(frozen=True, eq=False)
class LivePicture:
    """A picture, (H, W, 3) of uint8, and the ``time.monotonic`` at which it came."""

    pixels: np.ndarray
    time: float


class LiveSource:
    """Reads an input in a thread of its own, and opens it again when it was lost.

    Attributes:
        slot: The newest picture.
        messages: Sentences for the user.
        rate: Pictures per second as the input states them, 0 where it doesn't.
        picture_count: How many pictures were decoded.
        damaged_count: How many packets or pictures couldn't be decoded.
        failure: The last error, or None.
    """

    def __init__(self, source: str) -> None:
        self.name, self.input = source, live_input(source)
        self.slot: Slot[LivePicture] = Slot()
        self.messages: deque[str] = deque()
        self.rate = 0.0
        self.closed = threading.Event()
        self.picture_count = self.damaged_count = 0
        self.is_lost = False
        self.has_ended = not self.input.is_endless
        self.start_time: float | None = None  # of the input's time 0, on our clock
        self.is_paced = self.input.is_paced
        self.failure: Exception | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self, timeout: float | None = None) -> LivePicture:
        """Begin to read, and wait for the first picture.

        Args:
            timeout: How long to wait, seconds; by default as long as the input may be silent.

        Raises:
            ImageError: There is no picture.
        """
        self.thread.start()
        deadline = time.monotonic() + (timeout or self.input.timeout)
        while time.monotonic() < deadline and not self.slot.is_closed:
            picture = self.slot.take(0.05)
            if picture is not None:
                return picture
            if self.failure is not None and not self.input.is_paced:
                break  # an HTTP server that refuses now refuses after the timeout, too
        self.close()
        raise self.failure or ImageError(f"{self.name} gives no pictures")

    def close(self) -> None:
        self.closed.set()
        self.slot.close()

    def _run(self) -> None:
        while not self.closed.is_set():
            count_before = self.picture_count
            try:
                self._read()
                self.failure = None
            except ImageError as error:
                self.failure = error
            except av.error.FFmpegError as error:
                self.failure = ImageError(f"{self.name} is lost: {error.strerror}")
            if self.has_ended:
                if self.failure is not None and self.picture_count:
                    self.messages.append(str(self.failure))
                break
            if self.picture_count > count_before and not self.closed.is_set():
                self.messages.append(f"{self.name} is lost; waiting for it")
                self.is_lost = True
            self.closed.wait(RETRY_INTERVAL_S)
        self.slot.close()

    def _read(self) -> None:
        """Read the input until it ends. Raises ImageError, or FFmpeg's errors."""
        options: dict[str, str] = {}
        if self.input.is_paced:
            options = LOW_LATENCY_OPTIONS
        elif self.input.is_endless:
            options = SEGMENT_OPTIONS
        arguments: dict[str, Any] = {"format": self.input.format} if self.input.format else {}
        if STREAM.match(self.input.name):
            arguments["timeout"] = self.input.timeout
        options = {**options, **ffmpeg_options(self.input.name)}
        with closing(open_container(self.input.name, options=options, **arguments)) as container:
            check_decodable(self.name, container)
            stream = best_stream(container)
            stream.codec_context.thread_type = (
                "SLICE"  # threads that decode one frame each add latency
            )
            self.rate = float(stream.average_rate or stream.guessed_rate or 0)
            self.start_time = None
            # A motion JPEG has no times: FFmpeg invents some.
            self.is_paced = self.input.is_paced or container.format.name == "mpjpeg"
            for frame in self._decoded(container, stream):
                if self.closed.wait(self._seconds_until(frame)):
                    return
                now = time.monotonic()
                if self.is_lost:
                    self.messages.append(f"{self.name} is back")
                    self.is_lost = False
                self.picture_count += 1
                colour = colour_of(stream.codec_context, frame)
                pixels = upright(frame, stream.codec_context.name, colour)
                self.slot.put(LivePicture(pixels, now))
            # A film from a server has a duration, and ends; a live stream has none.
            is_film = not self.input.is_paced and bool(container.duration)
            self.has_ended = self.has_ended or is_film

    def _decoded(self, container: InputContainer, stream: Any) -> Iterator[av.VideoFrame]:
        """Yield the frames that can be decoded, and count the others.

        What comes before a stream's first picture isn't counted: the stream is joined at any
        moment, and its first packets may rely on earlier ones.
        """
        has_begun = not self.input.is_endless
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self._note_damage(has_begun)
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._note_damage(has_begun)
                else:
                    has_begun = True
                    yield frame

    def _note_damage(self, has_begun: bool) -> None:
        if has_begun and not self.damaged_count:
            self.messages.append(f"{self.name} is damaged in places; they are left out")
        self.damaged_count += has_begun

    def _seconds_until(self, frame: av.VideoFrame) -> float:
        """Return the seconds until a picture is due."""
        if self.is_paced or frame.time is None:
            return 0.0
        now = time.monotonic()
        max_early = MAX_EARLY_S if self.input.is_endless else math.inf
        if self.start_time is not None:
            early = self.start_time + frame.time - now
            if -MAX_LATE_S < early < max_early:
                return max(0.0, early)
        self.start_time = now - frame.time
        return 0.0
