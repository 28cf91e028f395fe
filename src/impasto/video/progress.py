"""The progress events of a film."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class FilmProgress:
    """The state of a film after a frame.

    Attributes:
        frame: How many frames are done.
        frames: How many there will be, about; None if that is unknown.
        seconds: Time since the start, seconds.
        rate: Recent frames per second.
        picture: The stylized frame, (H, W, 3 or 4) of uint8.
        original: The source's frame, (H, W, 3 or 4) of uint8.
        message: A sentence for the user, or None.
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
        """Mean frames per second since the start."""
        return self.frame / self.seconds if self.seconds else 0.0

    @property
    def eta(self) -> float:
        """Estimated remaining seconds; infinite if unknown."""
        if self.frames is None or not self.rate:
            return float("inf")
        return max(0, self.frames - self.frame) / self.rate
