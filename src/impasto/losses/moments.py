"""Style: the mean and covariance of a layer's features, and everything that is computed from them.

All these losses see the features only through small statistics, so that any size is affordable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.losses.gram import style_layer_loss
from impasto.losses.layers import Form, Steady, exact, rows_of

CHUNKS = 16
"""In how many parts a bfloat16 product is summed up, so that the parts add up in float32."""


@dataclass(frozen=True)
class Moments:
    """Of the features F at all locations: ``gram`` (C, C), the mean of F Fᵀ; ``mean`` (C,)."""

    gram: Tensor
    mean: Tensor

    @property
    def covariance(self) -> Tensor:
        """(C, C)."""
        return self.gram - torch.outer(self.mean, self.mean)

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """The moments of features (1, C, H, W)."""
        flat = features[0].flatten(1)
        return cls(flat @ flat.T / flat.shape[1], flat.mean(1))

    @classmethod
    def blend(cls, parts: Sequence[tuple[Moments, float]]) -> Moments:
        """The moments of a mixture; the weights sum to 1."""
        grams = [weight * moments.gram for moments, weight in parts]
        means = [weight * moments.mean for moments, weight in parts]
        return cls(torch.stack(grams).sum(0), torch.stack(means).sum(0))


Distance = Callable[[Moments], Tensor]
"""From a target: how far other moments are, a scalar that autograd can differentiate."""


def gram_distance(target: Moments, form: Form) -> Distance:
    """Between Gram matrices: see ``gram.style_layer_loss``."""
    return lambda moments: style_layer_loss(moments.gram, target.gram, form)


def moments_distance(target: Moments) -> Distance:
    """Between covariances C, T and means μ, ν, each relative to the target's:

        ‖C − T‖² / ‖T‖² + ‖μ − ν‖² / ‖ν‖²

    Matching both is matching batch normalisation statistics with their correlations (Li et al.
    2017, "Demystifying neural style transfer"); a Gram matrix mixes the two.
    """
    wanted, ridge = target.covariance, torch.finfo(target.gram.dtype).tiny
    size, mean_size = wanted.square().sum() + ridge, target.mean.square().sum() + ridge

    def distance(moments: Moments) -> Tensor:
        difference = (moments.covariance - wanted).square().sum() / size
        return difference + (moments.mean - target.mean).square().sum() / mean_size

    return distance


class MomentsTap(Steady):
    """Gathers the moments of a layer, in the region that ``guide`` (h, w) says or everywhere, and
    pulls them to where ``distance`` is least. Without a distance it only gathers.
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
        """What was gathered so far."""
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
        # Features never see autograd, but what is small does: losses are what their functions say.
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
        """The guide of these rows, (1, h·w)."""
        assert self.guide is not None
        return rows_of(self.guide, features, top).reshape(1, -1).to(features.dtype)


def flattened(features: Tensor) -> Tensor:
    """(1, C, H, W) → (C, H·W), a view where the features are laid out densely."""
    return features[0].flatten(1)


def _products(a: Tensor, b: Tensor) -> Tensor:
    """A Bᵀ of (C, L) each, in float32 or better, without a float32 copy of them."""
    if a.dtype != torch.bfloat16:
        return a @ b.T
    if a.is_cuda:
        return torch.mm(a, b.T, out_dtype=torch.float32)
    parts = zip(a.tensor_split(CHUNKS, dim=1), b.tensor_split(CHUNKS, dim=1), strict=True)
    return sum(
        ((left @ right.T).float() for left, right in parts),
        a.new_zeros((), dtype=torch.float32),
    )
