"""Style losses of moments: the mean and covariance of a layer's features.

These losses see the features only through small statistics, so their cost for a large image is low.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.losses.gram import style_layer_loss
from impasto.losses.layers import Form, Steady, exact, rows_of

CHUNKS = 16
"""Number of parts of a bfloat16 product. The parts are summed in float32, which limits rounding."""


@dataclass(frozen=True)
class Moments:
    """The moments of the features F at all locations.

    Attributes:
        gram: The mean of F Fᵀ, (C, C).
        mean: The mean of F, (C,).
    """

    gram: Tensor
    mean: Tensor

    @property
    def covariance(self) -> Tensor:
        """The covariance, (C, C)."""
        return self.gram - torch.outer(self.mean, self.mean)

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Return the moments of features (1, C, H, W)."""
        flat = features[0].flatten(1)
        return cls(flat @ flat.T / flat.shape[1], flat.mean(1))

    @classmethod
    def blend(cls, parts: Sequence[tuple[Moments, float]]) -> Moments:
        """Return the moments of a mixture; the weights sum to 1."""
        grams = [weight * moments.gram for moments, weight in parts]
        means = [weight * moments.mean for moments, weight in parts]
        return cls(torch.stack(grams).sum(0), torch.stack(means).sum(0))


Distance = Callable[[Moments], Tensor]
"""The distance of moments to a target, a scalar that autograd can differentiate."""


def gram_distance(target: Moments, form: Form) -> Distance:
    """Return the distance to the target's Gram matrix, see ``gram.style_layer_loss``."""
    return lambda moments: style_layer_loss(moments.gram, target.gram, form)


def moments_distance(target: Moments) -> Distance:
    """Return the distance to the target's covariance T and mean ν, each relative to the target.

        ‖C − T‖² / ‖T‖² + ‖μ − ν‖² / ‖ν‖²

    Matching both amounts to matching batch normalisation statistics with their correlations (Li et
    al. 2017, "Demystifying neural style transfer"). A Gram matrix mixes the two.
    """
    covariance, tiny = target.covariance, torch.finfo(target.gram.dtype).tiny
    size, mean_size = covariance.square().sum() + tiny, target.mean.square().sum() + tiny

    def distance(moments: Moments) -> Tensor:
        difference = (moments.covariance - covariance).square().sum() / size
        return difference + (moments.mean - target.mean).square().sum() / mean_size

    return distance


class MomentsTap(Steady):
    """The loss of the moments of a layer.

    Args:
        distance: The loss as a function of the moments. Without it the tap only gathers moments.
        guide: How much each location counts, (h, w), summing to 1. None: all the same.
    """

    def __init__(self, distance: Distance | None = None, guide: Tensor | None = None) -> None:
        self.distance, self.guide = distance, guide
        self.weight: float | Tensor = 1.0
        self.start()

    def start(self) -> None:
        self.products: Tensor | None = None  # (C, C), Σ g F Fᵀ
        self.sums: Tensor | None = None  # (C,), Σ g F
        self.locations = 0

    @property
    def moments(self) -> Moments:
        """The moments gathered so far."""
        assert self.products is not None
        assert self.sums is not None
        count = self.locations if self.guide is None else 1.0
        return Moments(self.products / count, self.sums / count)

    def look(self, features: Tensor, top: int) -> None:
        flat = flattened(features)
        if self.guide is None:
            products, sums = _products(flat, flat), flat.sum(1, dtype=exact(flat))
        else:
            guided = flat * self._guide(features, top)
            products, sums = _products(guided, flat), guided.sum(1, dtype=exact(flat))
        self.products = products if self.products is None else self.products + products
        self.sums = sums if self.sums is None else self.sums + sums
        self.locations += flat.shape[1]

    def loss(self) -> Tensor:
        # Autograd differentiates the small statistics, but never sees the features.
        assert self.distance is not None
        with torch.enable_grad():
            moments = self.moments
            leaves = [moments.gram.requires_grad_(), moments.mean.requires_grad_()]
            loss = self.distance(moments)
            slope, self.mean_slope = torch.autograd.grad(loss, leaves, allow_unused=True)
        # dE/dF = (S + Sᵀ) F + s at each location, for the slopes S = dE/dG and s = dE/dμ.
        self.slope = slope + slope.T
        return loss.detach()

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        flat, total = flattened(features), flattened(gradient)
        slope = (self.weight * self.slope).to(flat.dtype)
        mean_slope = None
        if self.mean_slope is not None:
            mean_slope = (self.weight * self.mean_slope).to(flat.dtype)[:, None]
        if self.guide is not None:
            pulled = slope @ flat if mean_slope is None else torch.addmm(mean_slope, slope, flat)
            total.addcmul_(pulled, self._guide(features, top))
            return
        if features.is_contiguous(memory_format=torch.channels_last):
            total.T.addmm_(flat.T, slope, alpha=1 / self.locations)
        else:
            total.addmm_(slope, flat, alpha=1 / self.locations)
        if mean_slope is not None:
            total.add_(mean_slope, alpha=1 / self.locations)

    def _guide(self, features: Tensor, top: int) -> Tensor:
        """Return the guide of these rows, (1, h·w)."""
        assert self.guide is not None
        return rows_of(self.guide, features, top).reshape(1, -1).to(features.dtype)


def flattened(features: Tensor) -> Tensor:
    """Return features (1, C, H, W) as (C, H·W), a view if they are dense in memory."""
    return features[0].flatten(1)


def _products(a: Tensor, b: Tensor) -> Tensor:
    """Return A Bᵀ for matrices (C, L), in float32 or better, without float32 copies of them."""
    if a.dtype != torch.bfloat16:
        return a @ b.T
    if a.is_cuda:
        return torch.mm(a, b.T, out_dtype=torch.float32)
    parts = zip(a.tensor_split(CHUNKS, dim=1), b.tensor_split(CHUNKS, dim=1), strict=True)
    return sum(
        ((left @ right.T).float() for left, right in parts),
        a.new_zeros((), dtype=torch.float32),
    )
