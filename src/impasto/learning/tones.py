"""The relation between the mean colours of a photo and those of its artwork.

A pair contains only some colours. For the others, the artist's choice is extrapolated by a colour
map that is fitted to the pair. The map is quadratic in RGB; regularisation keeps it close to the
identity for colours that the pair doesn't contain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from impasto.networks import colour_map

CELL_PX = 8
"""Side of the squares whose mean colours are compared: larger than most strokes."""
RIDGE = 1e-4
"""Weight of the ridge penalty, relative to the sum of the trust."""
MIN_DEVIATION = 0.02
"""Lower limit of ``ToneMap.deviation``, which is a divisor in its loss."""


@dataclass(frozen=True, eq=False)
class ToneMap:
    """A map from the mean colours of a photo to those of its artwork.

    Attributes:
        colours: The colour map (networks/colour_map.py), (1, 30).
        deviation: The root mean square difference of the artwork from the map, RGB in [0, 1].
    """

    colours: Tensor
    deviation: float

    def loss(self, picture: Tensor, photo: Tensor) -> Tensor:
        """Return the mean absolute difference between a picture and the mapped photo.

        It is divided by the deviation, so a map that fits its pair well has more weight.

        Args:
            picture: The stylized image, (1, 3, H, W), in [0, 1].
            photo: Its content image, (1, 3, H, W), in [0, 1].
        """
        pooled = cells(photo)
        expected = colour_map.mapped(pooled, self.colours)
        difference = cells(picture) - expected
        return difference.abs().mean() / self.deviation


def cells(image: Tensor) -> Tensor:
    """Return the means of squares of ``CELL_PX``: (1, C, H, W) → (1, C, H / 8, W / 8)."""
    return functional.avg_pool2d(image, CELL_PX)


def fit_tones(triples: Sequence[tuple[Tensor, Tensor, Tensor]]) -> ToneMap:
    """Return the colour map that fits pairs best, by weighted ridge regression.

    Args:
        triples: For each pair the photo and the artwork, (1, 3, H, W), and the trust, (1, 1, H, W),
            all in [0, 1].
    """
    flat = [tuple(cells(image)[0].flatten(1).T.double() for image in triple) for triple in triples]
    photo, artwork, trust = (torch.cat(parts) for parts in zip(*flat, strict=True))  # (n, C)
    terms = colour_map.terms(photo)  # (n, 10)
    weighted = terms * trust
    ridge = RIDGE * trust.sum() * torch.eye(terms.shape[1], dtype=terms.dtype)
    change = torch.linalg.solve(weighted.T @ terms + ridge, weighted.T @ (artwork - photo))
    residual = (artwork - photo - terms @ change).square().mean(1, keepdim=True)
    deviation = float(((residual * trust).sum() / trust.sum()).sqrt())
    return ToneMap(change.T.reshape(1, -1).float(), max(MIN_DEVIATION, deviation))
