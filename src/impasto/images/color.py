"""Whose colours a picture has: Oklab, and three ways to take colours from another picture.

Images are (1, 3, H, W) float32, sRGB in [0, 1]; ``to_oklab``, ``from_oklab`` and ``keep_colors``
also take batches (N, 3, H, W). Whatever comes out is a new tensor. A mask (1, 1, H, W) says how
much each pixel of an image counts; None, all of them the same.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

SRGB_TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
"""Linear light to cone responses (Ottosson 2020)."""

CUBE_ROOT_LMS_TO_OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)

GAMUT_ROUNDS = 12
GAMUT_TOLERANCE = 1e-5
"""In linear light: rounding alone does not make white and the primaries lose chroma."""

RIDGE = 1e-6
"""Oklab variance: a standard deviation of 0.001, less than 8 bits can hold."""
MAX_GAIN = 4.0
"""More than this along any direction of colour amplifies noise rather than colours."""

HISTOGRAM_ROUNDS = 18
HISTOGRAM_BINS = 256
"""As many as 8 bits have levels: finer ones would stretch the steps between levels."""
HISTOGRAM_LEVELS = 127
"""Of red, green and blue: colours that fall together move together, which saves time. The step
from one to the next is below the grain that stays the painting's own.
"""

GRAIN_SIDE = 100
"""Brush texture is finer than a hundredth of a picture's long side."""
GRAIN_VARIANCE = 1e-3
"""Of lightness: below this a neighbourhood is flat, and its texture is not to be amplified."""


def to_oklab(image: Tensor) -> Tensor:
    """(N, 3, H, W) sRGB → lightness in [0, 1], a (green to red) and b (blue to yellow)."""
    light = torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055).pow(2.4))
    cones = _mix(SRGB_TO_LMS, _columns(light)).clamp(min=0)  # (3, N·H·W)
    return _from_columns(_mix(CUBE_ROOT_LMS_TO_OKLAB, cones.pow(1 / 3)), image)


def from_oklab(lab: Tensor) -> Tensor:
    """The inverse of ``to_oklab``, for any lab; sRGB in [0, 1].

    A colour that sRGB lacks keeps its lightness and hue and loses chroma. Clipping its channels
    would be quicker, but turns skies purple and flattens shading.
    """
    colors = _columns(torch.cat([lab[:, :1].clamp(0, 1), lab[:, 1:]], dim=1))  # (3, N·H·W)
    light = _to_light(colors)
    inside = _in_gamut(light)
    if lab.device.type == "cpu":
        light[:, ~inside] = _to_light(_less_chroma(colors[:, ~inside]))
    else:  # to select columns, the host would have to wait for the device
        light = torch.where(inside, light, _to_light(_less_chroma(colors)))
    light = light.clamp(0, 1)
    encoded = torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.pow(1 / 2.4) - 0.055)
    return _from_columns(encoded.clamp(0, 1), lab)


def keep_colors(stylized: Tensor, photo: Tensor) -> Tensor:
    """The lightness of ``stylized`` with the chroma and hue of ``photo``; both of one size."""
    return from_oklab(torch.cat([to_oklab(stylized)[:, :1], to_oklab(photo)[:, 1:]], dim=1))


def match_palette(
    image: Tensor,
    other: Tensor,
    mask: Tensor | None = None,
    other_mask: Tensor | None = None,
    *,
    contrast: float = 0.0,
) -> Tensor:
    """The image with the other's mean and covariance of colours, in Oklab; sizes may differ.

    Of all linear maps that do so this one moves colours least: Monge-Kantorovich (Pitié & Kokaram
    2007). Its gain is limited (``MAX_GAIN``): a grey image gets the other's tint, not its own
    noise as colours. Lightness keeps at least ``contrast`` of the deviation that it had, even if
    the other is flat.
    """
    lab = to_oklab(image)
    recolored = _with_palette(lab, to_oklab(other), mask, other_mask)
    (mean, own), (level, left) = (_spread(each[:, :1], mask) for each in (lab, recolored))
    if left < contrast * own:
        recolored[:, :1] += (contrast - left / own) * (lab[:, :1] - mean)
        room = 2 * contrast * own  # black and white leave none
        recolored[:, :1] += min(max(level, room), 1 - room) - level
    return from_oklab(recolored)


def match_histogram(
    image: Tensor, other: Tensor, mask: Tensor | None = None, other_mask: Tensor | None = None
) -> Tensor:
    """The image with the other's whole distribution of colours, in Oklab; sizes may differ.

    Iterative distribution transfer (Pitié et al. 2007): along the axes of one fixed random
    rotation after another, every colour moves to its own rank among the other's. It starts from
    ``match_palette`` and keeps the grain of that, for ranks turn the grain of flat areas into
    speckle; so the distribution comes close to the other's and is not equal.
    """
    wanted = to_oklab(other)
    start = _with_palette(to_oklab(image), wanted, mask, other_mask)
    before, counts, where = _distinct(image, start, mask)
    after = _distribution_transfer(before, counts, *_distinct(other, wanted, other_mask)[:2])
    change = torch.from_numpy((after - before)[:, where]).to(start).view_as(start)
    return from_oklab(start + _without_grain(change, start[:, :1]))


Matrix = tuple[tuple[float, ...], ...]


def _columns(image: Tensor) -> Tensor:
    """(N, 3, H, W) → (3, N·H·W)"""
    return image.transpose(0, 1).flatten(1)


def _from_columns(columns: Tensor, like: Tensor) -> Tensor:
    """(3, N·H·W) → (N, 3, H, W)"""
    count, channels, height, width = like.shape
    return columns.view(channels, count, height, width).transpose(0, 1)


def _mix(matrix: Matrix, channels: Tensor) -> Tensor:
    return _constant(matrix, channels) @ channels


def _to_light(colors: Tensor) -> Tensor:
    """(3, N) Oklab → linear light, out of [0, 1] where sRGB lacks the colour."""
    to_cones = _constant(CUBE_ROOT_LMS_TO_OKLAB, colors, inverse=True)
    to_srgb = _constant(SRGB_TO_LMS, colors, inverse=True)
    return to_srgb @ (to_cones @ colors).pow(3)


def _constant(matrix: Matrix, like: Tensor, *, inverse: bool = False) -> Tensor:
    """A matrix, or its inverse, in the type and on the device of a tensor."""
    make = _made if like.device.type == "cpu" else _kept
    return make(matrix, like.dtype, like.device, inverse)


def _made(matrix: Matrix, dtype: torch.dtype, device: torch.device, inverse: bool) -> Tensor:
    exact = torch.tensor(matrix, dtype=torch.float64)
    return (exact.inverse() if inverse else exact).to(dtype).to(device)


_kept = cache(_made)
"""Copying a matrix to a GPU would make the host wait for it."""


def _in_gamut(light: Tensor) -> Tensor:
    return ((light >= -GAMUT_TOLERANCE) & (light <= 1 + GAMUT_TOLERANCE)).all(dim=0)


def _less_chroma(colors: Tensor) -> Tensor:
    """(3, N) Oklab, the same colours with as much of their chroma as sRGB has, by bisection."""
    lightness, chroma = colors[:1], colors[1:]
    fits = torch.zeros_like(lightness)
    step = 0.5
    for _ in range(GAMUT_ROUNDS):
        more = fits + step
        inside = _in_gamut(_to_light(torch.cat([lightness, chroma * more])))
        fits = torch.where(inside, more, fits)
        step /= 2
    return torch.cat([lightness, chroma * fits])


def _with_palette(
    lab: Tensor, other: Tensor, mask: Tensor | None, other_mask: Tensor | None
) -> Tensor:
    """(1, 3, H, W) Oklab → recoloured with another's palette, perhaps out of gamut."""
    mean, covariance = _statistics(lab, mask)
    other_mean, other_covariance = _statistics(other, other_mask)
    moved = _monge_kantorovich(covariance, other_covariance) @ (lab.flatten(2)[0].double() - mean)
    return (moved + other_mean).to(lab.dtype).view_as(lab)


def _statistics(lab: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """The mean (3, 1) and the covariance (3, 3), never singular."""
    colors = lab.flatten(2)[0].double()  # (3, H·W)
    shares = torch.ones_like(colors[0]) if mask is None else mask.flatten().double()
    mean = (colors * shares).sum(1, keepdim=True) / shares.sum()
    covariance = torch.cov(colors, correction=0, aweights=shares)
    return mean, covariance + RIDGE * torch.eye(3).to(colors)


def _spread(lightness: Tensor, mask: Tensor | None) -> tuple[float, float]:
    """The mean of (1, 1, H, W), and the deviation, above zero."""
    share = torch.ones_like(lightness) if mask is None else mask
    mean = float((lightness * share).sum() / share.sum())
    variance = float(((lightness - mean).square() * share).sum() / share.sum())
    return mean, (variance + RIDGE) ** 0.5


def _monge_kantorovich(own: Tensor, wanted: Tensor) -> Tensor:
    """The symmetric (3, 3) T with T·own·T = wanted."""
    root = _power(own, 0.5)
    inverse = _power(own, -0.5)
    return _power(inverse @ _power(root @ wanted @ root, 0.5) @ inverse, 1, most=MAX_GAIN)


def _power(symmetric: Tensor, exponent: float, most: float = float("inf")) -> Tensor:
    values, vectors = torch.linalg.eigh(symmetric)
    powers = values.clamp(min=0).pow(exponent).clamp(max=most)
    result: Tensor = (vectors * powers) @ vectors.T
    return result


def _array(lab: Tensor) -> np.ndarray:
    """(1, 3, H, W) → (3, H·W) float64"""
    return lab.flatten(2)[0].double().cpu().numpy()


def _distinct(
    image: Tensor, lab: Tensor, mask: Tensor | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The K colours of ``image``, coarsely, as means of ``lab`` (3, K); how much each counts (K,);
    and which of them a pixel has (H·W,).

    What looks the same has to stay the same: ranks pull apart what differs by rounding alone.
    """
    red, green, blue = np.rint(_array(image) * HISTOGRAM_LEVELS).astype(np.int64)
    codes = (red * 256 + green) * 256 + blue
    _, where, counts = np.unique(codes, return_inverse=True, return_counts=True)
    means = [np.bincount(where, axis) / counts for axis in _array(lab)]
    if mask is not None:
        counts = np.bincount(where, mask.flatten().double().cpu().numpy())
    return np.stack(means), counts, where


def _distribution_transfer(
    own: np.ndarray, counts: np.ndarray, wanted: np.ndarray, wanted_counts: np.ndarray
) -> np.ndarray:
    """(3, K), so many pixels each (K,) → (3, K) distributed as ``wanted`` (3, M) and its (M,).

    In numpy: so many small steps cost more in waking torch's threads than in work.
    """
    noise = np.random.default_rng(0).standard_normal((HISTOGRAM_ROUNDS - 1, 3, 3))
    for rotation in [*np.linalg.qr(noise).Q, np.eye(3)]:  # lightness, a and b fit best: last
        axes = zip(rotation @ own, rotation @ wanted, strict=True)
        moved = [_transport(axis, counts, other, wanted_counts) for axis, other in axes]
        own = rotation.T @ np.stack(moved)
    return own


def _transport(
    own: np.ndarray, counts: np.ndarray, wanted: np.ndarray, wanted_counts: np.ndarray
) -> np.ndarray:
    """(K,) → (K,) in the same order, distributed as ``wanted`` (M,). Through histograms, which
    are quicker than sorting.
    """
    low = min(own.min(), wanted.min())
    width = max((max(own.max(), wanted.max()) - low) / (HISTOGRAM_BINS - 1), 1e-6)
    place, wanted_place = (own - low) / width, (wanted - low) / width  # a bin's centre is whole
    bins = np.arange(HISTOGRAM_BINS)
    goal = np.interp(_ranks(place, counts), _ranks(wanted_place, wanted_counts), bins)  # (bins,)
    moved: np.ndarray = low + width * np.interp(place, bins, goal)
    return moved


def _ranks(place: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The ranks in [0, 1] of the bins' centres (bins,), strictly rising."""
    share = np.bincount(np.rint(place).astype(np.int64), counts, HISTOGRAM_BINS)
    share = share / share.sum() + 1e-9  # no bin empty: ranks have to be inverted
    ranks: np.ndarray = (np.cumsum(share) - share / 2) / share.sum()
    return ranks


def _without_grain(change: Tensor, lightness: Tensor) -> Tensor:
    """Guided filter (He et al. 2010): smooth where ``lightness`` (1, 1, H, W) is, edges kept."""
    radius = max(1, max(lightness.shape[-2:]) // GRAIN_SIDE)
    mean, mean_change = _blur(lightness, radius), _blur(change, radius)
    variance = _blur(lightness**2, radius) - mean**2
    slope = (_blur(lightness * change, radius) - mean * mean_change) / (variance + GRAIN_VARIANCE)
    offset = mean_change - slope * mean
    return _blur(slope, radius) * lightness + _blur(offset, radius)


def _blur(image: Tensor, radius: int) -> Tensor:
    """The mean over a square, rows first, then columns; at the rim over what there is of it."""
    side = 2 * radius + 1
    rows = functional.avg_pool2d(image, (1, side), 1, (0, radius), count_include_pad=False)
    return functional.avg_pool2d(rows, (side, 1), 1, (radius, 0), count_include_pad=False)
