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
        coefficients: The quadratic map of the change of colour, (10, 3).
        deviation: The root mean square difference of the artwork from the map.
    """

    coefficients: Tensor
    deviation: float

    def colours(self, image: Tensor) -> Tensor:
        """Return the expected mean colours of the picture of a photo (1, 3, H, W), pooled."""
        pooled = cells(image)
        return _mapped(pooled, self.coefficients.to(pooled))

    def loss(self, picture: Tensor, photo: Tensor) -> Tensor:
        """Return the mean absolute difference of a picture, in units of the map's deviation.

        So a map that explains the pair well counts for more.
        """
        difference = cells(picture) - self.colours(photo)
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
    terms = _terms(photo)  # (n, 10)
    weighted = terms * trust
    ridge = RIDGE * trust.sum() * torch.eye(terms.shape[1], dtype=terms.dtype)
    change = torch.linalg.solve(weighted.T @ terms + ridge, weighted.T @ (artwork - photo))
    left = (artwork - photo - terms @ change).square().mean(1, keepdim=True)
    deviation = float(((left * trust).sum() / trust.sum()).sqrt())
    return ToneMap(change.float(), max(MIN_DEVIATION, deviation))


def _mapped(image: Tensor, coefficients: Tensor) -> Tensor:
    """Return an image (1, 3, h, w) with its colours mapped."""
    colours = image[0].flatten(1).T  # (n, 3)
    mapped = (colours + _terms(colours) @ coefficients).clamp(0, 1)
    return mapped.T.reshape(image.shape)


def _terms(colours: Tensor) -> Tensor:
    """Return the terms of a quadratic function of colours (n, 3), (n, 10)."""
    r, g, b = colours.T
    products = (torch.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b)
    return torch.stack(products, dim=1)
