"""Where each place of a frame was in the frame before, and where that can be trusted.

Dense inverse search (Kroeger et al. 2016), by OpenCV, in both directions; what is trusted follows
Ruder, Dosovitskiy & Brox 2016, section 4.1. Frames are grey, (h, w) of uint8. A flow is (h, w, 2)
of float32: where (x, y) was is (x, y) + flow, px.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np

LONG_SIDE_PX = 448
"""Frames are made so small before anything moves in them: finer, flows are slower, not better."""

DISAGREEMENT_SHARE, DISAGREEMENT_PX2 = 0.01, 0.5
"""Equation 6: disoccluded where |w̃ + ŵ|² is above 0.01 (|w̃|² + |ŵ|²) + 0.5."""
EDGE_SHARE, EDGE_PX2 = 0.01, 0.002
"""Equation 7: a motion edge where |∇û|² + |∇v̂|² is above 0.01 |ŵ|² + 0.002."""


@dataclass(frozen=True, eq=False)
class Motion:
    """``back`` is the flow to the frame before, ``trust`` (h, w) of float32 how far it is to be
    believed, 0 to 1.
    """

    back: np.ndarray
    trust: np.ndarray

    def scaled(self, height: int, width: int) -> Motion:
        """For a picture of that size."""
        h, w = self.trust.shape
        if (h, w) == (height, width):
            return self
        back = cv2.resize(self.back, (width, height), interpolation=cv2.INTER_LINEAR)
        back = back * np.array([width / w, height / h], np.float32)
        trust = cv2.resize(self.trust, (width, height), interpolation=cv2.INTER_LINEAR)
        return Motion(back, trust)


class FlowFinder:
    """Finds the motion between two frames; keeps its buffers, so it is for one thread."""

    def __init__(self) -> None:
        create: Any = cv2.DISOpticalFlow.create
        self.search = create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def between(self, before: np.ndarray, now: np.ndarray) -> Motion:
        """The motion from the grey frame ``before`` to ``now``."""
        back = self.search.calc(now, before, None)
        forth = self.search.calc(before, now, None)
        trust = consistent(back, forth) & ~motion_edges(back)
        return Motion(back, trust.astype(np.float32))


def small_grey(frame: np.ndarray) -> np.ndarray:
    """A frame (H, W, 3) of uint8 as the flow sees it."""
    height, width = frame.shape[:2]
    factor = min(1.0, LONG_SIDE_PX / max(height, width))
    size = max(8, round(width * factor)), max(8, round(height * factor))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if factor < 1 else frame
    grey: np.ndarray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return grey


def consistent(back: np.ndarray, forth: np.ndarray) -> np.ndarray:
    """Where going back and forth ends at the same place: equation 6. Nothing from outside is."""
    x, y = places(back)
    there = cv2.remap(forth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    allowed = DISAGREEMENT_SHARE * (squares(there) + squares(back)) + DISAGREEMENT_PX2
    height, width = back.shape[:2]
    within = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    agreed: np.ndarray = (squares(there + back) <= allowed) & within
    return agreed


def motion_edges(back: np.ndarray) -> np.ndarray:
    """Where motion begins or ends: equation 7, by central differences."""
    across = cv2.Sobel(back, -1, 1, 0, ksize=1, scale=0.5)
    down = cv2.Sobel(back, -1, 0, 1, ksize=1, scale=0.5)
    slopes = squares(across) + squares(down)
    edges: np.ndarray = slopes > EDGE_SHARE * squares(back) + EDGE_PX2
    return edges


def warped(image: np.ndarray, back: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """``image`` (h, w[, C]) of the frame before, as it would be now."""
    x, y = places(back)
    moved: np.ndarray = cv2.remap(image, x, y, how, borderMode=cv2.BORDER_REPLICATE)
    return moved


def places(back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each place was: x and y, (h, w)."""
    height, width = back.shape[:2]
    u, v = cv2.split(back)
    x = cv2.add(u, _columns(height, width))
    y = cv2.add(v, _rows(height, width))
    return x, y


@cache
def _columns(height: int, width: int) -> np.ndarray:
    return np.tile(np.arange(width, dtype=np.float32), (height, 1))


@cache
def _rows(height: int, width: int) -> np.ndarray:
    return np.ascontiguousarray(_columns(width, height).T)


def squares(vectors: np.ndarray) -> np.ndarray:
    """|v|², (h, w, 2) → (h, w)."""
    u, v = cv2.split(vectors)
    lengths: np.ndarray = u * u + v * v
    return lengths
