"""Where live pictures go, by name: a window, a file, a stream, a virtual camera."""

from __future__ import annotations

import threading
import time
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import cv2
import httpx
import numpy as np

from impasto.base import files
from impasto.base.errors import OutputError
from impasto.live.slot import Slot
from impasto.live.sources import AGAIN_S, STREAM
from impasto.live.window import Window
from impasto.networks.connection import ffmpeg_options, is_loopback, open_client
from impasto.video.codecs import QUICKTIME, Codec
from impasto.video.writing import FRAGMENTED, SWS_601

FORMATS = {"rtmp": "flv", "rtmps": "flv", "rtsp": "rtsp", "udp": "mpegts", "srt": "mpegts",
           "rtp": "rtp_mpegts", "tcp": "mpegts", "http": "mpegts"}  # fmt: skip
"""How pictures are packed for an address."""
H264 = Codec(
    "libx264", "yuv420p", options={"preset": "superfast", "tune": "zerolatency", "crf": "20"}
)
VP9 = Codec(
    "libvpx-vp9",
    "yuv420p",
    options={
        "deadline": "realtime",
        "cpu-used": "8",
        "row-mt": "1",
        "b": "0",
        "crf": "30",
        "lag-in-frames": "0",
    },
)
BY_SUFFIX = {".mp4": H264, ".m4v": H264, ".mov": H264, ".mkv": H264, ".ts": H264, ".webm": VP9}
"""What a file is encoded as, as fast as it comes."""
STUDIO = "http://127.0.0.1:8765"
QUALITY = 85
MOST_BYTES = 1_000_000
"""Of a picture that the studio takes."""
MICROSECONDS = Fraction(1, 1_000_000)


class Sink(Protocol):
    """Shows pictures."""

    news: deque[str]

    def show(self, pixels: np.ndarray, at: float) -> bool:
        """Show a picture of ``time.monotonic`` ``at``. False: the person has had enough."""
        ...

    def goes_on(self) -> bool:
        """As ``show``, while there is nothing to show."""
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
        return Encoded(name, "v4l2", rate, codec=Codec("rawvideo", "yuyv422"))
    if STREAM.match(name):
        scheme = name.partition("://")[0].lower()
        if scheme not in FORMATS:
            raise OutputError(f"{name}: pictures can be sent by {', '.join(sorted(FORMATS))}")
        return Encoded(name, FORMATS[scheme], rate, again=True)
    codec = BY_SUFFIX.get(Path(name).suffix.lower())
    if codec is None:
        raise OutputError(f"{name}: live pictures are kept in a file of {' '.join(BY_SUFFIX)}")
    files.check_writable(Path(name), force=force)
    return Encoded(name, None, rate, codec=codec)


class StudioPage:
    """The Live tab of a studio, by the address that it printed; pictures are sent in a thread."""

    def __init__(self, address: str) -> None:
        self.news: deque[str] = deque()
        try:
            where = httpx.URL(address)
        except httpx.InvalidURL as error:
            raise OutputError(f"{address} is no address: {error}") from error
        token = where.params.get("token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        base = where.copy_with(query=None, path="/")
        # What doesn't leave this machine needs nobody to vouch for it.
        verify = not is_loopback(base.host)
        self.client = open_client(base, base_url=base, headers=headers, timeout=5, verify=verify)
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

    def goes_on(self) -> bool:
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
            kind = {"Content-Type": "image/jpeg"}
            try:
                answer = self.client.post("/v1/live/shown", content=_jpeg(pixels), headers=kind)
                answer.raise_for_status()
                if lost:
                    self.news.append("the studio is back")
                lost = False
            except httpx.HTTPError as error:
                if not lost:
                    self.news.append(f"{_trouble(error)}; trying again")
                lost = True
                time.sleep(AGAIN_S)


def _jpeg(pixels: np.ndarray) -> bytes:
    """As large as the studio takes it."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    while True:
        _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if len(encoded) <= MOST_BYTES:
            return encoded.tobytes()
        factor = 0.95 * (MOST_BYTES / len(encoded)) ** 0.5
        bgr = cv2.resize(bgr, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def _trouble(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        answer = error.response
        return f"the studio refuses the pictures ({answer.status_code} {answer.reason_phrase})"
    return "the studio is lost"


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
        codec: Codec = H264,
        again: bool = False,
    ) -> None:
        self.name, self.format, self.rate = name, format, rate
        self.codec, self.again = codec, again
        self.news: deque[str] = deque()
        self.slot: Slot[tuple[np.ndarray, float]] = Slot()
        self.size: tuple[int, int] | None = None  # width, height
        self.failure: OutputError | None = None
        self.shown = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def show(self, pixels: np.ndarray, at: float) -> bool:
        self.slot.put((pixels, at))
        return self.goes_on()

    def goes_on(self) -> bool:
        """Raises OutputError."""
        if self.failure is not None:
            raise self.failure
        return True

    def close(self) -> None:
        """Raises OutputError."""
        self.slot.close()
        self.thread.join(10)
        self.goes_on()

    def _run(self) -> None:
        lost = False
        while not self.slot.is_closed:
            try:
                self._send(lost)
                return
            except Exception as error:  # or nobody would hear of it
                why = getattr(error, "strerror", None) or error
                if not self.again or not isinstance(error, (av.error.FFmpegError, OSError)):
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
        with av.open(self.name, "w", self.format, options=self._packing(), timeout=5) as container:
            rate = Fraction(self.rate or 25).limit_denominator(1001)
            stream: Any = container.add_stream(
                self.codec.encoder, rate=rate, options=self.codec.options
            )
            stream.width, stream.height = self.size
            stream.pix_fmt = self.codec.pixels
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

    def _packing(self) -> dict[str, str]:
        """A file is to be played however it ends."""
        if self.format is not None:
            return ffmpeg_options(self.name)
        fragmented = FRAGMENTED if Path(self.name).suffix.lower() in QUICKTIME else {}
        return {"flush_packets": "1", **fragmented}

    def _frame(self, pixels: np.ndarray, pts: int) -> av.VideoFrame:
        assert self.size is not None
        width, height = self.size
        if pixels.shape[:2] != (height, width):
            pixels = _boxed(pixels, width, height)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            format=self.codec.pixels, dst_colorspace=SWS_601, src_color_range=2, dst_color_range=1
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
