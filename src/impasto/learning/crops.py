"""Crops of photos with which a network is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.images.sizes import resize

MARGIN = 4
"""Rows and columns around a crop, from which a shifted view takes its pixels."""
MIN_SHARE = 0.45
"""Smallest side of a crop, relative to the short side of the photo."""
JITTER = 0.15
"""Standard deviation of the logarithms of exposure and gamma."""
COLOUR_JITTER = 0.05
"""The same for each colour."""
KEPT = 128
"""Crops whose features are kept. Half of the steps of the beginning show a new crop."""
NEW_EVERY = 6
"""Steps after which a new crop replaces an old one, once there are ``KEPT``."""


@dataclass(frozen=True)
class Crop:
    """A crop, and the features that its picture should keep.

    Attributes:
        image: The pixels with a margin of ``MARGIN`` on each side, (1, 3, S, S).
        targets: The features of the image without its margin, by layer.
    """

    image: Tensor
    targets: Mapping[str, Tensor]

    @property
    def inner(self) -> Tensor:
        """The pixels without the margin."""
        return self.shifted(0, 0)

    def shifted(self, down: int, right: int) -> Tensor:
        """Return the pixels without the margin, seen from ``down`` and ``right`` px further."""
        side = self.image.shape[-1] - 2 * MARGIN
        top, left = MARGIN + down, MARGIN + right
        return self.image[..., top : top + side, left : left + side].contiguous()


def random_crop(photos: Sequence[Tensor], side: int, generator: torch.Generator) -> Tensor:
    """Return a random crop of a random photo, (1, 3, S, S) with the margin, in [0, 1].

    It is flipped at random, and its exposure, contrast and colours vary.

    Args:
        photos: The photos, (3, H, W), uint8.
        side: The side without the margin, px.
        generator: The source of the random numbers.
    """

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    def integer(stop: int) -> int:
        return int(torch.randint(stop, (), generator=generator))

    def factor(deviation: float, *size: int) -> Tensor:
        return torch.exp(deviation * torch.randn(*size, generator=generator))

    photo = photos[integer(len(photos))]
    height, width = photo.shape[1:]
    short = min(height, width)
    covered = round(uniform(MIN_SHARE, 1) * short)
    top, left = integer(height - covered + 1), integer(width - covered + 1)
    part = photo[None, :, top : top + covered, left : left + covered].float().div(255)
    crop = resize(part, side + 2 * MARGIN, side + 2 * MARGIN, "antialias").clamp(0, 1)
    if integer(2):
        crop = crop.flip(3)
    gamma = math.exp(JITTER * float(torch.randn((), generator=generator)))
    exposure = factor(JITTER, 1, 1, 1, 1) * factor(COLOUR_JITTER, 1, 3, 1, 1)
    return (crop**gamma * exposure).clamp(0, 1).contiguous()


def crops_until(draw: int) -> int:
    """Return how many different crops have been shown once ``draw`` crops have been drawn."""
    return 1 + min(draw // 2, KEPT) + draw // NEW_EVERY


def crop_number(draw: int, seed: int) -> int:
    """Return which crop is shown at a draw: a new one, or a random one of the last ``KEPT``."""
    count = crops_until(draw)
    if draw == 0 or count > crops_until(draw - 1):
        return count - 1
    generator = torch.Generator().manual_seed(seed * 1_000_003 + draw)
    return count - 1 - int(torch.randint(min(count, KEPT), (), generator=generator))
