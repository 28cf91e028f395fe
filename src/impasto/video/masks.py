"""Masks of films: an image for the whole film, or a film."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from impasto.images.masks import read_mask
from impasto.video.frames import INSTANT_S, Clip, Frame
from impasto.video.numbered import IMAGE_SUFFIXES
from impasto.video.read.animations import is_animation
from impasto.video.read.opening import open_source


class FilmMask:
    """A mask that may change over time.

    Args:
        paths: The files that it is read from.
        current: The mask at the start, (H, W) of float32 in [0, 1].
        frames: The frames of a film with the masks; None if the mask stays.
        base: The time base of these frames, seconds.
        origin: The time at which the first one is shown, in that unit.
    """

    def __init__(
        self,
        paths: list[Path],
        current: np.ndarray,
        frames: Iterator[Frame] | None = None,
        base: float = 0.0,
        origin: int = 0,
    ) -> None:
        self.paths, self.current = paths, current
        self.frames, self.base, self.origin = frames, base, origin
        self.next_frame: Frame | None = None

    def at(self, seconds: float) -> np.ndarray:
        """Return the mask at a time, (H, W) of float32 in [0, 1]. Times must not decrease."""
        while self.frames is not None:
            if self.next_frame is None:
                self.next_frame = next(self.frames, None)
            if self.next_frame is None:  # after its end, the last mask stays
                self.frames = None
            elif (self.next_frame.pts - self.origin) * self.base <= seconds + INSTANT_S:
                self.current, self.next_frame = self._as_mask(self.next_frame.pixels), None
            else:
                break
        return self.current

    def _as_mask(self, pixels: np.ndarray) -> np.ndarray:
        """Return the brightness of a frame in the mask's size, 0 to 1."""
        height, width = self.current.shape
        grey = cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_RGB2GRAY)
        resized = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        return resized.astype(np.float32) / 255


def open_mask(path: str, clip: Clip) -> FilmMask:
    """Open an image or a film as the mask of a clip. Raises ImageError."""
    if Path(path).suffix.lower() in IMAGE_SUFFIXES and not is_animation(path):
        image = read_mask(path)[0, 0].numpy()  # (H, W)
        size = clip.width, clip.height
        return FilmMask([Path(path)], cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    source = open_source(path, None)
    everywhere = np.ones((clip.height, clip.width), np.float32)
    base, origin = float(source.clip.time_base), source.clip.origin
    return FilmMask(source.paths, everywhere, source.frames(), base, origin)
