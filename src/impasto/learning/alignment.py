"""Alignment of an artwork to the photo that it depicts.

An artwork changes colours and adds strokes, so only edges can be compared. A homography is found
first, from several candidates: the artwork in the photo's frame as it is, matches of SIFT features
(Lowe 2004) with RANSAC, and each of them refined by ECC (Evangelidis & Psarakis 2008). Dense
inverse search then follows what no homography explains. A place of the artwork is trusted if its
edges correlate with those of the photo.

Images are (H, W, 3), uint8, RGB. A warp is a homography (3, 3) from places of the photo to places
of the artwork, (x, y) in px.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from impasto.motion.flow import consistent, squares, warped, within

STROKES_PX = (2.0, 6.0)
"""Standard deviations of the blur before edges are measured: finer structures are strokes. The
second is for mosaics and hatching, and is used where the first doesn't show enough."""
ENOUGH_SHARE = 0.6
"""Trusted share at which no other blur is tried."""
CONTRAST_STROKES = 12.0
"""Standard deviation of the neighbourhood to whose mean the strength of an edge is relative, in
strokes."""
FLAT = 2.0
"""Slope, in 8-bit Lab units per px, below which an edge counts as noise."""
WINDOW_STROKES = 6.0
"""Standard deviation of the window in which edges are correlated, in strokes."""
FEATURES, RATIO, MIN_MATCHES = 3000, 0.8, 12
"""SIFT features of an image; Lowe's ratio of distances; matches that make a homography likely."""
RANSAC_PX = 4.0
ECC_LEVELS = (4, 2)
"""Reductions at which ECC runs."""
ECC_STEPS = 60
MAX_STRETCH = 1.6
"""Largest change of scale between the photo and the artwork that is believed."""
MIN_GAIN = 0.05
"""Gain of the correlation that a warp needs, so that an aligned artwork stays as it is."""
MIN_FLOW_GAIN = 0.12
"""The same for the flow, which can follow strokes, too."""
MAX_FLOW_SHARE = 0.05
"""Largest flow that is believed, relative to the long side."""
FLOW_SMOOTHING_PX = 4.0
TRUST_RAMP = (0.15, 0.40)
"""Correlation of edges at which trust begins, and at which it is whole."""
UNRELATED_SHIFTS = 24
"""Displaced copies of the artwork whose correlations show what chance gives."""
MATCH_RAMP = (0.12, 0.20)
"""Excess of the correlation over chance at which a pair begins to match, and at which it does."""
MIN_TRUSTED_SHARE = 0.4
"""Trusted share of the photo below which nothing can be learned from the places of a pair."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """An artwork in the frame of its photo.

    Attributes:
        artwork: The artwork as it lies on the photo, (H, W, 3), uint8.
        trust: How well each place fits, 0 to 1, (H, W), float32.
    """

    artwork: np.ndarray
    trust: np.ndarray

    @property
    def trusted_share(self) -> float:
        """The share of the photo that is trusted."""
        return float(self.trust.mean())

    @property
    def fits(self) -> bool:
        """Whether enough of the artwork fits to learn from its places."""
        return self.trusted_share >= MIN_TRUSTED_SHARE


def align(photo: np.ndarray, artwork: np.ndarray) -> Alignment:
    """Return an artwork aligned to its photo.

    Args:
        photo: The photo, at the size in which it is learned.
        artwork: The artwork, of any size.
    """
    artwork = _at_scale_of(photo, artwork)
    best: Alignment | None = None
    for stroke in STROKES_PX:
        found = _align(photo, artwork, stroke)
        if best is None or found.trusted_share > best.trusted_share:
            best = found
        if best.trusted_share >= ENOUGH_SHARE:
            break
    assert best is not None
    return best


def _align(photo: np.ndarray, artwork: np.ndarray, stroke: float) -> Alignment:
    """Return an artwork aligned by its edges without strokes of a size, px."""
    height, width = photo.shape[:2]
    target, source = edges(photo, stroke), edges(artwork, stroke)
    warp = _best_warp(photo, artwork, target, source)
    picture, moved = (warp_image(image, warp, height, width) for image in (artwork, source))
    inside = warp_image(np.ones(source.shape, np.float32), warp, height, width) > 0.99
    back = _flow(target, moved)
    if back is not None:
        picture, moved = (warped(image, back, cv2.INTER_CUBIC) for image in (picture, moved))
        inside &= within(back)
    return Alignment(picture, _trust(target, moved, inside, stroke))


def edges(image: np.ndarray, stroke: float = STROKES_PX[0]) -> np.ndarray:
    """Return how strong the edges of an image are, relative to those nearby, (H, W), float32.

    Args:
        image: The image.
        stroke: The standard deviation of the blur that removes strokes, px.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    smooth = cv2.GaussianBlur(lab, (0, 0), stroke)
    slopes = (cv2.Sobel(smooth, cv2.CV_32F, *order, scale=0.125) for order in ((1, 0), (0, 1)))
    strength = np.sqrt(sum((slope**2).sum(2) for slope in slopes))  # (H, W)
    nearby = cv2.GaussianBlur(strength, (0, 0), CONTRAST_STROKES * stroke)
    relative: np.ndarray = np.sqrt(strength / (nearby + FLAT))
    return relative


def warp_image(image: np.ndarray, warp: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return an image of the artwork in the frame of the photo; outside of it, zero."""
    if np.allclose(warp, np.eye(3)) and image.shape[:2] == (height, width):
        return image
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved: np.ndarray = cv2.warpPerspective(image, warp, (width, height), flags=flags)
    return moved


def local_correlation(one: np.ndarray, other: np.ndarray, window: float) -> np.ndarray:
    """Return the correlation of two edge images (H, W) around each place.

    It is low where one has edges and the other is flat, and where both are flat.

    Args:
        one: An edge image.
        other: The other one.
        window: The standard deviation of the window, px.
    """

    def mean(image: np.ndarray) -> np.ndarray:
        blurred: np.ndarray = cv2.GaussianBlur(image, (0, 0), window)
        return blurred

    means = mean(one), mean(other)
    covariance = mean(one * other) - means[0] * means[1]
    variances = [
        np.maximum(mean(image**2) - average**2, 0)
        for image, average in zip((one, other), means, strict=True)
    ]
    correlation: np.ndarray = covariance / (np.sqrt(variances[0] * variances[1]) + 1e-3)
    return correlation


def _at_scale_of(photo: np.ndarray, artwork: np.ndarray) -> np.ndarray:
    """Return the artwork at the photo's size, or at its long side if its shape is another one."""
    height, width = photo.shape[:2]
    rows, columns = artwork.shape[:2]
    size = width, height
    if not 0.9 < (columns * height) / (rows * width) < 1.1:
        factor = max(height, width) / max(rows, columns)
        size = max(1, round(columns * factor)), max(1, round(rows * factor))
    if size == (columns, rows):
        return artwork
    is_smaller = size[0] < columns
    how = cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC
    scaled: np.ndarray = cv2.resize(artwork, size, interpolation=how)
    return scaled


def _best_warp(
    photo: np.ndarray, artwork: np.ndarray, target: np.ndarray, source: np.ndarray
) -> np.ndarray:
    """Return the warp that brings the edges of the artwork, ``source``, to those of the photo."""
    height, width = target.shape
    (rows, columns) = source.shape
    start = np.diag([columns / width, rows / height, 1.0]).astype(np.float32)
    score = _score(target, source, start)
    best = start
    for first in (start, *_feature_warps(photo, artwork)):
        for warp in (first, *_refined(target, source, first)):
            reached = _score(target, source, warp)
            # Each further candidate has to be clearly better than the simple one.
            if reached > score + (MIN_GAIN if best is start else 0):
                best, score = warp, reached
    return best


def _score(target: np.ndarray, source: np.ndarray, warp: np.ndarray) -> float:
    """Return the correlation of the edges within the overlap, times the share of the overlap."""
    height, width = target.shape
    moved = warp_image(source, warp, height, width)
    inside = warp_image(np.ones(source.shape, np.float32), warp, height, width) > 0.99
    share = float(inside.mean())
    if share < 0.3:
        return 0.0
    return _correlation(target[inside], moved[inside]) * math.sqrt(share)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation coefficient of two sets of values, 0 for constant ones."""
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / norm if norm else 0.0


def _feature_warps(photo: np.ndarray, artwork: np.ndarray) -> Iterator[np.ndarray]:
    """Yield warps on which matches of features agree, of the image and of its edges."""
    for describe in (_grey, _edge_picture):
        yield from _matched(describe(photo), describe(artwork))


def _grey(image: np.ndarray) -> np.ndarray:
    grey: np.ndarray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return grey


def _edge_picture(image: np.ndarray) -> np.ndarray:
    strength: np.ndarray = np.clip(edges(image) * 100, 0, 255).astype(np.uint8)
    return strength


def _matched(photo: np.ndarray, artwork: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a similarity and a homography from matches of SIFT features of grey images."""
    sift = cv2.SIFT.create(FEATURES)
    (points, described), (others, other_described) = (
        sift.detectAndCompute(image, None) for image in (photo, artwork)
    )
    if described is None or other_described is None or min(len(points), len(others)) < 2:
        return
    pairs = cv2.BFMatcher().knnMatch(described, other_described, k=2)
    good = [one for one, *rest in pairs if rest and one.distance < RATIO * rest[0].distance]
    if len(good) < MIN_MATCHES:
        return
    here = np.array([points[match.queryIdx].pt for match in good], np.float32)
    there = np.array([others[match.trainIdx].pt for match in good], np.float32)
    cv2.setRNGSeed(0)
    affine, _ = cv2.estimateAffinePartial2D(
        here, there, method=cv2.RANSAC, ransacReprojThreshold=RANSAC_PX
    )
    if affine is not None:
        yield from _believed(np.vstack([affine, [0, 0, 1]]).astype(np.float32))
    warp, _ = cv2.findHomography(here, there, cv2.RANSAC, RANSAC_PX)
    if warp is not None:
        yield from _believed(warp.astype(np.float32))


def _refined(target: np.ndarray, source: np.ndarray, warp: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a warp refined by ECC, as an affine map and then as a homography."""
    for motion in (cv2.MOTION_AFFINE, cv2.MOTION_HOMOGRAPHY):
        try:
            for reduction in ECC_LEVELS:
                warp = _ecc(target, source, warp, motion, reduction)
        except cv2.error:  # ECC doesn't converge
            return
        yield from _believed(warp)


def _ecc(
    target: np.ndarray, source: np.ndarray, warp: np.ndarray, motion: int, reduction: int
) -> np.ndarray:
    """Return a warp refined by ECC at a fraction of the size."""
    small, other = (
        cv2.resize(image, None, fx=1 / reduction, fy=1 / reduction, interpolation=cv2.INTER_AREA)
        for image in (target, source)
    )
    scale = np.diag([reduction, reduction, 1]).astype(np.float32)
    start: Any = np.linalg.inv(scale) @ warp @ scale
    start = (start / start[2, 2]).astype(np.float32)
    is_affine = motion == cv2.MOTION_AFFINE
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ECC_STEPS, 1e-5)
    find: Any = cv2.findTransformECC  # its type leaves out that the mask may be None
    _, found = find(
        small, other, start[:2].copy() if is_affine else start, motion, criteria, None, 5
    )
    whole = np.vstack([found, [0, 0, 1]]) if is_affine else found
    refined: np.ndarray = (scale @ whole @ np.linalg.inv(scale)).astype(np.float32)
    return refined


def _believed(warp: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a warp unless it is degenerate: mirrored, or far from the scale of the photo."""
    scales = np.linalg.svd(warp[:2, :2] / warp[2, 2], compute_uv=False)
    is_near = 1 / MAX_STRETCH < scales[-1] <= scales[0] < MAX_STRETCH
    if np.isfinite(warp).all() and is_near and np.linalg.det(warp[:2, :2]) > 0:
        yield warp


def _flow(target: np.ndarray, moved: np.ndarray) -> np.ndarray | None:
    """Return the flow from the photo to the artwork, (H, W, 2) px, or None if it is no gain."""
    create: Any = cv2.DISOpticalFlow.create
    search = create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    now, before = (np.clip(image * 100, 0, 255).astype(np.uint8) for image in (target, moved))
    if min(now.shape) < 32:  # DIS crashes on smaller images
        return None
    back, forth = search.calc(now, before, None), search.calc(before, now, None)
    limit = (MAX_FLOW_SHARE * max(now.shape)) ** 2
    agreed = (consistent(back, forth) & (squares(back) < limit)).astype(np.float32)
    # Where the flow isn't consistent, it is that of the consistent places nearby.
    weight = cv2.GaussianBlur(agreed, (0, 0), FLOW_SMOOTHING_PX)[..., None]
    smooth = cv2.GaussianBlur(back * agreed[..., None], (0, 0), FLOW_SMOOTHING_PX)
    smooth = (smooth / (weight + 0.05)).astype(np.float32)
    gain = _correlation(target, warped(moved, smooth)) - _correlation(target, moved)
    return smooth if gain > MIN_FLOW_GAIN else None


def _trust(target: np.ndarray, moved: np.ndarray, inside: np.ndarray, stroke: float) -> np.ndarray:
    """Return how far each place of an aligned artwork is trusted, (H, W), 0 to 1."""
    local = local_correlation(target, moved, WINDOW_STROKES * stroke)
    excess = _correlation(target, moved) - _chance(target, moved)
    matches = np.clip((excess - MATCH_RAMP[0]) / (MATCH_RAMP[1] - MATCH_RAMP[0]), 0, 1)
    low, high = TRUST_RAMP
    trust: np.ndarray = np.clip((local - low) / (high - low), 0, 1) * inside * matches
    return trust.astype(np.float32)


def _chance(target: np.ndarray, moved: np.ndarray) -> float:
    """Return the highest correlation of the photo with a displaced artwork."""
    height, width = target.shape
    generator = np.random.default_rng(0)
    shifts = generator.uniform(0.2, 0.8, (UNRELATED_SHIFTS, 2)) * (height, width)
    displaced = (np.roll(moved, (int(down), int(right)), (0, 1)) for down, right in shifts)
    return max(_correlation(target, image) for image in displaced)
