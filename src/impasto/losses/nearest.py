"""A style loss of nearest features (Kolkin et al. 2022, NNST; Zhang et al. 2022, ARF)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from impasto.losses.layers import Steady, exact, rows_of
from impasto.losses.moments import flattened

CHUNK = 4096
"""Number of locations that are compared with the samples at a time, which limits the memory."""


class NearestTap(Steady):
    """The mean cosine distance, in [0, 2], from the features of a layer to the nearest samples.

    It is the loss of Zhang et al. 2022, "ARF: artistic radiance fields", section 4.

    Args:
        samples: The features of each style, (C, n).
        guide: How much each location counts, (h, w), summing to 1. None: all the same.
    """

    def __init__(self, samples: Sequence[Tensor], guide: Tensor | None = None) -> None:
        self.samples = functional.normalize(torch.cat(list(samples), dim=1), dim=0)  # (C, n)
        self.guide = guide
        self.weight: float | Tensor = 1.0
        self.start()

    def start(self) -> None:
        self.nearest: list[Tensor] = []  # (h, W) each: indices of samples
        self.sum = torch.zeros((), device=self.samples.device, dtype=exact(self.samples))
        self.locations = 0

    def look(self, features: Tensor, top: int) -> None:
        flat = flattened(features)
        unit = functional.normalize(flat, dim=0)
        parts = [(self.samples.T @ part).max(dim=0) for part in torch.split(unit, CHUNK, dim=1)]
        distances = 1 - torch.cat([part.values for part in parts]).to(self.sum)
        if self.guide is not None:
            distances *= rows_of(self.guide, features, top).flatten()
        self.sum += distances.sum()
        self.locations += flat.shape[1]
        nearest = torch.cat([part.indices for part in parts])
        self.nearest.append(nearest.view(features.shape[2:]))

    def loss(self) -> Tensor:
        self.indices = torch.cat(self.nearest)  # (H, W)
        return self.sum if self.guide is not None else self.sum / self.locations

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        # d(1 − f·s/|f|)/df = ((f̂·s) f̂ − s) / |f|
        flat = flattened(features)
        length = flat.norm(dim=0, keepdim=True).clamp(min=1e-12)
        unit = flat / length
        nearest = self.samples[:, rows_of(self.indices, features, top).flatten()]
        share: Tensor | float = self.weight / self.locations
        if self.guide is not None:
            share = self.weight * rows_of(self.guide, features, top).reshape(1, -1).to(flat)
        pulled = ((unit * nearest).sum(0, keepdim=True) * unit - nearest) * (share / length)
        flattened(gradient).add_(pulled)
