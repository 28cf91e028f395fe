"""The interface of everything that frames are read from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from impasto.video.frames import WHOLE, Clip, Cut, Frame


class FrameSource(Protocol):
    """A source of frames: a film, an animated image or a folder of images."""

    clip: Clip
    paths: list[Path]
    """The files that are read."""
    skipped: int
    """The number of frames that can't be decoded, or whose time goes back."""
    is_cut_short: bool
    """Whether the file ends too early."""
    is_interlaced: bool
    """Whether a frame was deinterlaced so far."""

    def frames(self, cut: Cut = WHOLE, resume: int | None = None) -> Iterator[Frame]:
        """Yield the frames of a cut.

        Args:
            cut: The part of the film, and the frame size.
            resume: The time of the frame to begin at instead, in the clip's time base.
        """
        ...
