"""Stylizing a film: the pipeline that decodes, tracks, paints, stabilizes and writes its frames."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from impasto.base import files
from impasto.base.errors import ImageError, OutputError, RecipeError
from impasto.library import api
from impasto.methods.base import FramePainter
from impasto.settings.keywords import FrameKeywords
from impasto.video.compositing import Compositor
from impasto.video.containers import STANDARD_STREAM
from impasto.video.frames import Cut, Frame, last_duration
from impasto.video.masks import open_mask
from impasto.video.notes import MISSING_S, conversion_notes, skipped_note, truncation_note
from impasto.video.painting import frame_painter
from impasto.video.progress import FilmProgress
from impasto.video.read.opening import open_source
from impasto.video.request import request_hash, style_keys, style_paths
from impasto.video.stability import MotionTracker, Stabiliser
from impasto.video.stages import FrameStages, PaintedFrame
from impasto.video.write.assembling import assemble
from impasto.video.write.codecs import Codec, codec_for
from impasto.video.write.gif import write_gif
from impasto.video.write.sequences import (
    SequenceWriter,
    check_sequence,
    clear_sequence,
    is_sequence,
)
from impasto.video.write.unfinished import Unfinished
from impasto.video.write.work_file import FilmWriter

RATE_WINDOW = 48
"""The current rate is measured over so many frames."""


class Film:
    """A film to be stylized. Iterate over it, and then call ``finish()``.

    An iteration that is stopped early can be finished, too: the file then contains the frames so
    far.

    Args:
        source: A film, a folder of images, or a pattern (``frame-%04d.png``).
        style: The style as for ``impasto.stylize``; None if ``styles_at`` has the styles.
        output: A film (.mp4, .mov, .mkv, .webm, .gif), or a folder or pattern of PNG files
            (``frame-%04d.png``).
        stability: From 0, each frame by itself, to 1.
        styles_at: More styles, each with the time in seconds from which on it counts; between two
            styles they are blended.
        cut: The part of the film, and the frame size.
        mask: An image or a film, white where to paint.
        codec: h264, hevc, vp9, av1, prores or ffv1. The default depends on ``output``.
        crf: The codec's quality; less is better.
        rate: Frames per second of a sequence of images.
        resume: Continue an interrupted film, which becomes the same as an uninterrupted one.
        force: Replace an existing file, or an interrupted film.
        settings: Settings as for ``impasto.stylize``, of the method instant, or optimize.

    Raises:
        ImageError: The source, a style image or the mask can't be read.
        OutputError: The output exists, or can't be written.
        RecipeError: A setting is wrong.
        CheckpointError: There is nothing to resume.

    >>> film = impasto.Film("clip.mp4", "painting.jpg", "styled.mp4")
    >>> for progress in film:
    ...     show(progress.picture)
    >>> film.finish()
    """

    def __init__(
        self,
        source: str | Path,
        style: api.Styles | None,
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
        **settings: Unpack[FrameKeywords],
    ) -> None:
        self.cut = cut or Cut()
        if not 0 <= stability <= 1:
            raise RecipeError(f"stability is from 0 to 1, not {stability:g}")
        self.stability = stability
        self.settings: dict[str, Any] = {**settings}
        self.output, self.force = Path(output), force
        if str(output) == STANDARD_STREAM:
            raise OutputError("a film can't go to standard output; give the name of a file")
        self.source = open_source(str(source), self.cut.size or None, rate)
        clip = self.source.clip
        self.clip = replace(clip, rate=clip.rate / self.cut.every)
        self.codec: Codec | None = None  # of a film, not of a sequence of images
        if not is_sequence(self.output):
            self.codec = codec_for(self.output, codec, crf, has_alpha=clip.has_alpha)
        elif codec is not None or crf is not None:
            raise OutputError("a sequence of PNGs has no codec, nor --crf")
        keeps_alpha = self.codec is None or self.codec.pixels == self.codec.alpha_pixels
        film_mask = None if mask is None else open_mask(str(mask), self.clip)
        self.compositor = Compositor(self.clip, film_mask, keeps_alpha)
        self.keys = style_keys(style, styles_at)
        self.done = self.skipped = 0
        self.reached = self.cut.start
        self.complete = False
        mask_paths = None if film_mask is None else film_mask.paths
        self.unfinished = Unfinished(
            self.output,
            request_hash(
                self.source.paths,
                self.keys,
                mask_paths,
                cut=vars(self.cut),
                stability=self.stability,
                codec=None if self.codec is None else vars(self.codec),
                settings={name: str(value) for name, value in self.settings.items()},
            ),
        )
        self.saved = self.unfinished.load() if resume else {}
        self._check_output([*self.source.paths, *style_paths(self.keys), *(mask_paths or ())])
        self.painter = self._painter()
        self.notes = conversion_notes(
            clip, self.output, self.codec, is_interlaced=self.source.is_interlaced
        )

    def _check_output(self, inputs: Sequence[Path]) -> None:
        """Raise OutputError if the output exists, or is one of the inputs, or can't be written."""
        should_replace = self.force or bool(self.saved)
        if self.unfinished.exists and not should_replace:
            raise OutputError(
                f"{self.output} was interrupted: --resume goes on with it, --force begins anew"
            )
        if self.codec is None:
            check_sequence(self.output, inputs, should_replace=should_replace)
        else:
            for path in inputs:
                files.check_apart(self.output, path)
            files.check_writable(self.output, force=should_replace)
        self.unfinished.check(inputs, should_replace=should_replace)

    def _painter(self) -> FramePainter:
        """Return the painter of the chosen method. Raises ImageError, RecipeError."""
        first = next(self.source.frames(self.cut), None)
        if first is None:
            raise ImageError(f"{self.clip.name} has no frames from {self.cut.start:g} s on")
        self.source.skipped = 0
        pixels = np.ascontiguousarray(first.pixels[..., :3])
        return frame_painter(self.keys, self.settings, pixels, steady=self.stability > 0)

    # The pipeline

    def __iter__(self) -> Iterator[FilmProgress]:
        saved = self.saved
        tracker, stabiliser = MotionTracker(), Stabiliser(self.stability)
        if self.painter.is_steady:
            stabiliser = Stabiliser(0)
        if saved.get("frames"):
            for part, state in ((self.painter, "painter"), (stabiliser, "stabiliser")):
                part.restore(saved[state])
            tracker.restore(saved["watcher"])
        self.done = saved.get("frames", 0)
        self.reached = saved.get("reached", self.cut.start)
        self.last_duration = saved.get("last_duration", self.clip.step)
        self.source.is_interlaced |= saved.get("is_interlaced", False)
        self.skipped = saved.get("skipped", 0)
        if not saved and self.unfinished.exists:
            self.unfinished.discard()  # ``force`` allows it
        if not saved and self.codec is None:
            clear_sequence(self.output)
        self.writer: FilmWriter | SequenceWriter = (
            SequenceWriter(self.output, self.done)
            if self.codec is None
            else self.unfinished.open(self.codec, self.clip)
        )
        if not saved:
            self.unfinished.begin()
        frames = self.source.frames(self.cut, saved.get("next_pts"))
        is_stabilised = self.stability > 0
        stages = FrameStages(
            self.clip, self.cut, tracker, self.painter, is_stabilised, done_before=self.done
        )
        with closing(stages.run(frames)) as painted:
            try:
                yield from self._written(painted, stages, stabiliser)
            except Exception:
                self.writer.abandon()
                raise
        self.complete = True

    def _written(
        self, painted: Iterator[PaintedFrame], stages: FrameStages, stabiliser: Stabiliser
    ) -> Iterator[FilmProgress]:
        """Stabilize and write each frame."""
        start_time = time.monotonic()
        times, notes = [start_time], "; ".join(self.notes)
        for frame, motion, wait_for_picture in painted:
            if stages.is_boundary(frame):
                self._end_segment(frame, stabiliser)
            stable = stabiliser.shown(wait_for_picture(), motion)
            pixels = self.compositor.composite(frame, stable)
            self.writer.write(pixels, stages.output_pts(frame))
            self.done += 1
            self.reached = float((frame.ends - self.clip.origin) * self.clip.time_base)
            self.last_duration = last_duration(frame, self.clip, self.cut)
            self.unfinished.write()
            times = [*times[-RATE_WINDOW:], time.monotonic()]
            yield FilmProgress(
                frame=self.done,
                frames=self.frames,
                seconds=times[-1] - start_time,
                rate=(len(times) - 1) / max(1e-9, times[-1] - times[0]),
                picture=pixels,
                original=frame.pixels,
                message=notes or None,
            )
            notes = ""

    @property
    def width(self) -> int:
        """Width of the output, px."""
        return self._size[0]

    @property
    def height(self) -> int:
        """Height of the output, px."""
        return self._size[1]

    @property
    def _size(self) -> tuple[int, int]:
        size = self.clip.width, self.clip.height
        return size if self.codec is None else self.codec.fitted(*size)

    @property
    def frames(self) -> int | None:
        """The number of frames that the source states, or None if it states none."""
        clip, cut = self.clip, self.cut
        if clip.seconds is None:
            return clip.frames
        seconds = min(cut.end, clip.seconds) - cut.start
        return max(self.done, round(seconds * clip.rate))

    def _end_segment(self, frame: Frame, stabiliser: Stabiliser) -> None:
        """End the segment before a frame, and keep the state to resume from there."""
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
                "stabiliser": stabiliser.state(),
            }
        )

    # The end

    def finish(self) -> list[str]:
        """Write the frames so far as the output. Returns sentences about what it lacks.

        Raises:
            OutputError: The output can't be written.
            ImageError: There is no frame.
        """
        self.writer.close()
        if not self.complete:
            self.unfinished.write(is_closed=True)
        parts = self.unfinished.parts
        if not self.done:
            self.unfinished.remove()
            raise ImageError(f"{self.clip.name} has no frame that can be decoded")
        notes = self._loss_notes()
        if self.output.suffix.lower() == ".gif":
            write_gif(parts, self.output, self.clip, self.last_duration)
        elif self.codec is not None:
            end = self.cut.end if self.complete else self.reached
            notes += assemble(
                parts, self.output, self.clip, self.cut.start, end, self.last_duration
            )
        if self.complete or not self.unfinished.exists:
            self.unfinished.remove()
        return notes

    @property
    def can_go_on(self) -> bool:
        """Whether the film was interrupted and can be resumed."""
        return not self.complete and self.unfinished.exists

    @property
    def missing(self) -> int:
        """The number of frames that can't be decoded, or whose time goes back."""
        return self.skipped + self.source.skipped

    def _loss_notes(self) -> list[str]:
        """Return sentences about frames of the source that the output lacks."""
        notes = [skipped_note(self.missing)] if self.missing else []
        step = self.cut.every * float(self.source.clip.step * self.clip.time_base)
        stated_end = min(self.cut.end, self.clip.picture_seconds or 0.0)
        is_truncated = self.source.is_cut_short or stated_end - self.reached > max(MISSING_S, step)
        if self.complete and is_truncated:
            notes.append(truncation_note(self.clip, self.reached))
        return notes
