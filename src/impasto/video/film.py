"""A film in another style: decoded, watched, painted, steadied and written, each in a thread."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from impasto.base import files
from impasto.base.errors import ImageError, OutputError, RecipeError
from impasto.images.read import Source
from impasto.library import api
from impasto.methods.base import FramePainter
from impasto.motion.flow import Motion
from impasto.video.ahead import ahead
from impasto.video.assembling import assemble, stream_notes
from impasto.video.codecs import codec_for
from impasto.video.containers import STANDARD_STREAM
from impasto.video.frames import Cut, Frame
from impasto.video.gif import write_gif
from impasto.video.masks import Mask, open_mask
from impasto.video.painting import Key, frame_painter
from impasto.video.reading import open_source
from impasto.video.sequences import SequenceWriter, check_sequence, clear_sequence, is_sequence
from impasto.video.stability import Stabiliser, Watcher
from impasto.video.unfinished import Unfinished
from impasto.video.writing import FilmWriter

SEGMENT_FRAMES = 100
"""After so many frames all that is known is written down: what a crash costs at most."""
MISSING_S = 0.5
"""Pictures that end so much before their film are missing."""
RECENT = 48
"""The speed is told from so many frames."""


@dataclass(frozen=True, eq=False)
class FilmProgress:
    """A frame is done: ``frame`` of about ``frames`` (None: nobody knows). ``picture`` is (H, W, 3)
    or 4, uint8; ``rate`` frames a second of late; ``message`` a sentence that a person should know.
    """

    frame: int
    frames: int | None
    seconds: float
    rate: float
    picture: np.ndarray = field(repr=False)
    original: np.ndarray = field(repr=False)
    message: str | None = None

    @property
    def frame_rate(self) -> float:
        """Frames a second, over all."""
        return self.frame / self.seconds if self.seconds else 0.0

    @property
    def eta(self) -> float:
        if self.frames is None or not self.rate:
            return float("inf")
        return max(0, self.frames - self.frame) / self.rate


class Film:
    """``FilmProgress`` after ``FilmProgress``; then ``finish()``, also of one that is stopped
    early: what there is becomes the file.

    ``style`` and ``settings`` are as for ``impasto.stylize``; the method is instant by default.
    ``output`` is a film (.mp4, .mov, .mkv, .webm, .gif), or a folder or pattern of PNGs
    (``frame-%04d.png``). ``stability`` is from 0, frame by frame, to 1. ``styles_at`` are more
    styles, with the seconds from which on they count. ``mask`` is an image or film, white where to
    paint. With ``resume`` it goes on with one that was interrupted, and becomes the same.

    Raises ImageError, OutputError, RecipeError, CheckpointError, at once.

    >>> film = impasto.Film("clip.mp4", "painting.jpg", "styled.mp4")
    >>> for progress in film:
    ...     show(progress.picture)
    >>> film.finish()
    """

    def __init__(
        self,
        source: str | Path,
        style: Source | Sequence[Any],
        output: str | Path,
        *,
        stability: float = 0.9,
        styles_at: Sequence[tuple[float, Any]] = (),
        cut: Cut | None = None,
        mask: str | Path | None = None,
        codec: str | None = None,
        crf: int | None = None,
        rate: Fraction | None = None,
        resume: bool = False,
        force: bool = False,
        **settings: Any,
    ) -> None:
        self.cut = cut or Cut()
        if not 0 <= stability <= 1:
            raise RecipeError(f"stability is from 0 to 1, not {stability:g}")
        self.stability, self.settings = stability, settings
        self.output, self.force = Path(output), force
        if str(output) == STANDARD_STREAM:
            raise OutputError("a film can't go to standard output; give the name of a file")
        self.source = open_source(str(source), self.cut.size or None, rate)
        clip = self.source.clip
        self.clip = replace(clip, rate=clip.rate / self.cut.every)
        self.is_sequence = is_sequence(self.output)
        if not self.is_sequence:
            self.codec = codec_for(self.output, codec, crf, alpha=clip.alpha)
        elif codec is not None or crf is not None:
            raise OutputError("a sequence of PNGs has no codec, nor --crf")
        self.mask: Mask | None = None if mask is None else open_mask(str(mask), self.clip)
        self.keys = _keys(style, styles_at)
        self.notes: list[str] = []
        self.done = self.before = self.skipped = 0
        self.reached = self.cut.start
        self.complete = False
        self.unfinished = Unfinished(self.output, self._asked())
        self.saved = self.unfinished.load() if resume else {}
        self._check_output()
        self.painter = self._painter()
        self._describe_losses()

    def _check_output(self) -> None:
        """Raises OutputError."""
        mine = self.force or bool(self.saved)
        read = [*self.source.paths, *self._paths()]
        if self.unfinished.exists and not mine:
            raise OutputError(
                f"{self.output} was interrupted: --resume goes on with it, --force begins anew"
            )
        if self.is_sequence:
            check_sequence(self.output, read, force=mine)
        else:
            for path in read:
                files.check_apart(self.output, path)
            files.check_writable(self.output, force=mine)
        self.unfinished.check(read, force=mine)

    def _asked(self) -> str:
        """A hash of what the film is made of."""
        asked = {
            "source": [_identity(path) for path in self.source.paths],
            "keys": [
                [key.time, [[_identity(style), weight] for style, weight in styles]]
                for key, styles in zip(self.keys, self._styles(), strict=True)
            ],
            "mask": None if self.mask is None else [_identity(path) for path in self.mask.paths],
            "cut": vars(self.cut),
            "stability": self.stability,
            "codec": None if self.is_sequence else vars(self.codec),
            "settings": {name: str(value) for name, value in self.settings.items()},
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()

    def _paths(self) -> list[Path]:
        """The files that it is painted after."""
        paths = [_path(style) for styles in self._styles() for style, _ in styles]
        paths += [] if self.mask is None else self.mask.paths
        return [path for path in paths if path is not None]

    def _styles(self) -> list[list[tuple[Source, float]]]:
        """With their weights, of each key."""
        return [api.weighted_styles(key.styles) for key in self.keys]

    def _painter(self) -> FramePainter:
        first = next(self.source.frames(self.cut), None)
        if first is None:
            raise ImageError(f"{self.clip.name} has no frames from {self.cut.start:g} s on")
        self.source.skipped = 0
        pixels = np.ascontiguousarray(first.pixels[..., :3])
        return frame_painter(self.keys, self.settings, pixels, steady=self.stability > 0)

    def _describe_losses(self) -> None:
        """What the output can't be, in sentences."""
        clip = self.clip
        if clip.hdr:
            self.notes.append("the film is HDR; it is painted, and written, in standard range")
        if self.source.is_interlaced:
            self.notes.append("the film is interlaced; it is painted, and written, deinterlaced")
        if self.is_sequence:
            return
        if self.output.suffix.lower() != ".gif":
            self.notes += stream_notes(self.output, clip)
        if clip.alpha and self.codec.pixels != self.codec.alpha:
            self.notes.append(
                f"{self.output.suffix} films of this codec have no transparency: it becomes black"
            )
        if (self.width, self.height) != (clip.width, clip.height):
            self.notes.append(
                f"this codec needs even sides: {clip.width}×{clip.height} px become"
                f" {self.width}×{self.height}"
            )

    # The run

    def __iter__(self) -> Iterator[FilmProgress]:
        saved = self.saved
        watcher, self.stabiliser = Watcher(), Stabiliser(self.stability)
        if self.painter.is_steady:
            self.stabiliser = Stabiliser(0)
        if saved.get("frames"):
            for part, state in ((self.painter, "painter"), (self.stabiliser, "stabiliser")):
                part.restore(saved[state])
            watcher.restore(saved["watcher"])
        self.done = self.before = saved.get("frames", 0)
        self.reached = saved.get("reached", self.cut.start)
        self.last_duration = saved.get("last_duration", self.clip.step)
        self.source.is_interlaced |= saved.get("is_interlaced", False)
        self.skipped = saved.get("skipped", 0)
        if not saved and self.unfinished.exists:
            self.unfinished.discard()  # by force
        if not saved and self.is_sequence:
            clear_sequence(self.output)
        self.writer: FilmWriter | SequenceWriter = (
            SequenceWriter(self.output, self.done)
            if self.is_sequence
            else self.unfinished.open(self.codec, self.clip)
        )
        if not saved:
            self.unfinished.begin()
        frames = self.source.frames(self.cut, saved.get("next_pts"))
        watched = self._watched(ahead(frames), watcher)
        painted: Any = ahead(self._painted(ahead(watched)))
        with closing(painted):
            try:
                yield from self._shown(painted)
            except Exception:
                self.writer.abandon()
                raise
        self.complete = True

    def _shown(
        self, painted: Iterator[tuple[Frame, Motion | None, Callable[[], np.ndarray]]]
    ) -> Iterator[FilmProgress]:
        started = time.monotonic()
        times, notes = [started], "; ".join(self.notes)
        for frame, motion, wait_for_picture in painted:
            if self._is_boundary(frame):
                self._remember(frame)
            shown = self._finished(frame, self.stabiliser.shown(wait_for_picture(), motion))
            self.writer.write(shown, frame.pts - self._shift)
            self.done += 1
            self.reached = float((frame.ends - self.clip.origin) * self.clip.time_base)
            self.last_duration = self._duration(frame)
            self.unfinished.write()
            times = [*times[-RECENT:], time.monotonic()]
            yield FilmProgress(
                frame=self.done,
                frames=self.frames,
                seconds=times[-1] - started,
                rate=(len(times) - 1) / max(1e-9, times[-1] - times[0]),
                picture=shown,
                original=frame.pixels,
                message=notes or None,
            )
            notes = ""

    def _duration(self, frame: Frame) -> int:
        """Return the duration of a frame if it were the last, in the clip's time base."""
        duration = frame.ends - frame.pts
        if self.cut.every > 1:  # those that are left out after it count, too
            duration = max(duration, self.clip.step)
        if self.cut.end < math.inf:
            end = self.clip.origin + round(self.cut.end / self.clip.time_base)
            duration = min(duration, end - frame.pts)
        return max(1, duration)

    def _watched(
        self, frames: Iterator[Frame], watcher: Watcher
    ) -> Iterator[tuple[Frame, Motion | None]]:
        for frame in frames:
            if self._is_boundary(frame):
                frame.notes["watcher"] = watcher.state()
            steady = self.stability > 0
            yield frame, watcher.motion(frame.pixels[..., :3]) if steady else None

    def _painted(
        self, frames: Iterator[tuple[Frame, Motion | None]]
    ) -> Iterator[tuple[Frame, Motion | None, Callable[[], np.ndarray]]]:
        """A GPU may still be painting the frames that are handed over."""
        base = float(self.clip.time_base)
        for frame, motion in frames:
            if self._is_boundary(frame):
                frame.notes["painter"] = self.painter.state()
            at = (frame.pts - self._shift) * base
            pixels = np.ascontiguousarray(frame.pixels[..., :3])
            yield frame, motion, self.painter.start(pixels, at, self.before + frame.index, motion)

    def _finished(self, frame: Frame, picture: np.ndarray) -> np.ndarray:
        """Within the mask, with the source's transparency, as bytes."""
        if self.mask is not None:
            at = float((frame.pts - self.clip.origin) * self.clip.time_base)
            share = self.mask.at(at)[..., None]
            original = frame.pixels[..., :3].astype(np.float32)
            picture = original + share * (picture - original)
        shown = cv2.convertScaleAbs(picture)
        if self.clip.alpha and (self.is_sequence or self.codec.pixels == self.codec.alpha):
            return np.dstack([shown, frame.pixels[..., 3]])
        if self.clip.alpha:
            return (shown * (frame.pixels[..., 3:] / 255)).astype(np.uint8)
        return shown

    @property
    def width(self) -> int:
        """Of what is made, px."""
        return self._size[0]

    @property
    def height(self) -> int:
        return self._size[1]

    @property
    def _size(self) -> tuple[int, int]:
        size = self.clip.width, self.clip.height
        return size if self.is_sequence else self.codec.fitted(*size)

    @property
    def frames(self) -> int | None:
        """How many there will be, by what the film claims."""
        clip, cut = self.clip, self.cut
        if clip.seconds is None:
            return clip.frames
        seconds = min(cut.end, clip.seconds) - cut.start
        return max(self.done, round(seconds * clip.rate))

    @property
    def _shift(self) -> int:
        """The source's time that is 0 in what is made."""
        return self.clip.origin + round(self.cut.start / self.clip.time_base)

    def _is_boundary(self, frame: Frame) -> bool:
        return frame.index > 0 and (self.before + frame.index) % SEGMENT_FRAMES == 0

    # The end

    def _remember(self, frame: Frame) -> None:
        """How to go on before a frame."""
        self.writer.end_segment()
        self.unfinished.remember(
            {
                "frames": self.done,
                "next_pts": frame.pts,
                "reached": self.reached,
                "last_duration": self.last_duration,
                "is_interlaced": self.source.is_interlaced,
                "skipped": self.skipped + frame.skipped,
                "watcher": frame.notes["watcher"],
                "painter": frame.notes["painter"],
                "stabiliser": self.stabiliser.state(),
            }
        )

    def finish(self) -> list[str]:
        """Write what there is as the file that was asked for. Returns sentences about it.

        Raises OutputError, ImageError: there is no frame.
        """
        self.writer.close()
        if not self.complete:
            self.unfinished.write(closed=True)
        parts = self.unfinished.parts
        if not self.done:
            self.unfinished.remove()
            raise ImageError(f"{self.clip.name} has no frame that can be decoded")
        notes = self._losses()
        if self.output.suffix.lower() == ".gif":
            write_gif(parts, self.output, self.clip, self.last_duration)
        elif not self.is_sequence:
            end = self.cut.end if self.complete else self.reached
            notes += assemble(
                parts, self.output, self.clip, self.cut.start, end, self.last_duration
            )
        if self.complete or not self.unfinished.exists:
            self.unfinished.remove()
        return notes

    @property
    def can_go_on(self) -> bool:
        """Whether what was interrupted can be gone on with."""
        return not self.complete and self.unfinished.exists

    @property
    def missing(self) -> int:
        """How many frames couldn't be decoded, or have a time that goes back."""
        return self.skipped + self.source.skipped

    def _losses(self) -> list[str]:
        """What of the source is missing."""
        notes = []
        if self.missing:
            frames = "frame was" if self.missing == 1 else "frames were"
            notes.append(f"{self.missing} {frames} left out: damaged, or of a time that goes back")
        step = self.cut.every * float(self.source.clip.step * self.clip.time_base)
        claimed = min(self.cut.end, self.clip.claimed or 0.0)
        if self.complete and (
            self.source.cut_short or claimed - self.reached > max(MISSING_S, step)
        ):
            notes.append(
                f"{self.clip.name} is damaged or cut short: its pictures end after"
                f" {self.reached:.1f} s"
            )
        return notes


def previews(film: Film, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """``count`` frames evenly over the film, as they are and painted, each by itself."""
    clip, cut = film.clip, film.cut
    seconds = min(cut.end, clip.seconds or 0.0) - cut.start
    pairs = []
    for index in range(count):
        at = cut.start + max(0.0, seconds) * (index + 0.5) / count
        frame = next(film.source.frames(replace(cut, start=at)), None)
        if frame is None:
            break
        pixels = np.ascontiguousarray(frame.pixels[..., :3])
        picture = film.painter.paint(pixels, at - cut.start, index, None)
        pairs.append((pixels, film._finished(frame, picture)[..., :3]))
    return pairs


def _path(source: Source) -> Path | None:
    """That of a file."""
    return Path(source) if isinstance(source, (str, Path)) and Path(source).exists() else None


def _identity(source: Source) -> Any:
    """By what its contents are known, a file's without reading them."""
    path = _path(source)
    if path is None:
        return str(source)
    stat = path.stat()
    return str(path.resolve()), stat.st_size, stat.st_mtime_ns


def _keys(style: Any, styles_at: Sequence[tuple[float, Any]]) -> list[Key]:
    """What is painted with when. Raises RecipeError."""
    keys = [Key(0.0, style)] if style is not None else []
    keys += [Key(float(at), styles) for at, styles in styles_at]
    if not keys:
        raise RecipeError("no style image was given; at least one is needed")
    keys.sort(key=lambda key: key.time)
    times = [key.time for key in keys]
    if len(set(times)) < len(times) or times[0] < 0:
        raise RecipeError("each style needs a time of its own, of at least 0 seconds")
    return keys
