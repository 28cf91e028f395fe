"""Measures of a stylized film's temporal stability; ``docs/evaluation.md`` explains each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np

from impasto.base.errors import ImageError
from impasto.motion.flow import Motion, warped
from impasto.video.read.opening import open_source
from impasto.video.stability import MotionTracker, sharpness

MAX_STILL_RANGE = 6.0
"""A place is static if its mean brightness varies by less, of 255."""
STILL_PX = 9
"""The mean is over a square of so many pixels."""
MIN_STILL_SHARE = 0.1
"""If less of the picture is static, its flicker isn't measured."""


@dataclass(frozen=True)
class Steadiness:
    """Measures of a stylized film.

    Attributes:
        frames: How many frames were measured.
        warping_error: Mean squared distance of each picture from the warped picture before it, over
            places where the motion is trusted; colours from 0 to 1, times 1000. Lai et al. 2018,
            equation 8.
        frame_difference: Mean change of brightness between pictures, relative to the source's.
        flicker: Standard deviation of brightness over time where the source is static, 0 to 255;
            None if it is static nowhere.
        sharpness: Mean difference in brightness between neighbouring pixels, 0 to 255.
    """

    frames: int
    warping_error: float
    frame_difference: float
    flicker: float | None
    sharpness: float

    def as_dict(self) -> dict[str, float | None]:
        return asdict(self)


def steadiness(pictures: Iterable[np.ndarray], originals: Iterable[np.ndarray]) -> Steadiness:
    """Measure stylized pictures against the frames that they were made of.

    Args:
        pictures: (H, W, 3) of uint8.
        originals: The source's frames, (H, W, 3) of uint8, of any size.

    Raises:
        ImageError: There are fewer than two, or their numbers differ.
    """
    tracker, flicker = MotionTracker(), _FlickerMeter()
    errors, changes, source_changes, slopes = [], [], [], []
    before: np.ndarray | None = None
    before_grey: np.ndarray | None = None
    count = 0
    for picture, original in zip_longest(pictures, originals):
        if picture is None or original is None:
            raise ImageError(
                f"one film ends after {count} frames, the other doesn't: a film is measured against"
                " the frames that it was made of"
            )
        height, width = picture.shape[:2]
        if original.shape[:2] != (height, width):
            original = cv2.resize(original, (width, height), interpolation=cv2.INTER_AREA)
        motion = tracker.motion(original)
        grey = cv2.cvtColor(original, cv2.COLOR_RGB2GRAY).astype(np.float32)
        slopes.append(sharpness(picture.astype(np.float32)))
        flicker.add(grey, picture)
        count += 1
        if before is not None and before_grey is not None and motion is not None:
            errors.append(warping_error(before, picture, motion.scaled(height, width)))
            changes.append(np.abs(_grey(picture) - _grey(before)).mean())
            source_changes.append(np.abs(grey - before_grey).mean())
        before, before_grey = picture, grey
    if count < 2:
        raise ImageError("a film is measured from picture to picture: two are needed at least")
    return Steadiness(
        frames=count,
        warping_error=float(np.mean(errors)) if errors else 0.0,
        frame_difference=float(np.sum(changes) / max(1e-6, np.sum(source_changes))),
        flicker=flicker.deviation(),
        sharpness=float(np.mean(slopes)),
    )


def warping_error(before: np.ndarray, now: np.ndarray, motion: Motion) -> float:
    """Return the warping error of two pictures, (H, W, 3) of uint8."""
    expected = warped(before.astype(np.float32), motion.back, cv2.INTER_CUBIC)
    difference = (now.astype(np.float32) - expected) / 255
    is_trusted = motion.trust > 0.5
    squared = np.einsum("hwc,hwc->hw", difference, difference)[is_trusted]
    return 1000 * float(squared.mean()) if squared.size else 0.0


class _FlickerMeter:
    """Measures how brightness varies over time where the source's doesn't.

    Mean and variance are updated frame by frame (Welford 1962).
    """

    def __init__(self) -> None:
        self.count = 0

    def add(self, grey: np.ndarray, picture: np.ndarray) -> None:
        mean, shown = cv2.blur(grey, (STILL_PX, STILL_PX)), _grey(picture)
        if self.count == 0:
            self.low, self.high = mean, mean
            self.mean, self.squares = np.zeros_like(shown), np.zeros_like(shown)
        self.count += 1
        self.low, self.high = np.minimum(self.low, mean), np.maximum(self.high, mean)
        delta = shown - self.mean
        self.mean = self.mean + delta / self.count
        self.squares = self.squares + delta * (shown - self.mean)

    def deviation(self) -> float | None:
        """Return the standard deviation, or None if too little of the source is static."""
        is_still = self.high - self.low < MAX_STILL_RANGE
        if is_still.mean() < MIN_STILL_SHARE:
            return None
        return float(np.sqrt(self.squares[is_still].mean() / (self.count - 1)))


def measure(result: str | Path, source: str | Path) -> Steadiness:
    """Measure a stylized film against its source, frame by frame. Raises ImageError."""
    return steadiness(_pictures(str(result)), _pictures(str(source)))


def _pictures(path: str) -> Iterator[np.ndarray]:
    for frame in open_source(path, None).frames():
        yield np.ascontiguousarray(frame.pixels[..., :3])


def _grey(picture: np.ndarray) -> np.ndarray:
    grey: np.ndarray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return grey
