"""Where each place of a frame was in the frame before, and where that can be trusted.

Dense inverse search (Kroeger et al. 2016), by OpenCV, in both directions; what is trusted follows
Ruder, Dosovitskiy & Brox 2016, section 4.1. Frames are grey, (h, w) of uint8. A flow is (h, w, 2)
of float32: where (x, y) was is (x, y) + flow, px.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

LONG_SIDE_PX = 448
"""Frames are made so small before anything moves in them: finer, flows are slower, not better."""
LEAST_SIDE_PX = 32
"""DIS crashes on narrower ones."""
SIZES = 4
"""Of so many sizes of pictures tables are kept."""

DISAGREEMENT_SHARE, DISAGREEMENT_PX2 = 0.01, 0.5
"""Equation 6: disoccluded where |w̃ + ŵ|² is above 0.01 (|w̃|² + |ŵ|²) + 0.5."""
EDGE_SHARE, EDGE_PX2 = 0.01, 0.002
"""Equation 7: a motion edge where |∇û|² + |∇v̂|² is above 0.01 |ŵ|² + 0.002."""
GRID_PX = 8
"""The camera's motion is told from places so far apart."""
TEXTURE_GREY = 3.0
"""Where it is told from, brightness changes by so much from one pixel to the next but one, on
average: what is plainer seems to move as whatever is beside it."""
CELLS, LEAST_REACH = 8, 0.5
"""What moves is the camera if it does so in at least half of the cells, of 8 × 8, that lie along
the edges of the picture, and in most of the places that it is told from."""


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
    size = max(LEAST_SIDE_PX, round(width * factor)), max(LEAST_SIDE_PX, round(height * factor))
    small = frame
    if size != (width, height):
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    grey: np.ndarray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return grey


def consistent(back: np.ndarray, forth: np.ndarray) -> np.ndarray:
    """Where going back and forth ends at the same place: equation 6. Nothing from outside is."""
    there = warped(forth, back)
    allowed = DISAGREEMENT_SHARE * (squares(there) + squares(back)) + DISAGREEMENT_PX2
    agreed: np.ndarray = (squares(there + back) <= allowed) & within(back)
    return agreed


def within(back: np.ndarray) -> np.ndarray:
    """What was in the picture before, (h, w) of bool."""
    x, y = places(back)
    height, width = back.shape[:2]
    inside: np.ndarray = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    return inside


def camera_motion(motion: Motion, now: np.ndarray) -> np.ndarray | None:
    """The affine flow (h, w, 2) to the grey frame ``now`` that most of the trusted places agree on
    (RANSAC; Fischler & Bolles 1981). None: there is none, or it may be that of something before a
    plain wall. What is too plain to be followed, or lies by the edge of something that moves, has
    no flow of its own, but mostly moves with the camera.
    """
    height, width = motion.trust.shape
    rows, columns = np.mgrid[GRID_PX // 2 : height : GRID_PX, GRID_PX // 2 : width : GRID_PX]
    told = (motion.trust[rows, columns] > 0.5) & (_texture(now)[rows, columns] > TEXTURE_GREY)
    here = np.stack([columns[told], rows[told]], axis=1).astype(np.float32)
    before = here + motion.back[rows, columns][told]
    if len(here) < 3:
        return None
    affine, agree = cv2.estimateAffine2D(
        here, before, method=cv2.RANSAC, ransacReprojThreshold=0.5, maxIters=200
    )
    if (
        affine is None
        or agree.mean() < 0.5
        or _reach(here[agree[:, 0] > 0], width, height) < LEAST_REACH
    ):
        return None
    (xx, xy, x), (yx, yy, y) = affine.astype(np.float32)
    u = (xx - 1) * _columns(height, width) + xy * _rows(height, width) + x
    v = yx * _columns(height, width) + (yy - 1) * _rows(height, width) + y
    flow: np.ndarray = cv2.merge([u, v])
    return flow


def _texture(grey: np.ndarray) -> np.ndarray:
    """The mean change of brightness nearby."""
    slopes = (cv2.Sobel(grey, cv2.CV_16S, *order, ksize=1) for order in ((1, 0), (0, 1)))
    across, down = (cv2.convertScaleAbs(slope) for slope in slopes)
    texture: np.ndarray = cv2.blur(cv2.max(across, down), (7, 7))
    return texture


def _reach(places: np.ndarray, width: int, height: int) -> float:
    """The share of the cells along the picture's edges that places (N, 2) lie in."""
    cells = np.unique(places * CELLS // (width, height), axis=0)
    along = np.isin(cells, (0, CELLS - 1)).any(axis=1)
    return float(along.sum()) / (4 * CELLS - 4)


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


@lru_cache(SIZES)
def _columns(height: int, width: int) -> np.ndarray:
    return np.tile(np.arange(width, dtype=np.float32), (height, 1))


@lru_cache(SIZES)
def _rows(height: int, width: int) -> np.ndarray:
    return np.ascontiguousarray(_columns(width, height).T)


def squares(vectors: np.ndarray) -> np.ndarray:
    """|v|², (h, w, 2) → (h, w)."""
    u, v = cv2.split(vectors)
    lengths: np.ndarray = u * u + v * v
    return lengths
