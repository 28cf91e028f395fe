"""Alignment of an artwork to the photo that it depicts.

An artwork changes colours and adds strokes, so only edges are compared. The alignment has three
steps:

1. A homography is chosen from several candidates: the artwork scaled to the photo, warps from
   matches of SIFT features (Lowe 2004) with RANSAC, and each of these refined by ECC (Evangelidis &
   Psarakis 2008).
2. Optical flow by dense inverse search (Kroeger et al. 2016) corrects local differences that no
   homography can model.
3. The trust in each place is computed from the local correlation of the edges.

Images are (H, W, 3), uint8, RGB. Edge images are (H, W), float32. A warp is a homography (3, 3)
that maps coordinates in the photo to coordinates in the artwork, (x, y) in px.
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
"""Standard deviations of the blur before edges are measured, px. Finer structures are strokes. The
second value suits mosaics and hatching; it is tried if the first one gives too little trust."""
SUFFICIENT_SHARE = 0.6
"""Trusted share of the photo above which no coarser blur is tried."""
CONTRAST_STROKES = 12.0
"""Standard deviation of the neighbourhood that normalises the strength of edges, as a multiple of
the blur."""
NOISE_SLOPE = 2.0
"""Slope below which an edge counts as noise, 8-bit Lab units per px."""
WINDOW_STROKES = 6.0
"""Standard deviation of the window of the local correlation, as a multiple of the blur."""
MAX_FEATURES, LOWE_RATIO, MIN_MATCHES = 3000, 0.8, 12
"""Largest number of SIFT features per image; the ratio test of Lowe 2004; the number of matches
from which warps are estimated."""
RANSAC_PX = 4.0
"""Largest distance between a match and the warp, px."""
ECC_LEVELS = (4, 2)
"""Factors by which images are reduced for ECC, from coarse to fine."""
ECC_STEPS = 60
"""Largest number of iterations of ECC at each level."""
MAX_STRETCH = 1.6
"""Largest plausible change of scale between the photo and the artwork."""
MIN_GAIN = 0.05
"""Gain in correlation that a warp needs. It keeps an artwork that is aligned already unwarped."""
MIN_FLOW_GAIN = 0.12
"""Gain in correlation that the flow needs. It is larger because flow can also follow strokes."""
MAX_FLOW_SHARE = 0.05
"""Largest plausible flow, relative to the long side."""
FLOW_SMOOTHING_PX = 4.0
"""Standard deviation of the blur of the flow, px."""
TRUST_RAMP = (0.15, 0.40)
"""Local correlation of the edges at which trust is 0, and at which it is 1."""
UNRELATED_SHIFTS = 24
"""Number of shifted copies of the artwork, which estimate the correlation by chance."""
MATCH_RAMP = (0.12, 0.20)
"""Excess of the correlation over chance at which a pair doesn't match, and at which it does."""
MIN_TRUSTED_SHARE = 0.4
"""Trusted share of the photo below which only the style of the artwork is learned."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """An artwork that is aligned to its photo.

    Attributes:
        artwork: The artwork, warped to the frame of the photo, (H, W, 3), uint8.
        trust: The confidence that a place shows the same thing in both images, 0 to 1, (H, W),
            float32.
    """

    artwork: np.ndarray
    trust: np.ndarray

    @property
    def trusted_share(self) -> float:
        """The mean trust, 0 to 1."""
        return float(self.trust.mean())

    @property
    def fits(self) -> bool:
        """Whether the alignment is good enough for a pixel-by-pixel comparison."""
        return self.trusted_share >= MIN_TRUSTED_SHARE


def align(photo: np.ndarray, artwork: np.ndarray) -> Alignment:
    """Align an artwork to its photo.

    Args:
        photo: The photo, at the size of the training, (H, W, 3), uint8.
        artwork: The artwork, of any size, (h, w, 3), uint8.
    """
    artwork = _scaled_to(photo, artwork)
    best: Alignment | None = None
    for stroke in STROKES_PX:
        candidate = _align(photo, artwork, stroke)
        if best is None or candidate.trusted_share > best.trusted_share:
            best = candidate
        if best.trusted_share >= SUFFICIENT_SHARE:
            break
    assert best is not None
    return best


def _align(photo: np.ndarray, artwork: np.ndarray, stroke: float) -> Alignment:
    """Align an artwork by the edges that are coarser than its strokes.

    Args:
        photo: The photo, (H, W, 3).
        artwork: The artwork, (h, w, 3).
        stroke: The standard deviation of the blur that removes strokes, px.
    """
    height, width = photo.shape[:2]
    target, source = _edges(photo, stroke), _edges(artwork, stroke)
    warp = _best_warp(photo, artwork, target, source)
    picture, moved = (_warp_image(image, warp, height, width) for image in (artwork, source))
    inside = _warp_image(np.ones(source.shape, np.float32), warp, height, width) > 0.99
    flow = _flow(target, moved)
    if flow is not None:
        picture, moved = (warped(image, flow, cv2.INTER_CUBIC) for image in (picture, moved))
        inside &= within(flow)
    return Alignment(picture, _trust(target, moved, inside, stroke))


def _edges(image: np.ndarray, stroke: float = STROKES_PX[0]) -> np.ndarray:
    """Return the strength of edges relative to their neighbourhood, (H, W), float32.

    Args:
        image: The image, (H, W, 3), uint8.
        stroke: The standard deviation of the blur that removes strokes, px.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    smooth = cv2.GaussianBlur(lab, (0, 0), stroke)
    slopes = (cv2.Sobel(smooth, cv2.CV_32F, *order, scale=0.125) for order in ((1, 0), (0, 1)))
    strength = np.sqrt(sum((slope**2).sum(2) for slope in slopes))  # (H, W)
    nearby = cv2.GaussianBlur(strength, (0, 0), CONTRAST_STROKES * stroke)
    relative: np.ndarray = np.sqrt(strength / (nearby + NOISE_SLOPE))
    return relative


def _warp_image(image: np.ndarray, warp: np.ndarray, height: int, width: int) -> np.ndarray:
    """Warp an image from the frame of the artwork to that of the photo; it is 0 outside."""
    if np.allclose(warp, np.eye(3)) and image.shape[:2] == (height, width):
        return image
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved: np.ndarray = cv2.warpPerspective(image, warp, (width, height), flags=flags)
    return moved


def _local_correlation(first: np.ndarray, second: np.ndarray, window: float) -> np.ndarray:
    """Return the correlation coefficient of two edge images around each place, (H, W).

    It is low where only one image has edges, and where neither has.

    Args:
        first: An edge image, (H, W).
        second: Another edge image, (H, W).
        window: The standard deviation of the Gaussian window, px.
    """

    def mean(image: np.ndarray) -> np.ndarray:
        blurred: np.ndarray = cv2.GaussianBlur(image, (0, 0), window)
        return blurred

    means = mean(first), mean(second)
    covariance = mean(first * second) - means[0] * means[1]
    variances = [
        np.maximum(mean(image**2) - average**2, 0)
        for image, average in zip((first, second), means, strict=True)
    ]
    correlation: np.ndarray = covariance / (np.sqrt(variances[0] * variances[1]) + 1e-3)
    return correlation


def _scaled_to(photo: np.ndarray, artwork: np.ndarray) -> np.ndarray:
    """Resize the artwork to the photo's size, or to its long side if the aspect ratios differ."""
    height, width = photo.shape[:2]
    rows, columns = artwork.shape[:2]
    size = width, height
    if not 0.9 < (columns * height) / (rows * width) < 1.1:
        factor = max(height, width) / max(rows, columns)
        size = max(1, round(columns * factor)), max(1, round(rows * factor))
    if size == (columns, rows):
        return artwork
    is_smaller = size[0] < columns
    interpolation = cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC
    scaled: np.ndarray = cv2.resize(artwork, size, interpolation=interpolation)
    return scaled


def _best_warp(
    photo: np.ndarray, artwork: np.ndarray, target: np.ndarray, source: np.ndarray
) -> np.ndarray:
    """Return the warp with the highest score.

    Args:
        photo: The photo, (H, W, 3).
        artwork: The artwork, (h, w, 3).
        target: The edges of the photo, (H, W).
        source: The edges of the artwork, (h, w).
    """
    height, width = target.shape
    rows, columns = source.shape
    scaling = np.diag([columns / width, rows / height, 1.0]).astype(np.float32)
    best, best_score = scaling, _score(target, source, scaling)
    for start in (scaling, *_feature_warps(photo, artwork)):
        for warp in (start, *_ecc_refinements(target, source, start)):
            score = _score(target, source, warp)
            # The first other warp has to be clearly better than plain scaling.
            if score > best_score + (MIN_GAIN if best is scaling else 0):
                best, best_score = warp, score
    return best


def _score(target: np.ndarray, source: np.ndarray, warp: np.ndarray) -> float:
    """Return the correlation of the edges where the images overlap, times the root of the overlap.

    The score is 0 if less than 30 % of the photo is covered.
    """
    height, width = target.shape
    moved = _warp_image(source, warp, height, width)
    inside = _warp_image(np.ones(source.shape, np.float32), warp, height, width) > 0.99
    share = float(inside.mean())
    if share < 0.3:
        return 0.0
    return _correlation(target[inside], moved[inside]) * math.sqrt(share)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation coefficient of two arrays; 0 if one of them is constant."""
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / norm if norm else 0.0


def _feature_warps(photo: np.ndarray, artwork: np.ndarray) -> Iterator[np.ndarray]:
    """Yield warps from feature matches: of the grey images, then of their edge images."""
    for to_grey in (_luminance, _edge_image):
        yield from _warps_from_matches(to_grey(photo), to_grey(artwork))


def _luminance(image: np.ndarray) -> np.ndarray:
    """Convert an image (H, W, 3) to grey, (H, W), uint8."""
    grey: np.ndarray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return grey


def _edge_image(image: np.ndarray) -> np.ndarray:
    """Return the edges of an image (H, W, 3) as a grey image, (H, W), uint8."""
    return _as_bytes(_edges(image))


def _as_bytes(edge_strength: np.ndarray) -> np.ndarray:
    """Multiply edge strengths by 100 and clip them to 8 bits."""
    scaled: np.ndarray = np.clip(edge_strength * 100, 0, 255).astype(np.uint8)
    return scaled


def _warps_from_matches(photo: np.ndarray, artwork: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a similarity and a homography from matches of SIFT features of grey images (H, W)."""
    sift = cv2.SIFT.create(MAX_FEATURES)
    (keypoints, descriptors), (art_keypoints, art_descriptors) = (
        sift.detectAndCompute(image, None) for image in (photo, artwork)
    )
    if descriptors is None or art_descriptors is None:
        return
    if min(len(keypoints), len(art_keypoints)) < 2:
        return
    neighbours = cv2.BFMatcher().knnMatch(descriptors, art_descriptors, k=2)
    matches = [
        best for best, *rest in neighbours if rest and best.distance < LOWE_RATIO * rest[0].distance
    ]
    if len(matches) < MIN_MATCHES:
        return
    points = np.array([keypoints[match.queryIdx].pt for match in matches], np.float32)
    art_points = np.array([art_keypoints[match.trainIdx].pt for match in matches], np.float32)
    cv2.setRNGSeed(0)
    affine, _ = cv2.estimateAffinePartial2D(
        points, art_points, method=cv2.RANSAC, ransacReprojThreshold=RANSAC_PX
    )
    if affine is not None:
        yield from _if_plausible(np.vstack([affine, [0, 0, 1]]).astype(np.float32))
    warp, _ = cv2.findHomography(points, art_points, cv2.RANSAC, RANSAC_PX)
    if warp is not None:
        yield from _if_plausible(warp.astype(np.float32))


def _ecc_refinements(
    target: np.ndarray, source: np.ndarray, warp: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield a warp refined by ECC, first as an affine map, then as a homography."""
    for motion in (cv2.MOTION_AFFINE, cv2.MOTION_HOMOGRAPHY):
        try:
            for reduction in ECC_LEVELS:
                warp = _ecc(target, source, warp, motion, reduction)
        except cv2.error:  # ECC didn't converge
            return
        yield from _if_plausible(warp)


def _ecc(
    target: np.ndarray, source: np.ndarray, warp: np.ndarray, motion: int, reduction: int
) -> np.ndarray:
    """Return a warp refined by ECC, with images reduced by a factor."""
    small_target, small_source = (
        cv2.resize(image, None, fx=1 / reduction, fy=1 / reduction, interpolation=cv2.INTER_AREA)
        for image in (target, source)
    )
    scale = np.diag([reduction, reduction, 1]).astype(np.float32)
    start: Any = np.linalg.inv(scale) @ warp @ scale
    start = (start / start[2, 2]).astype(np.float32)
    is_affine = motion == cv2.MOTION_AFFINE
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ECC_STEPS, 1e-5)
    find: Any = cv2.findTransformECC  # the type stub doesn't allow None as the mask
    _, found = find(
        small_target,
        small_source,
        start[:2].copy() if is_affine else start,
        motion,
        criteria,
        None,
        5,  # the default size of ECC's own blur, px
    )
    whole = np.vstack([found, [0, 0, 1]]) if is_affine else found
    refined: np.ndarray = (scale @ whole @ np.linalg.inv(scale)).astype(np.float32)
    return refined


def _if_plausible(warp: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a warp unless it isn't finite, mirrors the image, or changes its scale too much."""
    scales = np.linalg.svd(warp[:2, :2] / warp[2, 2], compute_uv=False)
    is_scale_plausible = 1 / MAX_STRETCH < scales[-1] <= scales[0] < MAX_STRETCH
    if np.isfinite(warp).all() and is_scale_plausible and np.linalg.det(warp[:2, :2]) > 0:
        yield warp


def _flow(target: np.ndarray, moved: np.ndarray) -> np.ndarray | None:
    """Return the optical flow from the photo to the artwork, or None if it improves too little.

    Args:
        target: The edges of the photo, (H, W).
        moved: The edges of the warped artwork, (H, W).

    Returns:
        For each place of the photo, the offset of the same place in the artwork, (H, W, 2), px.
    """
    create: Any = cv2.DISOpticalFlow.create
    search = create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    photo, artwork = _as_bytes(target), _as_bytes(moved)
    if min(photo.shape) < 32:  # DIS crashes on smaller images
        return None
    flow, reverse = search.calc(photo, artwork, None), search.calc(artwork, photo, None)
    limit = (MAX_FLOW_SHARE * max(photo.shape)) ** 2
    is_reliable = (consistent(flow, reverse) & (squares(flow) < limit)).astype(np.float32)
    # A normalised blur replaces unreliable flow by the reliable flow nearby.
    weight = cv2.GaussianBlur(is_reliable, (0, 0), FLOW_SMOOTHING_PX)[..., None]
    smooth = cv2.GaussianBlur(flow * is_reliable[..., None], (0, 0), FLOW_SMOOTHING_PX)
    smooth = (smooth / (weight + 0.05)).astype(np.float32)
    gain = _correlation(target, warped(moved, smooth)) - _correlation(target, moved)
    return smooth if gain > MIN_FLOW_GAIN else None


def _trust(target: np.ndarray, moved: np.ndarray, inside: np.ndarray, stroke: float) -> np.ndarray:
    """Return the trust in each place of an aligned artwork, 0 to 1, (H, W).

    Args:
        target: The edges of the photo, (H, W).
        moved: The edges of the aligned artwork, (H, W).
        inside: Whether the artwork covers a place, (H, W), bool.
        stroke: The standard deviation of the blur that removes strokes, px.
    """
    local = _local_correlation(target, moved, WINDOW_STROKES * stroke)
    excess = _correlation(target, moved) - _chance_correlation(target, moved)
    match = np.clip((excess - MATCH_RAMP[0]) / (MATCH_RAMP[1] - MATCH_RAMP[0]), 0, 1)
    low, high = TRUST_RAMP
    trust: np.ndarray = np.clip((local - low) / (high - low), 0, 1) * inside * match
    return trust.astype(np.float32)


def _chance_correlation(target: np.ndarray, moved: np.ndarray) -> float:
    """Return the highest correlation of the photo's edges with those of a shifted artwork.

    A pair that doesn't match correlates no better than this.
    """
    height, width = target.shape
    generator = np.random.default_rng(0)
    shifts = generator.uniform(0.2, 0.8, (UNRELATED_SHIFTS, 2)) * (height, width)
    shifted = (np.roll(moved, (int(down), int(right)), (0, 1)) for down, right in shifts)
    return max(_correlation(target, image) for image in shifted)
