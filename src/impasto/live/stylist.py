"""Stylizes live pictures; the style may change between any two of them."""

from __future__ import annotations

import threading
import time
from typing import Any, Unpack

import cv2
import numpy as np

from impasto.base.errors import RecipeError
from impasto.library import api
from impasto.settings.keywords import FrameKeywords
from impasto.settings.methods import bounds
from impasto.video.painting import Key, frame_painter
from impasto.video.stability import MotionTracker, Stabiliser

SIDES = (1920, 1600, 1280, 1024, 854, 720, 640, 512, 448, 384, 320, 256)
"""Long sides at which pictures are stylized, px."""
TIME_SHARE = 0.9
"""Stylizing may take this share of the time between two pictures."""
GROWTH_DELAY_S = 2.0
"""The size grows only if no picture took too long for so many seconds."""
WARM_UP_PICTURES = 3
"""The times of the first pictures say nothing about the later ones."""
ORDERS = {
    "strength": ("strength", *bounds("strength")),
    "strokes": ("style_scale", *bounds("style_scale")),
}
"""Numbers that may change during a session: the setting's name in the recipe, and its bounds."""
PROBE = np.full((64, 64, 3), 128, np.uint8)
"""A picture that a new style is validated with."""


class Stylist:
    """Stylizes pictures one after the other, with the method instant.

    Args:
        style: A style image, a built-in style, or several with weights.
        size: The largest long side at which pictures are stylized, px. 0 is 1920.
        rate: Pictures per second that are wanted: pictures are stylized as large as there is time
            for, and enlarged. 0 stylizes at ``size`` always.
        stability: From 0, each picture by itself, to 1.
        settings: More settings of the recipe.

    Raises:
        ImageError: A style image can't be read.
        RecipeError: A setting is out of bounds.
    """

    def __init__(
        self,
        style: api.Styles,
        *,
        size: int = 0,
        rate: float = 0.0,
        stability: float = 0.9,
        **settings: Unpack[FrameKeywords],
    ) -> None:
        self.style = style
        self.settings: dict[str, Any] = {**settings}
        self.rate, self.stability = rate, stability
        self.max_side = self.side = size or SIDES[0]
        self.tracker, self.stabiliser = MotionTracker(), Stabiliser(stability)
        self.index, self.last_late_time = 0, time.monotonic()
        self.lock = threading.Lock()
        self.change()

    def change(self, **changed: Any) -> None:
        """Change the style or settings from the next picture on. Raises ImageError, RecipeError."""
        settings = {**self.settings, **changed}
        style = settings.pop("style", self.style)
        steady = self.stability > 0
        painter = frame_painter([Key(0, style)], settings, PROBE, steady=steady)
        with self.lock:
            self.style, self.settings = style, settings
            self.painter, self.is_first = painter, True

    def painted(self, pixels: np.ndarray) -> np.ndarray:
        """Return the picture in the style, of the same size.

        Args:
            pixels: (H, W, 3) of uint8. The size may differ from picture to picture.
        """
        start_time = time.monotonic()
        height, width = pixels.shape[:2]
        small = self._reduced(pixels)
        with self.lock:
            painter, is_first, self.is_first = self.painter, self.is_first, False
        motion = self.tracker.motion(small) if self.stability else None
        if is_first:  # what was painted in another style isn't carried on
            motion = None
        picture = painter.paint(small, 0.0, self.index, motion)
        shown = cv2.convertScaleAbs(self.stabiliser.shown(picture, motion))
        self.index += 1
        self._adapt(time.monotonic() - start_time, max(height, width))
        if shown.shape[:2] != (height, width):
            shown = cv2.resize(shown, (width, height), interpolation=cv2.INTER_CUBIC)
        return shown

    def _reduced(self, pixels: np.ndarray) -> np.ndarray:
        """Return the picture at the size at which it is stylized."""
        height, width = pixels.shape[:2]
        factor = min(1.0, self.side / max(height, width))
        if factor == 1:
            return pixels
        size = max(32, round(width * factor)), max(32, round(height * factor))
        return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)

    def _adapt(self, seconds: float, long_side: int) -> None:
        """Adapt the size to the time that a picture took.

        The size is reduced at once if there is too little time, and increased after a while with
        enough time.
        """
        if not self.rate or self.index < WARM_UP_PICTURES:
            return
        available = TIME_SHARE / self.rate
        now = time.monotonic()
        if seconds > available:
            self.last_late_time = now
            current = min(self.side, long_side)
            self.side = next((side for side in SIDES if side < current), self.side)
        else:
            larger = next((side for side in reversed(SIDES) if side > self.side), self.side)
            larger = min(larger, self.max_side)
            expected = seconds * (larger / self.side) ** 2
            is_calm = now - self.last_late_time > GROWTH_DELAY_S
            if larger > self.side and expected < available and is_calm:
                self.side, self.last_late_time = larger, now


def setting(word: str, value: Any) -> dict[str, float]:
    """Return an order as the argument of ``Stylist.change``. Raises RecipeError."""
    name, low, high = ORDERS[word]
    return {name: number(word, value, low, high)}


def number(word: str, value: Any, low: float, high: float) -> float:
    """Return a value as a number. Raises RecipeError if it isn't one, or is out of range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise RecipeError(f"{word} is a number from {low:g} to {high:g}")
    return float(value)
