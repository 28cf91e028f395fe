"""The mean colours that an artist gives to the colours of a photo.

A pair shows only some colours. What the artist makes of others is extrapolated by a map of colours
that is fitted to the pair: quadratic in RGB, and closest to the identity where nothing is known.
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
"""Weight of the identity, relative to the mean weight of the pair."""
MIN_DEVIATION = 0.02
"""Smallest deviation of the artwork that is assumed."""


@dataclass(frozen=True, eq=False)
class ToneMap:
    """A map from mean colours of a photo to those of an artwork.

    Attributes:
        colours: The map (networks/colour_map.py), (1, 30).
        deviation: The root mean square difference of the artwork from the map.
    """

    colours: Tensor
    deviation: float

    def loss(self, picture: Tensor, photo: Tensor) -> Tensor:
        """Return the mean absolute difference of a picture, in units of the map's deviation.

        So a map that explains the pair well counts for more.
        """
        pooled = cells(photo)
        expected = colour_map.mapped(pooled, self.colours)
        difference = cells(picture) - expected
        return difference.abs().mean() / self.deviation


def cells(image: Tensor) -> Tensor:
    """Return the mean colours of squares of an image, (1, C, H, W) → (1, C, h, w)."""
    return functional.avg_pool2d(image, CELL_PX)


def fit_tones(triples: Sequence[tuple[Tensor, Tensor, Tensor]]) -> ToneMap:
    """Return the map of colours that fits pairs best, by weighted ridge regression.

    Args:
        triples: Photos and artworks, (1, 3, H, W), and their trust, (1, 1, H, W), all in [0, 1].
    """
    flat = [tuple(cells(image)[0].flatten(1).T.double() for image in triple) for triple in triples]
    photo, artwork, trust = (torch.cat(parts) for parts in zip(*flat, strict=True))  # (n, C)
    terms = colour_map.terms(photo)  # (n, 10)
    weighted = terms * trust
    ridge = RIDGE * trust.sum() * torch.eye(terms.shape[1], dtype=terms.dtype)
    change = torch.linalg.solve(weighted.T @ terms + ridge, weighted.T @ (artwork - photo))
    left = (artwork - photo - terms @ change).square().mean(1, keepdim=True)
    deviation = float(((left * trust).sum() / trust.sum()).sqrt())
    return ToneMap(change.T.reshape(1, -1).float(), max(MIN_DEVIATION, deviation))
