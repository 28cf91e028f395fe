"""Frames → a work file, that can be played at any moment, and gone on with after any crash.

While a film is made, its pictures alone are in a work file, ``OUT.part.mp4``: of a kind that plays
however it ends. It is encoded in segments, each by an encoder of its own, so that one that is gone
on with is the same, byte for byte, as one that was never interrupted. ``assembling`` makes the film
of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import PictureType

from impasto.base.errors import ImageError, OutputError, reason
from impasto.video.codecs import QUICKTIME, Codec
from impasto.video.containers import open_container
from impasto.video.frames import BT709, JPEG_RANGE, MPEG_RANGE, SRGB, Clip, Colour

GOP_SECONDS = 2
"""Between frames that decoding can begin at, and pieces of an MP4 that is being made."""
MOST_TICKS = 2**31 - 1
FRAGMENTED = {"movflags": "+frag_keyframe+empty_moov+default_base_moof"}
SWS_601 = 5
"""What FFmpeg's scaler calls BT.601, whatever its number in H.273."""
HELD_BACK = 4
"""So many frames at most are encoded before one that is shown earlier."""


@dataclass(frozen=True)
class Part:
    """The first ``frames`` frames of a work file, the first of them at ``first``."""

    path: Path
    first: int
    frames: int

    def packets(self) -> Iterator[Any]:
        """Those of the frames, up to where the file ends or is broken off."""
        with closing(open_container(str(self.path))) as container:
            yield from islice(_with_time(container), self.frames)

    def is_whole(self) -> bool:
        """Whether all of the frames are there."""
        try:
            return sum(1 for _ in self.packets()) == self.frames
        except ImageError:
            return False


def _with_time(container: Any) -> Iterator[Any]:
    with suppress(av.error.FFmpegError):
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None and packet.size:
                yield packet


class FilmWriter:
    """Writes a work file. Raises OutputError."""

    def __init__(self, path: Path, codec: Codec, clip: Clip) -> None:
        self.codec, self.clip, self.path = codec, clip, path
        self.width, self.height = codec.fitted(clip.width, clip.height)
        self.colour = output_colour(clip)
        if codec.is_rgb:
            self.colour = Colour(BT709, SRGB, 0, JPEG_RANGE)
        self.times = Times(clip)
        self.rate = min(clip.rate, Fraction(codec.max_rate))  # frames keep their times
        self.encoder: Any = None
        self.last_key = 0
        try:
            options = FRAGMENTED if path.suffix.lower() in QUICKTIME else {}
            name = str(path.absolute())  # it may have a colon, as addresses have
            self.container = av.open(name, "w", options={**options, "flush_packets": "1"})
            self.stream: Any = self.container.add_stream(
                codec.encoder, rate=self.rate, options=self._options()
            )
            self._describe(self.stream.codec_context)
            self.stream.time_base = clip.time_base
            self.container.start_encoding()
        except (OSError, av.error.FFmpegError) as error:
            raise OutputError(f"{path} can't be written: {reason(error)}") from error

    def _options(self) -> dict[str, str]:
        return {**self.codec.options, "g": str(max(1, round(self.rate * GOP_SECONDS)))}

    def _describe(self, context: Any) -> None:
        context.width, context.height = self.width, self.height
        context.pix_fmt = self.codec.pixels
        context.time_base, context.framerate = self.clip.time_base, self.rate
        context.sample_aspect_ratio = self.clip.aspect
        context.color_primaries, context.color_trc = self.colour.primaries, self.colour.transfer
        context.colorspace, context.color_range = self.colour.matrix, self.colour.range
        context.flags |= Flags.global_header

    def write(self, pixels: np.ndarray, pts: int) -> None:
        """Encode a frame, (H, W, 3 or 4) of uint8. Raises OutputError."""
        if self.encoder is None:
            self.encoder = av.CodecContext.create(self.codec.encoder, "w")
            self.encoder.options = self._options()
            self._describe(self.encoder)
            self.last_key = pts
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(pixels[: self.height, : self.width]),
            format="rgb24" if pixels.shape[2] == 3 else "rgba",
        ).reformat(
            format=self.codec.pixels,
            dst_colorspace=SWS_601 if self.colour.matrix in (5, 6) else self.colour.matrix or None,
            src_color_range=JPEG_RANGE,
            dst_color_range=self.colour.range,
        )
        frame.pts, frame.time_base = pts, self.clip.time_base
        if (pts - self.last_key) * self.clip.time_base >= GOP_SECONDS:  # frames may come slowly
            frame.pict_type, self.last_key = PictureType.I, pts
        self.times.shown(pts)
        self._encode(frame)

    def relies_on(self, frames: int) -> bool:
        """Whether the first so many frames are in the file: a piece of it is written when the next
        one begins.
        """
        return self.times.packets > frames + 1

    def end_segment(self) -> None:
        """What comes now doesn't depend on what was. Raises OutputError."""
        if self.encoder is not None:
            self._encode(None)
            self.encoder = None

    @property
    def part(self) -> Part:
        """What was written."""
        return Part(self.path, self.times.pts[0], len(self.times.pts))

    def close(self) -> None:
        """Raises OutputError."""
        self.end_segment()
        try:
            self.container.close()
        except (OSError, av.error.FFmpegError) as error:
            raise OutputError(f"{self.path} can't be written: {reason(error)}") from error

    def abandon(self) -> None:
        """Let go of the file, as it is."""
        with suppress(OSError, av.error.FFmpegError):
            self.container.close()

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self.encoder.encode(frame):
                packet.stream, packet.time_base = self.stream, self.clip.time_base
                self.times.time(packet)
                self.container.mux(packet)
        except (OSError, av.error.FFmpegError) as error:
            raise OutputError(f"{self.path} can't be written: {reason(error)}") from error


class Times:
    """When each packet is to be decoded: as the frames are shown, but so many earlier that those
    that are encoded before their turn are there. Every encoder counts that for itself; across
    segments, and files that forget it, we have to.
    """

    def __init__(self, clip: Clip) -> None:
        self.step = clip.step
        self.pts: list[int] = []
        self.packets = 0

    def shown(self, pts: int) -> None:
        self.pts.append(pts)

    def time(self, packet: Any) -> None:
        """Set a packet's decoding time."""
        index = self.packets - HELD_BACK
        self.packets += 1
        packet.dts = self.pts[index] if index >= 0 else self.pts[0] + index * self.step


def output_colour(clip: Clip) -> Colour:
    """The source's, where a film can have it; what was RGB or HDR becomes BT.709."""
    if clip.hdr or clip.colour.matrix == 0:
        return Colour(BT709, BT709, BT709, MPEG_RANGE)
    return clip.colour
