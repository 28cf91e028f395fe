"""Crops of photos with which a network is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.images.sizes import resize

MARGIN = 4
"""Rows and columns on each side of a crop, so that a view of it can be shifted."""
MIN_CROP_SHARE = 0.45
"""Smallest side of a crop, relative to the short side of the photo."""
EXPOSURE_DEVIATION = 0.15
"""Standard deviation of the logarithms of exposure and gamma."""
COLOUR_DEVIATION = 0.05
"""Standard deviation of the logarithm of each colour channel's gain."""
MAX_KEPT_CROPS = 128
"""Largest number of crops whose features are kept. Until then, every second draw is a new crop."""
NEW_CROP_INTERVAL = 6
"""Draws after which a new crop replaces an old one, once there are ``MAX_KEPT_CROPS``."""


@dataclass(frozen=True)
class Crop:
    """A crop of a photo, and the content features that its picture is compared with.

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
        """Return the pixels without the margin, of a view shifted by ``down`` and ``right`` px."""
        side = self.image.shape[-1] - 2 * MARGIN
        top, left = MARGIN + down, MARGIN + right
        return self.image[..., top : top + side, left : left + side].contiguous()


def generator_of(seed: int, number: int) -> torch.Generator:
    """Return the source of the random numbers of one draw or crop of a training.

    The prime keeps trainings with neighbouring seeds from sharing their generators.
    """
    return torch.Generator().manual_seed(seed * 1_000_003 + number)


def random_crop(photos: Sequence[Tensor], side: int, generator: torch.Generator) -> Tensor:
    """Return a random crop of a random photo, (1, 3, S, S) with the margin, in [0, 1].

    The crop is flipped at random, and its exposure, gamma and colour gains vary at random.

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
    covered = round(uniform(MIN_CROP_SHARE, 1) * short)
    top, left = integer(height - covered + 1), integer(width - covered + 1)
    part = photo[None, :, top : top + covered, left : left + covered].float().div(255)
    crop = resize(part, side + 2 * MARGIN, side + 2 * MARGIN, "antialias").clamp(0, 1)
    if integer(2):
        crop = crop.flip(3)
    gamma = math.exp(EXPOSURE_DEVIATION * float(torch.randn((), generator=generator)))
    exposure = factor(EXPOSURE_DEVIATION, 1, 1, 1, 1) * factor(COLOUR_DEVIATION, 1, 3, 1, 1)
    return (crop**gamma * exposure).clamp(0, 1).contiguous()


def crops_until(draw: int) -> int:
    """Return the number of different crops that are used up to and including a draw."""
    return 1 + min(draw // 2, MAX_KEPT_CROPS) + draw // NEW_CROP_INTERVAL


def crop_number(draw: int, seed: int) -> int:
    """Return the number of the crop that is used at a draw.

    It is a new crop, or a random one of the last ``MAX_KEPT_CROPS``.

    Args:
        draw: The number of the draw, from 0.
        seed: The seed of the training.
    """
    count = crops_until(draw)
    if draw == 0 or count > crops_until(draw - 1):
        return count - 1
    generator = generator_of(seed, draw)
    return count - 1 - int(torch.randint(min(count, MAX_KEPT_CROPS), (), generator=generator))
