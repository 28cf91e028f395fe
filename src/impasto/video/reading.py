"""Films, folders and sequences of images → frames, upright, in sRGB."""

from __future__ import annotations

import heapq
import re
from collections import deque
from collections.abc import Iterator
from contextlib import closing, suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import Interpolation

from impasto.base.errors import ImageError, RecipeError, reason
from impasto.images.decoding import TRANSPOSED
from impasto.images.hdr import TRANSFERS, to_sdr
from impasto.images.picture import Picture
from impasto.images.read import read
from impasto.images.sizes import fit_long_side
from impasto.images.tiff import ORIENTATIONS
from impasto.images.write import quantize
from impasto.video.animations import Animation, is_animation
from impasto.video.containers import (
    best_stream,
    check_decodable,
    check_file,
    open_container,
    orientation,
)
from impasto.video.deinterlace import deinterlaced
from impasto.video.frames import (
    BT601,
    BT709,
    INSTANT_S,
    JPEG_RANGE,
    MPEG_RANGE,
    SRGB,
    UNSPECIFIED,
    WHOLE,
    Clip,
    Colour,
    Cut,
    Frame,
    shown_from,
)

SD_ROWS = 576
"""Untagged films of so many rows or fewer are BT.601, as players take them to be."""
SEEK_S = 0.0, 3.0, 15.0
"""Seconds before the wanted time at which a seek is tried, one after the other."""
AREA, BICUBIC = Interpolation.AREA, Interpolation.BICUBIC
EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
"""Without it FFmpeg's scaler makes colours a level darker, of 255."""
MOST_REORDERED = 16
"""H.264 shows no frame more than so many frames after it is decoded."""
SEQUENCE_RATE = Fraction(25)
MAX_STATED_RATE = 120
"""Above this stated rate, the rate is measured: browsers state 1000 for WebM, its time base."""
COUNTED_PACKETS = 500
UNTIMED_FRAMES = 64
"""So many frames without a time at a film's start are left out: a cut film may still hold those
before the cut. A file with more of them has no times at all.
"""
IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif",
    ".heic", ".heif", ".jp2", ".ppm", ".pgm",
)  # fmt: skip
NUMBERED = re.compile(r"%0?\d*d")


class Source(Protocol):
    """Where frames come from."""

    clip: Clip
    paths: list[Path]
    """What is read."""
    skipped: int
    """Frames that couldn't be decoded, or have a time that goes back."""
    cut_short: bool
    """Whether the file is broken off."""
    is_interlaced: bool
    """True once a frame was made of two fields."""

    def frames(self, cut: Cut = WHOLE, resume: int | None = None) -> Iterator[Frame]:
        """Those of a cut; or of that, those from the one at time ``resume`` on."""
        ...


def open_source(path: str, size: int | None, rate: Fraction | None = None) -> Source:
    """A film, a folder of images, or a sequence (``frame-%04d.png``), its frames brought to a long
    side of ``size`` px. Raises ImageError: there is none; RecipeError: it has a rate.
    """
    if Path(path).is_dir() or (NUMBERED.search(path) and not Path(path).exists()):
        return Sequence(path, size, rate or SEQUENCE_RATE)
    if rate is not None:
        raise RecipeError(f"{path} has a rate of its own; --rate is for images")
    check_file(path)
    return Animation(path, size) if is_animation(path) else Film(path, size)


class Film:
    """A file, or whatever else FFmpeg opens. Raises ImageError: not a film."""

    def __init__(self, path: str, size: int | None) -> None:
        self.path, self.skipped, self.cut_short = path, 0, False
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
            self.is_paletted = first.format.name == "pal8"  # by the first packet's palette
            self.orientation = orientation(first, stream.codec_context.name)
            self.clip = self._clip(container, stream, first).fitted(size)
        self.skipped = 0

    def _clip(self, container: InputContainer, stream: Any, first: av.VideoFrame) -> Clip:
        width, height = first.width, first.height
        aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        if self.orientation in TRANSPOSED:
            width, height, aspect = height, width, 1 / aspect
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        # Else the frames' are as wrong as the rate. AVIs may count fields.
        self.has_durations = rate <= MAX_STATED_RATE and container.format.name != "avi"
        if not self.has_durations:
            rate = _measured_rate(self.path) or rate
        seconds = _seconds(container, stream)
        codec = stream.codec_context
        names = [component.is_alpha for component in first.format.components]
        return Clip(
            name=self.path,
            width=width,
            height=height,
            rate=rate,
            time_base=Fraction(stream.time_base),
            origin=round(Fraction(container.start_time or 0, av.time_base) / stream.time_base),
            seconds=seconds,
            claimed=_claimed(container, stream),
            frames=stream.frames or (round(seconds * rate) if seconds else None),
            aspect=aspect,
            colour=colour_of(codec, first),
            hdr=int(codec.color_trc) in TRANSFERS,
            alpha=any(names) or first.format.name.startswith("pal8"),
            others=tuple(other.type for other in container.streams if other is not stream),
        )

    def frames(self, cut: Cut = WHOLE, resume: int | None = None) -> Iterator[Frame]:
        """As ``Source`` says. What can't be decoded is skipped, and counted."""
        base, origin = self.clip.time_base, self.clip.origin
        first = origin + round(cut.start / base) if resume is None else resume
        with closing(self._opened_at(first)) as container:
            self.cut_short = False  # whatever was met while a place to begin at was looked for
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
                    self.skipped = 0  # those that were damaged before the cut aren't missing
                if seen % cut.every == 0:
                    yield Frame(kept, pts, ends, self._pixels(frame), self.skipped)
                    kept += 1
                seen += 1

    def _timed(
        self, container: InputContainer, stream: Any
    ) -> Iterator[tuple[int, int, av.VideoFrame]]:
        """Yield when each frame begins and ends, and the frame; a film's time doesn't go back."""
        last: int | None = None
        for frame in _with_times(self._decoded(container, stream), self.clip.step):
            pts = int(frame.pts or 0)
            if last is not None and pts <= last:
                self.skipped += 1
                continue
            last = pts
            duration = frame.duration if self.has_durations else 0
            yield pts, pts + (duration or self.clip.step), frame

    def _opened_at(self, first: int) -> InputContainer:
        """The container, at ``first`` or before it. Some kinds of files aren't sought in as they
        should: whether the next frame isn't too late is tried, else it is read from its beginning.
        """
        latest = first
        is_sought = first > self.clip.origin and not self.is_paletted
        for margin in SEEK_S if is_sought else ():
            container = open_container(self.path)
            stream = best_stream(container)
            if self.is_interlaced and not margin:  # a frame is made of its neighbours, too
                container.close()
                continue
            if container.format.name == "avi":  # its first times may be of other frames
                latest = first - MOST_REORDERED * self.clip.step
            at = first - round(margin / self.clip.time_base)
            with suppress(av.error.FFmpegError, OSError):
                container.seek(max(at, self.clip.origin), stream=stream)
                frame = next(self._decoded(container, stream), None)
                if frame is not None and frame.pts is not None and frame.pts <= latest:
                    container.seek(max(at, self.clip.origin), stream=stream)
                    return container
            container.close()
        return open_container(self.path)

    def _decoded(self, container: InputContainer, stream: Any) -> Iterator[av.VideoFrame]:
        frames = self._all_decoded(container, stream)
        if container.format.name == "avi":
            frames = _in_order(frames)
        return self._deinterlaced(frames, stream)

    def _deinterlaced(
        self, frames: Iterator[av.VideoFrame], stream: Any
    ) -> Iterator[av.VideoFrame]:
        """Make whole pictures of interlaced frames; leave the others as they are."""
        for frame in frames:
            if frame.interlaced_frame:
                self.is_interlaced = True
                yield from deinterlaced(frame, frames, stream)
                return
            yield frame

    def _all_decoded(self, container: InputContainer, stream: Any) -> Iterator[av.VideoFrame]:
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
                self.cut_short = True
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

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray:
        """Upright, RGB or RGBA."""
        height, width = self.clip.height, self.clip.width
        if self.orientation in TRANSPOSED:
            height, width = width, height
        colour = self.clip.colour
        deep = self.clip.hdr
        kinds = ("rgba", "rgba64le") if self.clip.alpha else ("rgb24", "rgb48le")
        scaled = (height, width) != (frame.height, frame.width)
        converted = frame.reformat(
            width=width,
            height=height,
            format=kinds[deep],
            interpolation=EXACT | (AREA if scaled and height < frame.height else BICUBIC),
            src_colorspace=colour.matrix,
            src_color_range=colour.range,
            dst_color_range=JPEG_RANGE,
        )
        pixels = converted.to_ndarray()
        if deep:
            alpha = (pixels[..., 3:] // 257).astype(np.uint8)  # nothing where there is none
            shown = to_sdr(pixels[..., :3], colour.transfer, colour.primaries)
            pixels = np.concatenate([shown, alpha], axis=2)
        return _turned(pixels, self.orientation)


class Sequence:
    """Images in a folder, in the order of the numbers in their names, or of a pattern."""

    def __init__(self, path: str, size: int | None, rate: Fraction) -> None:
        self.paths = sequence_files(path)
        if not self.paths:
            raise ImageError(f"{path} holds no images")
        self.path, self.skipped, self.cut_short = path, 0, False
        self.is_interlaced = False
        first = self._first()
        height, width = first.height, first.width
        if size:
            height, width = fit_long_side(height, width, size, "antialias")
        self.clip = Clip(
            name=path,
            width=width,
            height=height,
            rate=rate,
            time_base=1 / rate,
            seconds=float(len(self.paths) / rate),
            frames=len(self.paths),
            colour=Colour(BT709, SRGB, 0, JPEG_RANGE),
            alpha=first.alpha is not None,
            has_container=False,
        )

    def frames(self, cut: Cut = WHOLE, resume: int | None = None) -> Iterator[Frame]:
        """As ``Source`` says. An image that can't be read is skipped, and counted."""
        rate, kept, seen = self.clip.rate, 0, 0
        first = round(cut.start * rate) if resume is None else resume
        for index, path in enumerate(self.paths):
            if index < first:
                continue
            if index / rate >= cut.end - INSTANT_S:
                return
            if seen % cut.every == 0:
                try:
                    pixels = self._pixels(path)
                except ImageError:
                    self.skipped += 1
                    continue
                yield Frame(kept, index, index + 1, pixels, self.skipped)
                kept += 1
            seen += 1

    def _first(self) -> Picture:
        """Return the first image that can be read. Raises ImageError: none can."""
        for path in self.paths[:-1]:
            with suppress(ImageError):
                return read(path)
        return read(self.paths[-1])

    def _pixels(self, path: Path) -> np.ndarray:
        picture = read(path)
        rgb = picture.rgb[0].permute(1, 2, 0).numpy()
        if self.clip.alpha:
            alpha = np.ones_like(rgb[..., :1])
            if picture.alpha is not None:
                alpha = picture.alpha[0, 0].numpy()[..., None]
            rgb = np.concatenate([rgb, alpha], axis=2)
        pixels = quantize(rgb, 8)
        if pixels.shape[:2] != (self.clip.height, self.clip.width):
            kind = "rgba" if self.clip.alpha else "rgb24"
            frame = av.VideoFrame.from_ndarray(pixels, format=kind)
            frame = frame.reformat(
                width=self.clip.width, height=self.clip.height, interpolation="AREA"
            )
            pixels = frame.to_ndarray()
        return pixels


def upright(frame: av.VideoFrame, codec: str, colour: Colour) -> np.ndarray:
    """A frame as (H, W, 3) of uint8, in its own size."""
    pixels = frame.reformat(
        format="rgb24",
        interpolation=EXACT | BICUBIC,
        src_colorspace=colour.matrix,
        src_color_range=colour.range,
        dst_color_range=JPEG_RANGE,
    ).to_ndarray()
    return _turned(pixels, orientation(frame, codec))


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    turn = ORIENTATIONS.get(orientation)
    return np.ascontiguousarray(pixels if turn is None else turn(pixels))


def sequence_files(path: str) -> list[Path]:
    """The images of a folder or pattern, in order."""
    if Path(path).is_dir():
        found = [
            p
            for p in Path(path).iterdir()
            if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")
        ]
        return sorted(found, key=lambda p: [_number(part) for part in re.split(r"(\d+)", p.name)])
    folder, name = Path(path).parent, Path(path).name
    before, after = NUMBERED.split(name, maxsplit=1)
    wanted = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    matches = [(wanted.fullmatch(p.name), p) for p in folder.iterdir()] if folder.is_dir() else []
    return [p for _, p in sorted((int(m[1]), p) for m, p in matches if m)]


def _number(part: str) -> tuple[int, int | str]:
    return (0, int(part)) if part.isdigit() else (1, part)


def _alpha_decoder(stream: Any) -> Any:
    """What decodes the transparency of a WebM: FFmpeg's own decoders don't. Else None."""
    library = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    modes = [value for key, value in stream.metadata.items() if key.lower() == "alpha_mode"]
    if "1" not in modes or library is None:
        return None
    return av.CodecContext.create(library, "r")


def _seconds(container: InputContainer, stream: Any) -> float | None:
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _claimed(container: InputContainer, stream: Any) -> float | None:
    """How long the pictures last, by what the file says of them alone."""
    if stream.duration or len(container.streams) == 1:
        return _seconds(container, stream)
    tag = re.match(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", ""))  # Matroska's
    return None if tag is None else 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])


def _in_order(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """An AVI knows when its frames are decoded, not when each is shown: of those times the earliest
    is that of the first frame that comes out.
    """
    waiting: deque[av.VideoFrame] = deque()
    times: list[int] = []
    for frame in frames:
        waiting.append(frame)
        heapq.heappush(times, frame.pts or 0)
        if len(waiting) > MOST_REORDERED:
            waiting[0].pts = heapq.heappop(times)
            yield waiting.popleft()
    for frame in waiting:
        frame.pts = heapq.heappop(times)
        yield frame


def _with_times(frames: Iterator[av.VideoFrame], step: int) -> Iterator[av.VideoFrame]:
    """Give each frame without a time that of the one before, and ``step``.

    Those before the first frame with a time are left out, unless the film has no times at all.
    """
    untimed: list[av.VideoFrame] = []
    last: int | None = None
    for frame in frames:
        if frame.pts is None and last is None and len(untimed) < UNTIMED_FRAMES:
            untimed.append(frame)
            continue
        if frame.pts is None:
            yield from _counted(untimed, step)
            last = step * (len(untimed) - 1) if last is None else last
            frame.pts = last + step
        untimed = []
        last = frame.pts
        yield frame
    if last is None:
        yield from _counted(untimed, step)


def _counted(frames: list[av.VideoFrame], step: int) -> Iterator[av.VideoFrame]:
    for number, frame in enumerate(frames):
        frame.pts = number * step
        yield frame


def _measured_rate(path: str) -> Fraction | None:
    """Return frames per second by the times of the first packets; None where they have none."""
    with closing(open_container(path)) as container, suppress(av.error.FFmpegError):
        stream = best_stream(container)
        packets = islice(container.demux(stream), COUNTED_PACKETS)
        stamps = [packet.dts if packet.pts is None else packet.pts for packet in packets]
        times = sorted(time for time in stamps if time is not None)
        if len(times) > 1 and times[-1] > times[0]:
            rate = Fraction(len(times) - 1, times[-1] - times[0]) / Fraction(stream.time_base)
            return rate.limit_denominator(1001)
    return None


def colour_of(codec: Any, first: av.VideoFrame) -> Colour:
    """As it is tagged; what isn't, as players take it to be."""
    matrix = int(first.colorspace)
    if first.format.is_rgb:
        matrix = 0
    elif matrix == UNSPECIFIED:
        matrix = BT601 if first.height <= SD_ROWS else BT709
    full = first.format.name.startswith("yuvj") or int(first.color_range) == JPEG_RANGE
    return Colour(
        primaries=int(codec.color_primaries),
        transfer=int(codec.color_trc),
        matrix=matrix,
        range=JPEG_RANGE if full else MPEG_RANGE,
    )
