"""Paints live pictures; the style may change between any two of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from impasto.base.errors import RecipeError
from impasto.images.read import Source
from impasto.video.painting import Key, frame_painter
from impasto.video.stability import Stabiliser, Watcher

SIDES = (1920, 1600, 1280, 1024, 854, 720, 640, 512, 448, 384, 320, 256)
"""Long sides to paint at."""
ROOM = 0.9
"""Painting may take so much of the time between two pictures."""
CALM_S = 2.0
"""The size grows again only after so long without haste."""
ORDERS = {"strength": ("strength", 0.0, 3.0), "strokes": ("style_scale", 0.1, 10.0)}
"""Numbers that may change while it runs: what a recipe calls them, the least and the most."""
PROBE = np.full((64, 64, 3), 128, np.uint8)
"""What a style is tried with."""


class Stylist:
    """``painted(pixels)`` is the picture in the style, of the same size. With a ``rate``, pictures
    a second, it is painted as large as there is time for, at most ``size`` px, and enlarged.

    Raises ImageError, RecipeError.
    """

    def __init__(
        self,
        style: Source | Sequence[Any],
        *,
        size: int = 0,
        rate: float = 0.0,
        stability: float = 0.9,
        **settings: Any,
    ) -> None:
        self.style, self.settings = style, settings
        self.rate, self.stability = rate, stability
        self.most, self.side = size or SIDES[0], size or SIDES[0]
        self.watcher, self.stabiliser = Watcher(), Stabiliser(stability)
        self.index, self.hurried = 0, time.monotonic()
        self.lock = threading.Lock()
        self.change()

    def change(self, **wanted: Any) -> None:
        """From the next picture on: ``style``, ``strength``, ``style_scale``, … Raises as above."""
        settings = {**self.settings, **wanted}
        style = settings.pop("style", self.style)
        steady = self.stability > 0
        painter = frame_painter([Key(0, style)], settings, PROBE, steady=steady)
        with self.lock:
            self.style, self.settings = style, settings
            self.painter, self.begins = painter, True

    def painted(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, 3) of uint8, of any size from one to the next."""
        started = time.monotonic()
        height, width = pixels.shape[:2]
        small = self._shrunk(pixels)
        with self.lock:
            painter, begins, self.begins = self.painter, self.begins, False
        motion = self.watcher.motion(small) if self.stability else None
        picture = painter.paint(small, 0.0, self.index, None if begins else motion)
        shown = cv2.convertScaleAbs(self.stabiliser.shown(picture, None if begins else motion))
        self.index += 1
        self._adapt(time.monotonic() - started, max(height, width))
        if shown.shape[:2] != (height, width):
            shown = cv2.resize(shown, (width, height), interpolation=cv2.INTER_CUBIC)
        return shown

    def _shrunk(self, pixels: np.ndarray) -> np.ndarray:
        """At the size to paint at."""
        height, width = pixels.shape[:2]
        factor = min(1.0, self.side / max(height, width))
        if factor == 1:
            return pixels
        size = max(32, round(width * factor)), max(32, round(height * factor))
        return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)

    def _adapt(self, seconds: float, long_side: int) -> None:
        """Smaller at once where there is too little time for a picture with such a side, larger
        after a while with enough.
        """
        if not self.rate or self.index < 3:
            return
        room = ROOM / self.rate
        now = time.monotonic()
        if seconds > room:
            self.hurried = now
            painted = min(self.side, long_side)
            self.side = next((side for side in SIDES if side < painted), self.side)
        else:
            larger = next((side for side in reversed(SIDES) if side > self.side), self.side)
            larger = min(larger, self.most)
            expected = seconds * (larger / self.side) ** 2
            if larger > self.side and expected < room and now - self.hurried > CALM_S:
                self.side, self.hurried = larger, now


def setting(word: str, value: Any) -> dict[str, float]:
    """An order as ``Stylist.change`` takes it. Raises RecipeError."""
    name, low, high = ORDERS[word]
    return {name: number(word, value, low, high)}


def number(word: str, value: Any, low: float, high: float) -> float:
    """Raises RecipeError: it is none, or out of range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise RecipeError(f"{word} is a number from {low:g} to {high:g}")
    return float(value)
