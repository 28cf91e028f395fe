"""Films as frames: decoding, seeking and deinterlacing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from impasto.base.errors import ImageError, reason
from impasto.images.decoding import TRANSPOSED
from impasto.images.hdr import TRANSFERS
from impasto.video.containers import (
    best_stream,
    check_decodable,
    open_container,
    orientation,
)
from impasto.video.frames import INSTANT_S, WHOLE, Clip, Cut, Frame, shown_from
from impasto.video.read.deinterlace import deinterlaced
from impasto.video.read.pixels import colour_of, frame_pixels
from impasto.video.read.timestamps import (
    MAX_REORDERED,
    measured_rate,
    stated_duration,
    stated_picture_duration,
    with_missing_times,
    with_sorted_times,
)

SEEK_MARGINS_S = 0.0, 3.0, 15.0
"""A seek is tried at so many seconds before the wanted time, one after the other."""
MAX_STATED_RATE = 120
"""A stated rate above this one is measured instead: browsers state 1000 for WebM, its time base."""
UNKNOWN_RATE = 25
"""Frames per second of a film that states no rate."""


class FilmReader:
    """A film that FFmpeg opens as a source of frames; see ``FrameSource``.

    Raises:
        ImageError: It isn't a film, or can't be decoded.
    """

    def __init__(self, path: str, size: int | None) -> None:
        self.path, self.skipped, self.is_cut_short = path, 0, False
        self.paths = [Path(path)]
        self.is_interlaced = False
        with closing(open_container(path)) as container:
            check_decodable(path, container)
            stream = best_stream(container)
            try:
                first = next(self._decoded(container, stream), None)
            except av.error.FFmpegError as error:
                raise ImageError(f"{path} can't be decoded: {reason(error)}") from error
            if first is None:
                raise ImageError(f"{path} has no frame that can be decoded")
            self.is_paletted = first.format.name == "pal8"  # the first packet has the palette
            self.orientation = orientation(first, stream.codec_context.name)
            self.clip = self._clip(container, stream, first).fitted(size)
        self.skipped = 0

    def _clip(self, container: InputContainer, stream: Any, first: av.VideoFrame) -> Clip:
        width, height = first.width, first.height
        aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        if self.orientation in TRANSPOSED:
            width, height, aspect = height, width, 1 / aspect
        rate = Fraction(stream.average_rate or stream.guessed_rate or UNKNOWN_RATE)
        # If the rate is wrong, the frames' durations are, too. An AVI may count fields.
        self.has_durations = rate <= MAX_STATED_RATE and container.format.name != "avi"
        if not self.has_durations:
            rate = measured_rate(self.path) or rate
        seconds = stated_duration(container, stream)
        codec = stream.codec_context
        has_alpha = any(component.is_alpha for component in first.format.components)
        return Clip(
            name=self.path,
            width=width,
            height=height,
            rate=rate,
            time_base=Fraction(stream.time_base),
            origin=round(Fraction(container.start_time or 0, av.time_base) / stream.time_base),
            seconds=seconds,
            picture_seconds=stated_picture_duration(container, stream),
            frames=stream.frames or (round(seconds * rate) if seconds else None),
            aspect=aspect,
            colour=colour_of(codec, first),
            is_hdr=int(codec.color_trc) in TRANSFERS,
            has_alpha=has_alpha or first.format.name.startswith("pal8"),
            other_streams=tuple(other.type for other in container.streams if other is not stream),
        )

    def frames(self, cut: Cut = WHOLE, resume: int | None = None) -> Iterator[Frame]:
        """Yield frames; see ``FrameSource``. What can't be decoded is skipped and counted."""
        base, origin = self.clip.time_base, self.clip.origin
        first = origin + round(cut.start / base) if resume is None else resume
        with closing(self._open_before(first)) as container:
            self.is_cut_short = False  # a failed seek may have set it
            stream = best_stream(container)
            seen = kept = 0
            timed = self._timed(container, stream)
            if resume is None:
                timed = shown_from(timed, first, self.clip.step)
            for pts, ends, frame in timed:
                if pts < first:
                    continue
                if (pts - origin) * base >= cut.end - INSTANT_S:
                    return
                if seen == 0 and first > origin:
                    self.skipped = 0  # damaged frames before the cut aren't missing
                if seen % cut.every == 0:
                    pixels = frame_pixels(frame, self.clip, self.orientation)
                    yield Frame(kept, pts, ends, pixels, self.skipped)
                    kept += 1
                seen += 1

    def _timed(
        self, container: InputContainer, stream: Any
    ) -> Iterator[tuple[int, int, av.VideoFrame]]:
        """Yield start, end and frame. Frames whose time doesn't increase are skipped."""
        last: int | None = None
        for frame in with_missing_times(self._decoded(container, stream), self.clip.step):
            pts = int(frame.pts or 0)
            if last is not None and pts <= last:
                self.skipped += 1
                continue
            last = pts
            duration = frame.duration if self.has_durations else 0
            yield pts, pts + (duration or self.clip.step), frame

    def _open_before(self, first: int) -> InputContainer:
        """Open the film at the time ``first`` or before it.

        In some kinds of files seeking ends too late. So the next frame's time is checked, and if no
        seek succeeds, the film is read from its beginning.
        """
        latest = first
        should_seek = first > self.clip.origin and not self.is_paletted
        for margin in SEEK_MARGINS_S if should_seek else ():
            container = open_container(self.path)
            stream = best_stream(container)
            if self.is_interlaced and not margin:  # deinterlacing needs the frames before, too
                container.close()
                continue
            if container.format.name == "avi":  # its first times may be those of other frames
                latest = first - MAX_REORDERED * self.clip.step
            target = max(first - round(margin / self.clip.time_base), self.clip.origin)
            with suppress(av.error.FFmpegError, OSError):
                container.seek(target, stream=stream)
                frame = next(self._decoded(container, stream), None)
                if frame is not None and frame.pts is not None and frame.pts <= latest:
                    container.seek(target, stream=stream)
                    return container
            container.close()
        return open_container(self.path)

    def _decoded(self, container: InputContainer, stream: Any) -> Iterator[av.VideoFrame]:
        frames = self._all_decoded(container, stream)
        if container.format.name == "avi":
            frames = with_sorted_times(frames)
        return self._deinterlaced(frames, stream)

    def _deinterlaced(
        self, frames: Iterator[av.VideoFrame], stream: Any
    ) -> Iterator[av.VideoFrame]:
        """Deinterlace from the first interlaced frame on; the frames before it stay as they are."""
        for frame in frames:
            if frame.interlaced_frame:
                self.is_interlaced = True
                yield from deinterlaced(frame, frames, stream)
                return
            yield frame

    def _all_decoded(self, container: InputContainer, stream: Any) -> Iterator[av.VideoFrame]:
        """Yield the frames that can be decoded, and count the others as skipped."""
        if not stream.codec_context.is_open:
            stream.thread_type = "AUTO"
        decoder = _alpha_decoder(stream)
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                self.is_cut_short = True
                return
            try:
                frames = packet.decode() if decoder is None else decoder.decode(packet)
            except av.error.FFmpegError:
                self.skipped += 1
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self.skipped += 1
                else:
                    yield frame


def _alpha_decoder(stream: Any) -> Any:
    """Return a decoder for the transparency of a WebM, which FFmpeg's own decoders ignore.

    Returns None if the stream has no transparency.
    """
    library = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    modes = [value for key, value in stream.metadata.items() if key.lower() == "alpha_mode"]
    if "1" not in modes or library is None:
        return None
    return av.CodecContext.create(library, "r")
