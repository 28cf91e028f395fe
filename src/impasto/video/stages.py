"""The stages of the film pipeline before writing: decoding, tracking and painting.

Each stage runs in a thread of its own, ahead of the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from impasto.methods.base import FramePainter
from impasto.motion.flow import Motion
from impasto.video.frames import Clip, Cut, Frame
from impasto.video.prefetch import prefetch
from impasto.video.stability import MotionTracker

SEGMENT_FRAMES = 100
"""After so many frames the state is written: a crash loses at most the frames since then."""

PaintedFrame = tuple[Frame, Motion | None, Callable[[], np.ndarray]]
"""A frame, its motion, and a function that waits for the stylized pixels."""


@dataclass
class FrameStages:
    """The stages, and the boundaries of segments, at which they attach their states to a frame.

    Attributes:
        clip: The source.
        cut: The part of it that is stylized.
        tracker: Finds the motion between frames.
        painter: Paints frames.
        is_stabilised: Whether frames need their motion.
        done_before: How many frames an interrupted run has written.
    """

    clip: Clip
    cut: Cut
    tracker: MotionTracker
    painter: FramePainter
    is_stabilised: bool
    done_before: int

    def run(self, frames: Iterator[Frame]) -> Any:
        """Return a generator of painted frames. Closing it ends the threads."""
        tracked = self._tracked(prefetch(frames))
        return prefetch(self._painted(prefetch(tracked)))

    def is_boundary(self, frame: Frame) -> bool:
        """Return whether a segment begins with a frame."""
        return frame.index > 0 and (self.done_before + frame.index) % SEGMENT_FRAMES == 0

    def output_pts(self, frame: Frame) -> int:
        """Return a frame's time in the output, in the clip's time base."""
        return frame.pts - self.clip.origin - round(self.cut.start / self.clip.time_base)

    def _tracked(
        self, frames: Generator[Frame, None, None]
    ) -> Iterator[tuple[Frame, Motion | None]]:
        """Yield frames and their motion, which is None for the first one of a shot."""
        with closing(frames):  # also after an error, whose traceback refers to it
            for frame in frames:
                if self.is_boundary(frame):
                    frame.notes["watcher"] = self.tracker.state()
                pixels = frame.pixels[..., :3]
                yield frame, self.tracker.motion(pixels) if self.is_stabilised else None

    def _painted(
        self, frames: Generator[tuple[Frame, Motion | None], None, None]
    ) -> Iterator[PaintedFrame]:
        """Start to paint each frame; a GPU may still be painting those that were yielded."""
        with closing(frames):
            for frame, motion in frames:
                if self.is_boundary(frame):
                    frame.notes["painter"] = self.painter.state()
                seconds = self.output_pts(frame) * float(self.clip.time_base)
                pixels = np.ascontiguousarray(frame.pixels[..., :3])
                index = self.done_before + frame.index
                yield frame, motion, self.painter.start(pixels, seconds, index, motion)
