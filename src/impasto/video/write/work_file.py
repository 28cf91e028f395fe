"""The work file, which holds the stylized frames while a film is made.

A work file, ``OUT.part.mp4``, has pictures only, and its container can be played even if the
process is killed. Its frames are encoded in segments, each with an encoder of its own, so that a
resumed film is the same, byte for byte, as one that was never interrupted. ``assembling`` makes the
film from it.
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
from impasto.video.containers import open_container
from impasto.video.frames import BT709, JPEG_RANGE, MPEG_RANGE, SRGB, Clip, Colour
from impasto.video.write.codecs import QUICKTIME, Codec

KEYFRAME_INTERVAL_S = 2
"""Seconds between keyframes, and so the length of a fragmented MP4's fragments."""
FRAGMENTED = {"movflags": "+frag_keyframe+empty_moov+default_base_moof"}
"""Options for an MP4 that can be played before it is finished."""
SWS_601 = 5
"""The number of BT.601 in FFmpeg's scaler, which differs from that in H.273."""
MAX_REORDERED = 4
"""An encoder encodes at most so many frames before one that is shown earlier."""


@dataclass(frozen=True)
class WorkFilePart:
    """The frames of a work file that belong to the film.

    Attributes:
        path: The work file.
        first: The time of its first frame, in the clip's time base.
        frames: How many of its frames belong to the film, from the first on.
    """

    path: Path
    first: int
    frames: int

    def packets(self) -> Iterator[Any]:
        """Yield the packets of these frames, up to where the file ends."""
        with closing(open_container(str(self.path))) as container:
            yield from islice(_timed_packets(container), self.frames)

    def is_whole(self) -> bool:
        """Return whether all of the frames are in the file."""
        try:
            return sum(1 for _ in self.packets()) == self.frames
        except ImageError:
            return False


def _timed_packets(container: Any) -> Iterator[Any]:
    with suppress(av.error.FFmpegError):
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None and packet.size:
                yield packet


class FilmWriter:
    """Encodes frames into a work file.

    Args:
        path: The work file.
        codec: The codec of the film.
        clip: The frames' properties.

    Raises:
        OutputError: The file can't be written.
    """

    def __init__(self, path: Path, codec: Codec, clip: Clip) -> None:
        self.codec, self.clip, self.path = codec, clip, path
        self.width, self.height = codec.fitted(clip.width, clip.height)
        self.colour = _output_colour(clip)
        if codec.is_rgb:
            self.colour = Colour(BT709, SRGB, 0, JPEG_RANGE)
        self.times = DecodingTimes(clip)
        self.rate = min(clip.rate, Fraction(codec.max_rate))  # the frames' times stay
        self.encoder: Any = None
        self.last_keyframe = 0
        try:
            options = FRAGMENTED if path.suffix.lower() in QUICKTIME else {}
            name = str(path.absolute())  # else a name with a colon is taken for an address
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
        return {**self.codec.options, "g": str(max(1, round(self.rate * KEYFRAME_INTERVAL_S)))}

    def _describe(self, context: Any) -> None:
        """Set size, format, times and colours of an encoder."""
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
            self.last_keyframe = pts
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
        # Encoders count frames: at a low rate, keyframes would be too many seconds apart.
        if (pts - self.last_keyframe) * self.clip.time_base >= KEYFRAME_INTERVAL_S:
            frame.pict_type, self.last_keyframe = PictureType.I, pts
        self.times.add_frame(pts)
        self._encode(frame)

    def has_written(self, frames: int) -> bool:
        """Return whether the first ``frames`` frames are in the file.

        A fragment is written when the next one begins.
        """
        return self.times.packets > frames + 1

    def end_segment(self) -> None:
        """Finish a segment: later frames are encoded independently of it. Raises OutputError."""
        if self.encoder is not None:
            self._encode(None)
            self.encoder = None

    @property
    def part(self) -> WorkFilePart:
        """The frames that were written."""
        return WorkFilePart(self.path, self.times.pts[0], len(self.times.pts))

    def close(self) -> None:
        """Finish the file. Raises OutputError."""
        self.end_segment()
        try:
            self.container.close()
        except (OSError, av.error.FFmpegError) as error:
            raise OutputError(f"{self.path} can't be written: {reason(error)}") from error

    def abandon(self) -> None:
        """Close the file as it is, after an error."""
        with suppress(OSError, av.error.FFmpegError):
            self.container.close()

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self.encoder.encode(frame):
                packet.stream, packet.time_base = self.stream, self.clip.time_base
                self.times.set_decoding_time(packet)
                self.container.mux(packet)
        except (OSError, av.error.FFmpegError) as error:
            raise OutputError(f"{self.path} can't be written: {reason(error)}") from error


class DecodingTimes:
    """Computes when packets are decoded: in the rhythm in which frames are shown, but earlier.

    They are earlier by ``MAX_REORDERED`` frames, so that every frame is decoded before it is shown.
    An encoder does so for itself, but not across segments, and some files don't store these times.
    """

    def __init__(self, clip: Clip) -> None:
        self.step = clip.step
        self.pts: list[int] = []
        self.packets = 0

    def add_frame(self, pts: int) -> None:
        """Add the time at which the next frame is shown."""
        self.pts.append(pts)

    def set_decoding_time(self, packet: Any) -> None:
        """Set the decoding time of the next packet."""
        index = self.packets - MAX_REORDERED
        self.packets += 1
        packet.dts = self.pts[index] if index >= 0 else self.pts[0] + index * self.step


def _output_colour(clip: Clip) -> Colour:
    """Return the film's own colours; those of RGB and HDR films become BT.709."""
    if clip.is_hdr or clip.colour.matrix == 0:
        return Colour(BT709, BT709, BT709, MPEG_RANGE)
    return clip.colour
