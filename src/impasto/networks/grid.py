"""The grid that the feed-forward networks print on flat areas, and its removal.

The networks halve an image twice and double it twice by repeating pixels, so a flat area becomes a
pattern that repeats every four pixels: with the built-in style starry-swirl, up to 200 levels of
255 on a grey image. Only networks of another kind can avoid it. This module measures the pattern
where it is the same over some distance, and subtracts it. Within about 20 px of painted strokes,
some of it stays.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PERIOD = 4
"""Period of the pattern, px."""
WINDOW = 9
"""Repetitions in each direction over which the pattern is averaged."""
HALO = PERIOD * (WINDOW // 2 + 1)
"""Rows beyond a band that its pattern depends on."""
BAND_ROWS = 512
SAMPLE_PX, SAMPLES = 8, 4
"""Blocks of 32×32 px, of which every eighth pixel in each direction is looked at."""
FLAT_RANGE = 2 / 255
MIN_FLAT_SHARE = 0.01
"""An image has flat areas if so many of its blocks vary by no more than ``FLAT_RANGE``."""


def has_flat_areas(image: Tensor) -> bool:
    """Return whether the pattern would be seen in the painting of an image (N, 3, H, W)."""
    samples = image[..., ::SAMPLE_PX, ::SAMPLE_PX].contiguous()
    if min(samples.shape[-2:]) < SAMPLES:
        return False
    highest = functional.max_pool2d(samples, SAMPLES)
    lowest = -functional.max_pool2d(-samples, SAMPLES)
    flat = (highest - lowest).amax(dim=1) <= FLAT_RANGE
    return bool(flat.float().mean() >= MIN_FLAT_SHARE)


def remove_grid(image: Tensor) -> None:
    """Subtract the pattern from a painting (N, 3, H, W) in [0, 1], in place and in bands."""
    height = image.shape[-2]
    above: Tensor | None = None  # of the band before, as it was
    for top in range(0, height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, height)
        band = image[..., top : min(bottom + HALO, height), :]
        band = band if above is None else torch.cat([above, band], dim=2)
        margin = 0 if above is None else HALO
        above = image[..., bottom - HALO : bottom, :].clone()
        pattern = _pattern(band)[..., margin : margin + bottom - top, :]
        image[..., top:bottom, :].sub_(pattern).clamp_(0, 1)


def _pattern(image: Tensor) -> Tensor:
    """Return the part of (N, 3, H, W) that repeats.

    At each of the 4 × 4 places of a period it is the mean of the neighbouring periods, after
    everything coarser has been taken out. Where the periods differ, because something is painted
    there, the mean is shrunk as a Wiener filter does: by the variance between them.
    """
    height, width = image.shape[-2:]
    beyond = (0, -width % PERIOD, 0, -height % PERIOD)
    fine = functional.pad(image - _smooth(image), beyond, "replicate")
    places = functional.pixel_unshuffle(fine, PERIOD)  # (N, 3 * 16, H / 4, W / 4)
    mean = _window_mean(places)
    variance = (_window_mean(places.square()) - mean.square()).clamp_(min=0)
    signal = mean.square().sum(dim=1, keepdim=True)  # (N, 1, H / 4, W / 4)
    gain = signal / (signal + variance.sum(dim=1, keepdim=True) + 1e-9)
    return functional.pixel_shuffle(mean * gain, PERIOD)[..., :height, :width]


def _smooth(image: Tensor) -> Tensor:
    """Average with the weights 1/2, 1, 1, 1, 1/2, which have no response to periods of 4 and 2."""
    padded = functional.pad(image, (2, 2, 2, 2), "replicate")
    return functional.avg_pool2d(functional.avg_pool2d(padded, PERIOD, stride=1), 2, stride=1)


def _window_mean(places: Tensor) -> Tensor:
    reach = WINDOW // 2
    padded = functional.pad(places, (reach, reach, reach, reach), "replicate")
    across = functional.avg_pool2d(padded, (1, WINDOW), stride=1)
    return functional.avg_pool2d(across, (WINDOW, 1), stride=1)
