"""Where live pictures go, by name: a window, a file, a stream, a virtual camera."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import cv2
import httpx
import numpy as np

from impasto import files
from impasto.errors import OutputError
from impasto.video.live.slot import Slot
from impasto.video.live.sources import AGAIN_S, STREAM
from impasto.video.live.window import Window
from impasto.video.writing import SWS_601

FORMATS = {"rtmp": "flv", "rtmps": "flv", "rtsp": "rtsp", "udp": "mpegts", "srt": "mpegts",
           "rtp": "rtp_mpegts", "tcp": "mpegts", "http": "mpegts"}  # fmt: skip
"""How pictures are packed for an address."""
X264 = {"preset": "superfast", "tune": "zerolatency", "crf": "20"}
STUDIO = "http://127.0.0.1:8765"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
QUALITY = 85
MICROSECONDS = Fraction(1, 1_000_000)


class Sink(Protocol):
    """Shows pictures."""

    news: list[str]

    def show(self, pixels: np.ndarray, at: float) -> bool:
        """Show a picture of ``time.monotonic`` ``at``. False: the person has had enough."""
        ...

    def close(self) -> None: ...


def open_sink(name: str, rate: float, *, force: bool = False) -> Sink:
    """``window``, ``studio`` (or ``studio:`` and its address), a file, an address, or a virtual
    camera (``/dev/video…``). Raises OutputError.
    """
    if name == "window":
        return Window()
    if name == "studio" or name.startswith("studio:http"):
        return StudioPage(name.partition(":")[2] or STUDIO)
    if name.startswith("/dev/video"):
        return Encoded(name, "v4l2", rate, codec="rawvideo", pixels="yuyv422")
    if STREAM.match(name):
        scheme = name.partition("://")[0].lower()
        if scheme not in FORMATS:
            raise OutputError(f"{name}: pictures can be sent by {', '.join(sorted(FORMATS))}")
        return Encoded(name, FORMATS[scheme], rate, again=True)
    files.check_writable(Path(name), force=force)
    return Encoded(name, None, rate)


class StudioPage:
    """The Live tab of a studio, by the address that it printed; pictures are sent in a thread."""

    def __init__(self, address: str) -> None:
        self.news: list[str] = []
        where = httpx.URL(address)
        token = where.params.get("token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        base = where.copy_with(query=None, path="/")
        # What doesn't leave this machine needs nobody to vouch for it.
        verify = base.host not in LOOPBACK
        self.client = httpx.Client(base_url=base, headers=headers, timeout=5, verify=verify)
        try:
            self.client.get("/v1/health").raise_for_status()
        except httpx.HTTPError as error:
            raise OutputError(f"there is no studio at {base} that lets us in: {error}") from error
        self.slot: Slot[np.ndarray] = Slot()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def show(self, pixels: np.ndarray, at: float) -> bool:
        self.slot.put(pixels)
        return True

    def close(self) -> None:
        self.slot.close()
        self.thread.join(10)
        self.client.close()

    def _run(self) -> None:
        lost = False
        while not self.slot.is_closed:
            pixels = self.slot.take(0.5)
            if pixels is None:
                continue
            bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
            _, picture = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            kind = {"Content-Type": "image/jpeg"}
            try:
                self.client.post("/v1/live/shown", content=picture.tobytes(), headers=kind)
                if lost:
                    self.news.append("the studio is back")
                lost = False
            except httpx.HTTPError:
                if not lost:
                    self.news.append("the studio is lost; trying again")
                lost = True
                time.sleep(AGAIN_S)


class Encoded:
    """A film, encoded and sent in a thread: a slow one gets fewer pictures, and none waits.

    All are brought to the size of the first. ``again``: what is lost is opened again.
    """

    def __init__(
        self,
        name: str,
        format: str | None,
        rate: float,
        *,
        codec: str = "libx264",
        pixels: str = "yuv420p",
        again: bool = False,
    ) -> None:
        self.name, self.format, self.rate = name, format, rate
        self.codec, self.pixels, self.again = codec, pixels, again
        self.news: list[str] = []
        self.slot: Slot[tuple[np.ndarray, float]] = Slot()
        self.size: tuple[int, int] | None = None  # width, height
        self.failure: OutputError | None = None
        self.shown = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def show(self, pixels: np.ndarray, at: float) -> bool:
        if self.failure is not None:
            raise self.failure
        self.slot.put((pixels, at))
        return True

    def close(self) -> None:
        """Raises OutputError."""
        self.slot.close()
        self.thread.join(10)
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        lost = False
        while not self.slot.is_closed:
            try:
                self._send(lost)
                return
            except (av.error.FFmpegError, OSError) as error:
                why = getattr(error, "strerror", None) or error
                if not self.again:
                    self.failure = OutputError(f"{self.name} can't be written: {why}")
                    return
                if not lost:
                    self.news.append(f"{self.name} is lost ({why}); trying again")
                lost = True
                time.sleep(AGAIN_S)

    def _send(self, lost: bool) -> None:
        """Encode and send, up to the end. Raises what FFmpeg does."""
        first = None
        while first is None:
            first = self.slot.take(1)
            if first is None and self.slot.is_closed:
                return
        if self.size is None:
            height, width = first[0].shape[:2]
            self.size = width // 2 * 2, height // 2 * 2
        with av.open(self.name, "w", format=self.format, timeout=5) as container:
            options = X264 if self.codec == "libx264" else {}
            rate = Fraction(self.rate or 25).limit_denominator(1001)
            stream: Any = container.add_stream(self.codec, rate=rate, options=options)
            stream.width, stream.height = self.size
            stream.pix_fmt = self.pixels
            stream.time_base = stream.codec_context.time_base = MICROSECONDS
            stream.codec_context.gop_size = max(1, round(rate))
            started, last = first[1], -1
            item: tuple[np.ndarray, float] | None = first
            while item is not None or not self.slot.is_closed:
                if item is not None:
                    last = max(last + 1, round((item[1] - started) / MICROSECONDS))
                    container.mux(stream.encode(self._frame(item[0], last)))
                    self.shown += 1
                    if lost:
                        self.news.append(f"{self.name} is back")
                        lost = False
                item = self.slot.take(0.5)
            container.mux(stream.encode(None))

    def _frame(self, pixels: np.ndarray, pts: int) -> av.VideoFrame:
        assert self.size is not None
        width, height = self.size
        if pixels.shape[:2] != (height, width):
            pixels = _boxed(pixels, width, height)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            format=self.pixels, dst_colorspace=SWS_601, src_color_range=2, dst_color_range=1
        )
        frame.pts, frame.time_base = pts, MICROSECONDS
        return frame


def _boxed(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture of another size, whole, on black."""
    factor = min(width / pixels.shape[1], height / pixels.shape[0])
    if abs(pixels.shape[1] - width) <= 1 and abs(pixels.shape[0] - height) <= 1:
        return np.ascontiguousarray(pixels[:height, :width])
    size = max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    box = np.zeros((height, width, 3), np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    box[top : top + size[1], left : left + size[0]] = small
    return box
