"""Sinks of live pictures: a window, a file, a stream, a virtual camera, the studio's page."""

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
from impasto.live.sources import RETRY_INTERVAL_S, STREAM
from impasto.live.window import Window
from impasto.networks.connection import ffmpeg_options, is_loopback, open_client
from impasto.video.write.codecs import QUICKTIME, Codec
from impasto.video.write.work_file import FRAGMENTED, SWS_601

CONTAINERS = {"rtmp": "flv", "rtmps": "flv", "rtsp": "rtsp", "udp": "mpegts", "srt": "mpegts",
           "rtp": "rtp_mpegts", "tcp": "mpegts", "http": "mpegts"}  # fmt: skip
"""FFmpeg's name of the container that is sent to an address, by the address's scheme."""
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
"""The codecs of files, fast enough to encode in real time."""
STUDIO_ADDRESS = "http://127.0.0.1:8765"
JPEG_QUALITY = 85
MAX_JPEG_BYTES = 1_000_000
"""The studio refuses larger pictures."""
CLOSING_TIMEOUT_S = 10
MICROSECOND = Fraction(1, 1_000_000)
"""The time base of encoded pictures, seconds."""


class Sink(Protocol):
    """Shows pictures."""

    messages: deque[str]
    """Sentences for the user."""

    def show(self, pixels: np.ndarray, timestamp: float) -> bool:
        """Show a picture, and return whether the session should continue.

        Args:
            pixels: (H, W, 3) of uint8.
            timestamp: The ``time.monotonic`` at which the source's picture came.
        """
        ...

    def should_continue(self) -> bool:
        """Return whether the session should continue, while there is no picture to show."""
        ...

    def close(self) -> None: ...


def open_sink(name: str, rate: float, *, should_replace: bool = False) -> Sink:
    """Open the sink that a name stands for.

    Args:
        name: ``window``, ``studio`` (or ``studio:`` and its address), a file, an address, or a
            virtual camera (``/dev/video…``).
        rate: Pictures per second.
        should_replace: Whether an existing file is replaced.

    Raises:
        OutputError: The sink can't be opened.
    """
    if name == "window":
        return Window()
    if name == "studio" or name.startswith("studio:http"):
        return StudioSink(name.partition(":")[2] or STUDIO_ADDRESS)
    if name.startswith("/dev/video"):
        return VideoSink(name, "v4l2", rate, codec=Codec("rawvideo", "yuyv422"))
    if STREAM.match(name):
        scheme = name.partition("://")[0].lower()
        if scheme not in CONTAINERS:
            raise OutputError(f"{name}: pictures can be sent by {', '.join(sorted(CONTAINERS))}")
        return VideoSink(name, CONTAINERS[scheme], rate, should_retry=True)
    codec = BY_SUFFIX.get(Path(name).suffix.lower())
    if codec is None:
        raise OutputError(f"{name}: live pictures are kept in a file of {' '.join(BY_SUFFIX)}")
    files.check_writable(Path(name), force=should_replace)
    return VideoSink(name, None, rate, codec=codec)


class StudioSink:
    """Sends pictures to the Live tab of a studio, in a thread.

    Args:
        address: The address that the studio printed, with its token.

    Raises:
        OutputError: There is no studio at the address.
    """

    def __init__(self, address: str) -> None:
        self.messages: deque[str] = deque()
        try:
            url = httpx.URL(address)
        except httpx.InvalidURL as error:
            raise OutputError(f"{address} is no address: {error}") from error
        token = url.params.get("token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        base = url.copy_with(query=None, path="/")
        # A connection within this machine needs no certificate that others trust.
        verify = not is_loopback(base.host)
        self.client = open_client(base, base_url=base, headers=headers, timeout=5, verify=verify)
        try:
            self.client.get("/v1/health").raise_for_status()
        except httpx.HTTPError as error:
            raise OutputError(f"there is no studio at {base} that lets us in: {error}") from error
        self.slot: Slot[np.ndarray] = Slot()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def show(self, pixels: np.ndarray, timestamp: float) -> bool:
        self.slot.put(pixels)
        return True

    def should_continue(self) -> bool:
        return True

    def close(self) -> None:
        self.slot.close()
        self.thread.join(CLOSING_TIMEOUT_S)
        self.client.close()

    def _run(self) -> None:
        is_lost = False
        while not self.slot.is_closed:
            pixels = self.slot.take(0.5)
            if pixels is None:
                continue
            headers = {"Content-Type": "image/jpeg"}
            try:
                response = self.client.post(
                    "/v1/live/shown", content=_encode_jpeg(pixels), headers=headers
                )
                response.raise_for_status()
                if is_lost:
                    self.messages.append("the studio is back")
                is_lost = False
            except httpx.HTTPError as error:
                if not is_lost:
                    self.messages.append(f"{_describe(error)}; trying again")
                is_lost = True
                time.sleep(RETRY_INTERVAL_S)


def _encode_jpeg(pixels: np.ndarray) -> bytes:
    """Return a picture as JPEG, reduced until the studio accepts it."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    while True:
        _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if len(encoded) <= MAX_JPEG_BYTES:
            return encoded.tobytes()
        factor = 0.95 * (MAX_JPEG_BYTES / len(encoded)) ** 0.5
        bgr = cv2.resize(bgr, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def _describe(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        response = error.response
        return f"the studio refuses the pictures ({response.status_code} {response.reason_phrase})"
    return "the studio is lost"


class VideoSink:
    """Encodes pictures and writes or sends the film, in a thread.

    A slow file or connection gets fewer pictures, and none of them waits. All pictures get the size
    of the first.

    Args:
        name: A file, a device or an address.
        container: FFmpeg's name of the container; None for the one that the name asks for.
        rate: Pictures per second.
        codec: The encoder.
        should_retry: Whether a lost connection is opened again.
    """

    def __init__(
        self,
        name: str,
        container: str | None,
        rate: float,
        *,
        codec: Codec = H264,
        should_retry: bool = False,
    ) -> None:
        self.name, self.format, self.rate = name, container, rate
        self.codec, self.should_retry = codec, should_retry
        self.messages: deque[str] = deque()
        self.slot: Slot[tuple[np.ndarray, float]] = Slot()
        self.size: tuple[int, int] | None = None  # width, height
        self.failure: OutputError | None = None
        self.encoded_count = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def show(self, pixels: np.ndarray, timestamp: float) -> bool:
        self.slot.put((pixels, timestamp))
        return self.should_continue()

    def should_continue(self) -> bool:
        """Return True. Raises OutputError if the film can't be written."""
        if self.failure is not None:
            raise self.failure
        return True

    def close(self) -> None:
        """Finish the film. Raises OutputError if it can't be written."""
        self.slot.close()
        self.thread.join(CLOSING_TIMEOUT_S)
        self.should_continue()

    def _run(self) -> None:
        is_lost = False
        while not self.slot.is_closed:
            try:
                self._send(is_lost)
                return
            except Exception as error:  # an uncaught error would end the thread silently
                why = getattr(error, "strerror", None) or error
                if not self.should_retry or not isinstance(error, (av.error.FFmpegError, OSError)):
                    self.failure = OutputError(f"{self.name} can't be written: {why}")
                    return
                if not is_lost:
                    self.messages.append(f"{self.name} is lost ({why}); trying again")
                is_lost = True
                time.sleep(RETRY_INTERVAL_S)

    def _send(self, was_lost: bool) -> None:
        """Encode and send pictures until the sink is closed. Raises FFmpeg's errors."""
        first = None
        while first is None:
            first = self.slot.take(1)
            if first is None and self.slot.is_closed:
                return
        if self.size is None:
            height, width = first[0].shape[:2]
            self.size = width // 2 * 2, height // 2 * 2
        with av.open(
            self.name, "w", self.format, options=self._container_options(), timeout=5
        ) as container:
            rate = Fraction(self.rate or 25).limit_denominator(1001)
            stream: Any = container.add_stream(
                self.codec.encoder, rate=rate, options=self.codec.options
            )
            stream.width, stream.height = self.size
            stream.pix_fmt = self.codec.pixels
            stream.time_base = stream.codec_context.time_base = MICROSECOND
            stream.codec_context.gop_size = max(1, round(rate))
            start_time, last_pts = first[1], -1
            item: tuple[np.ndarray, float] | None = first
            while item is not None or not self.slot.is_closed:
                if item is not None:
                    pts = round((item[1] - start_time) / MICROSECOND)
                    last_pts = max(last_pts + 1, pts)
                    container.mux(stream.encode(self._frame(item[0], last_pts)))
                    self.encoded_count += 1
                    if was_lost:
                        self.messages.append(f"{self.name} is back")
                        was_lost = False
                item = self.slot.take(0.5)
            container.mux(stream.encode(None))

    def _container_options(self) -> dict[str, str]:
        """Return options for FFmpeg's muxer: a file can be played even if the process is killed."""
        if self.format is not None:
            return ffmpeg_options(self.name)
        fragmented = FRAGMENTED if Path(self.name).suffix.lower() in QUICKTIME else {}
        return {"flush_packets": "1", **fragmented}

    def _frame(self, pixels: np.ndarray, pts: int) -> av.VideoFrame:
        assert self.size is not None
        width, height = self.size
        if pixels.shape[:2] != (height, width):
            pixels = _fitted_on_black(pixels, width, height)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            format=self.codec.pixels, dst_colorspace=SWS_601, src_color_range=2, dst_color_range=1
        )
        frame.pts, frame.time_base = pts, MICROSECOND
        return frame


def _fitted_on_black(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a picture of another size, scaled to fit, on a black background."""
    factor = min(width / pixels.shape[1], height / pixels.shape[0])
    if abs(pixels.shape[1] - width) <= 1 and abs(pixels.shape[0] - height) <= 1:
        return np.ascontiguousarray(pixels[:height, :width])
    size = max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    background = np.zeros((height, width, 3), np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    background[top : top + size[1], left : left + size[0]] = small
    return background
