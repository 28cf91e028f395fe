"""How steady a stylized film is, in numbers; ``docs/evaluation.md`` explains each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np

from impasto.base.errors import ImageError
from impasto.motion.flow import Motion, warped
from impasto.video.reading import open_source
from impasto.video.stability import Watcher, sharpness

STILL_GREY = 6.0
"""Places whose brightness, averaged over 9 pixels across, varies by less, out of 255, stand still.
"""
STILL_PX = 9
LEAST_STILL = 0.1
"""Where less of the picture does, nothing is said of it."""


@dataclass(frozen=True)
class Steadiness:
    """Of a stylized film, measured with its source's motion."""

    frames: int
    warping_error: float
    """The mean over trusted places of the squared distance of each picture from the one before it,
    warped; colours from 0 to 1, times 1000. Lai et al. 2018, equation 8."""
    frame_difference: float
    """The mean change of brightness from picture to picture, over the source's."""
    flicker: float | None
    """The standard deviation over time of brightness where the source stands still, 0 to 255; None
    if it does nowhere."""
    sharpness: float
    """The mean slope of brightness from pixel to pixel, 0 to 255."""

    def as_dict(self) -> dict[str, float | None]:
        return asdict(self)


def steadiness(pictures: Iterable[np.ndarray], originals: Iterable[np.ndarray]) -> Steadiness:
    """Measure the pictures, (H, W, 3) of uint8, against the frames they were made of.

    Raises ImageError: there are fewer than two, or not as many of these as of those.
    """
    watcher, still = Watcher(), _Still()
    errors, changes, own_changes, slopes = [], [], [], []
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
        motion = watcher.motion(original)
        grey = cv2.cvtColor(original, cv2.COLOR_RGB2GRAY).astype(np.float32)
        slopes.append(sharpness(picture.astype(np.float32)))
        still.add(grey, picture)
        count += 1
        if before is not None and before_grey is not None and motion is not None:
            errors.append(warping_error(before, picture, motion.scaled(height, width)))
            changes.append(np.abs(_grey(picture) - _grey(before)).mean())
            own_changes.append(np.abs(grey - before_grey).mean())
        before, before_grey = picture, grey
    if count < 2:
        raise ImageError("a film is measured from picture to picture: two are needed at least")
    return Steadiness(
        frames=count,
        warping_error=float(np.mean(errors)) if errors else 0.0,
        frame_difference=float(np.sum(changes) / max(1e-6, np.sum(own_changes))),
        flicker=still.deviation(),
        sharpness=float(np.mean(slopes)),
    )


def warping_error(before: np.ndarray, now: np.ndarray, motion: Motion) -> float:
    """Between two pictures, (H, W, 3) of uint8."""
    carried = warped(before.astype(np.float32), motion.back, cv2.INTER_CUBIC)
    apart = (now.astype(np.float32) - carried) / 255
    trusted = motion.trust > 0.5
    squared = np.einsum("hwc,hwc->hw", apart, apart)[trusted]
    return 1000 * float(squared.mean()) if squared.size else 0.0


class _Still:
    """Gathers how brightness varies over time (Welford 1962), where the source's doesn't."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, grey: np.ndarray, picture: np.ndarray) -> None:
        seen, shown = cv2.blur(grey, (STILL_PX, STILL_PX)), _grey(picture)
        if self.count == 0:
            self.low, self.high = seen, seen
            self.mean, self.squares = np.zeros_like(shown), np.zeros_like(shown)
        self.count += 1
        self.low, self.high = np.minimum(self.low, seen), np.maximum(self.high, seen)
        apart = shown - self.mean
        self.mean = self.mean + apart / self.count
        self.squares = self.squares + apart * (shown - self.mean)

    def deviation(self) -> float | None:
        still = self.high - self.low < STILL_GREY
        if still.mean() < LEAST_STILL:
            return None
        return float(np.sqrt(self.squares[still].mean() / (self.count - 1)))


def measure(result: str | Path, source: str | Path) -> Steadiness:
    """Measure a stylized film against its source, frame by frame in their order.

    Raises ImageError.
    """
    return steadiness(_pictures(str(result)), _pictures(str(source)))


def _pictures(path: str) -> Iterator[np.ndarray]:
    for frame in open_source(path, None).frames():
        yield np.ascontiguousarray(frame.pixels[..., :3])


def _grey(picture: np.ndarray) -> np.ndarray:
    grey: np.ndarray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return grey
