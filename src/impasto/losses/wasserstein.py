"""Style as optimal transport: how far features have to move to be distributed as the painting's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from impasto.losses.layers import exact, inside, rows_of
from impasto.losses.moments import Distance, Moments, flattened

KEPT_VARIANCE = 0.999
"""Share of the style's variance that its principal components have to hold."""
MAX_COMPONENTS = 128
RIDGE = 1e-6
"""Added to the spectrum under the root, relative to the target's mean: its slope is infinite where
there are fewer locations than channels."""
DIRECTIONS = 32
"""One-dimensional projections that a distribution is compared in."""


def gaussian_distance(target: Moments) -> Distance:
    """The squared 2-Wasserstein distance between two Gaussians with the features' moments (Dowson &
    Landau 1982), relative to the target's second moment:

        (‖μ − ν‖² + tr C + tr T − 2 tr (T^½ C T^½)^½) / (‖ν‖² + tr T)

    With T = R Rᵀ the last trace is tr (Rᵀ C R)^½, and its derivative with respect to C is
    ½ R (Rᵀ C R)^−½ Rᵀ: nothing is propagated back through a matrix square root. R holds the
    target's first principal components, at most 128, so that the square root is a small one.
    """
    covariance = target.covariance.double()
    variances, axes = torch.linalg.eigh(covariance.cpu())
    variances, axes = variances.flip(0).clamp(min=0), axes.flip(1)  # the largest first
    held = variances.cumsum(0) / variances.sum().clamp(min=1e-30)
    count = min(MAX_COMPONENTS, int((held < KEPT_VARIANCE).sum()) + 1)
    root = (axes[:, :count] * variances[:count].sqrt()).to(target.gram)  # (C, k)
    at_target = variances[:count].square()  # the spectrum of Rᵀ T R
    ridge = float(RIDGE * at_target.mean()) + torch.finfo(torch.float32).tiny
    # What makes it zero at the target, in spite of the ridge and the components left out.
    constant = (2 * (at_target + ridge).sqrt().sum() - variances.sum()).to(target.gram)
    size = (target.mean.square().sum() + variances.sum().to(target.gram)).clamp(min=1e-12)

    def distance(moments: Moments) -> Tensor:
        covariance = moments.covariance
        mean = (moments.mean - target.mean).square().sum()
        shared: Tensor = _RootTrace.apply(covariance, root, ridge)  # type: ignore[no-untyped-call]
        apart = mean + covariance.diagonal().sum() + constant - 2 * shared
        relative: Tensor = apart / size
        return relative

    return distance


class _RootTrace(torch.autograd.Function):
    """tr (Rᵀ C R + ridge)^½ for a covariance C (C, C) and R (C, k)."""

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, root: Tensor, ridge: float) -> Tensor:
        inner = root.T @ covariance @ root  # (k, k)
        # On the CPU in float64: small, and quicker there than on a GPU.
        values, vectors = torch.linalg.eigh(((inner + inner.T) / 2).cpu().double())
        roots = (values.clamp(min=0) + ridge).sqrt()
        ctx.save_for_backward(root, ((vectors / roots) @ vectors.T).to(root))
        trace: Tensor = roots.sum().to(covariance)
        return trace

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        root, inverse = ctx.saved_tensors
        return slopes[0] / 2 * (root @ inverse @ root.T), None, None


def directions(channels: int, like: Tensor) -> Tensor:
    """Fixed random directions, orthogonal as far as there are channels, (n, C)."""
    generator = torch.Generator().manual_seed(channels)
    count = min(DIRECTIONS, channels)
    random = torch.randn(channels, count, generator=generator, dtype=torch.float64)
    axes: Tensor = torch.linalg.qr(random).Q.T.to(like)
    return axes


def quantiles(ordered: Tensor, count: int) -> Tensor:
    """``count`` evenly spaced quantiles (n, count) of samples in ascending order (n, L)."""
    if ordered.shape[1] == count:
        return ordered
    return functional.interpolate(ordered[None], size=count, mode="linear")[0]


class SlicedTap:
    """Pulls the distribution of a layer's features to that of the style's: the sliced 2-Wasserstein
    distance (Heitz et al. 2021, "A sliced Wasserstein loss for neural texture synthesis"),
    relative to the target's mean square. Along a direction, transport is sorting.

    ``targets``: (C, n) of the style's features and a weight each, which sum to 1; several styles
    are blended by their quantiles. In a region, the locations that belong to it by half or more.
    """

    def __init__(
        self, targets: Sequence[tuple[Tensor, float]], guide: Tensor | None = None
    ) -> None:
        first = targets[0][0]
        self.directions = directions(first.shape[0], first)
        self.targets = [
            ((self.directions @ samples).sort(dim=1).values.to(exact(samples)), weight)
            for samples, weight in targets
        ]
        mean_square = sum(w * float(t.square().mean()) for t, w in self.targets)
        self.size = max(float(mean_square), 1e-12)
        self.inside = None if guide is None else inside(guide)
        self.weight = 1.0
        self.start()

    def start(self) -> None:
        self.rows: list[Tensor] = []  # (n, h, W) each

    def look(self, features: Tensor, top: int) -> None:
        projected = self.directions.to(features) @ flattened(features)
        self.rows.append(projected.view(-1, *features.shape[2:]).to(self.targets[0][0]))

    def loss(self) -> Tensor:
        projections = torch.cat(self.rows, dim=1)  # (n, H, W)
        self.rows = []
        flat = projections.flatten(1) if self.inside is None else projections[:, self.inside]
        ordered, order = flat.sort(dim=1)
        target = torch.stack(
            [weight * quantiles(samples, flat.shape[1]) for samples, weight in self.targets]
        ).sum(0)
        difference = ordered - target
        slopes = torch.zeros_like(flat).scatter_(1, order, difference * (2 / self._count(flat)))
        if self.inside is None:
            self.slopes = slopes.view_as(projections)
        else:
            self.slopes = torch.zeros_like(projections)
            self.slopes[:, self.inside] = slopes
        return difference.square().sum() / self._count(flat)

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        slopes = rows_of(self.slopes, features, top).flatten(1).to(features.dtype)
        pulled = (self.weight * self.directions).to(features.dtype).T @ slopes
        flattened(gradient).add_(pulled)

    def _count(self, flat: Tensor) -> float:
        return flat.numel() * self.size
