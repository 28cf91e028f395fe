"""Where to paint, in a film: an image for all of it, or a film of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from impasto.images.masks import read_mask
from impasto.video.animations import is_animation
from impasto.video.frames import Clip, Frame
from impasto.video.reading import IMAGE_SUFFIXES, open_source


class Mask:
    """``at(seconds)`` is the mask, (H, W) of float32 in [0, 1]; times must not go back."""

    def __init__(
        self, paths: list[Path], size: tuple[int, int], frames: Iterator[Frame] | None
    ) -> None:
        self.paths, self.size, self.frames = paths, size, frames
        self.now: np.ndarray = np.ones(size, np.float32)
        self.next: Frame | None = None
        self.base = 0.0
        self.origin = 0

    def at(self, seconds: float) -> np.ndarray:
        while self.frames is not None:
            if self.next is None:
                self.next = next(self.frames, None)
            if self.next is None:  # where it ends, its last picture stays
                self.frames = None
            elif (self.next.pts - self.origin) * self.base <= seconds + 1e-6:
                self.now, self.next = self._fitted(self.next.pixels), None
            else:
                break
        return self.now

    def _fitted(self, pixels: np.ndarray) -> np.ndarray:
        height, width = self.size
        grey = cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_RGB2GRAY)
        resized = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        return resized.astype(np.float32) / 255


def open_mask(path: str, clip: Clip) -> Mask:
    """An image's or a film's mask for a clip. Raises ImageError."""
    size = clip.height, clip.width
    if Path(path).suffix.lower() in IMAGE_SUFFIXES and not is_animation(path):
        mask = Mask([Path(path)], size, None)
        image: Any = read_mask(path)[0, 0].numpy()
        mask.now = cv2.resize(image, (clip.width, clip.height), interpolation=cv2.INTER_AREA)
        return mask
    source = open_source(path, None)
    mask = Mask(source.paths, size, source.frames())
    mask.base, mask.origin = float(source.clip.time_base), source.clip.origin
    return mask
