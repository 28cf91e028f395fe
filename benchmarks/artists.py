"""Procedural artists: deterministic functions that turn a photo into an artwork.

The artwork of any photo is known, so the error of a network that learns from one of the pairs can
be measured. Photos and artworks are (H, W, 3), uint8, RGB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import cv2
import numpy as np

Artist = Callable[[np.ndarray], np.ndarray]

PAPER, INK = np.array([246, 238, 220], np.float32), np.array([38, 34, 60], np.float32)
HATCHES = ((0.78, 45), (0.58, 135), (0.38, 0), (0.22, 90))
"""Luminance below which lines are drawn, 0 to 1, and the angle of the lines, degrees."""
HATCH_PERIOD_PX, HATCH_WIDTH_PX = 6.0, 1.8
PALETTE = np.array(
    [[28, 32, 66], [120, 36, 54], [208, 90, 48], [92, 130, 118], [236, 184, 86], [250, 240, 214]],
    np.float32,
)
"""Colours of the papers of ``cutout``, from the darkest to the lightest."""
TILE_PX, GROUT_PX = 12, 2
OIL_RADIUS_PX = 5


def luminance(photo: np.ndarray) -> np.ndarray:
    """Return the luminance of a photo, (H, W), 0 to 1."""
    return cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255


def hatching(photo: np.ndarray) -> np.ndarray:
    """Draw hatching in ink on paper; darker places have lines in more directions."""
    tone = cv2.GaussianBlur(luminance(photo), (0, 0), 1.5)
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]].astype(np.float32)
    ink = np.zeros_like(tone)
    for threshold, degrees in HATCHES:
        angle = np.deg2rad(degrees)
        across = (x * np.sin(angle) + y * np.cos(angle)) % HATCH_PERIOD_PX
        distance = np.abs(across - HATCH_PERIOD_PX / 2)
        line = np.clip(HATCH_WIDTH_PX / 2 + 0.5 - distance, 0, 1)
        ink = np.maximum(ink, line * np.clip((threshold - tone) * 12, 0, 1))
    return _bytes(PAPER + ink[..., None] * (INK - PAPER))


def cutout(photo: np.ndarray) -> np.ndarray:
    """Make a paper cut-out: quantise the smoothed luminance to a palette."""
    tone = cv2.GaussianBlur(luminance(photo), (0, 0), 3)
    low, high = 0.12, 0.82
    share = (tone - low) / (high - low) * len(PALETTE)
    return _bytes(PALETTE[np.clip(share.astype(int), 0, len(PALETTE) - 1)])


def mosaic(photo: np.ndarray) -> np.ndarray:
    """Make a mosaic of square tiles in dark grout, in more saturated mean colours of the photo."""
    height, width = photo.shape[:2]
    small = cv2.resize(photo, (width // TILE_PX, height // TILE_PX), interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 1] = np.minimum(255, hsv[..., 1] * 1.6 + 20)
    tiles = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    picture = cv2.resize(tiles, (width, height), interpolation=cv2.INTER_NEAREST)
    y, x = np.mgrid[:height, :width]
    rows, columns = y * (height // TILE_PX) % height, x * (width // TILE_PX) % width
    gap = GROUT_PX / TILE_PX
    is_grout = (rows < gap * height) | (columns < gap * width)
    picture[is_grout] = (44, 38, 40)
    return picture


def oil(photo: np.ndarray) -> np.ndarray:
    """Apply the filter of Kuwahara et al. 1976, and make the colours warmer and stronger."""
    margin, size = 2 * OIL_RADIUS_PX, OIL_RADIUS_PX + 1
    image = np.pad(photo.astype(np.float32), ((margin,) * 2, (margin,) * 2, (0, 0)), "reflect")
    mean = cv2.blur(image, (size, size))
    variance = (cv2.blur(image**2, (size, size)) - mean**2).sum(2)
    reach = OIL_RADIUS_PX // 2 + 1
    shifts = [(dy * reach, dx * reach) for dy, dx in product((-1, 1), repeat=2)]
    variances = np.stack([np.roll(variance, shift, (0, 1)) for shift in shifts])
    means = np.stack([np.roll(mean, shift, (0, 1)) for shift in shifts])
    best = variances.argmin(0)  # (H, W)
    picture = np.take_along_axis(means, best[None, ..., None], 0)[0]
    picture = picture[margin:-margin, margin:-margin]
    grey = picture.mean(2, keepdims=True)
    return _bytes((grey + 1.5 * (picture - grey)) * (1.1, 1.0, 0.82) + (6, 2, 0))


def pencil(photo: np.ndarray) -> np.ndarray:
    """Apply the coloured pencil filter of OpenCV (Gastal & Oliveira 2011)."""
    _, picture = cv2.pencilSketch(photo, sigma_s=40, sigma_r=0.07, shade_factor=0.04)
    return np.asarray(picture)


def _bytes(picture: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.clip(np.round(picture), 0, 255).astype(np.uint8)
    return rounded


ARTISTS: Mapping[str, Artist] = {
    "hatching": hatching,
    "mosaic": mosaic,
    "cutout": cutout,
    "oil": oil,
    "pencil": pencil,
}
