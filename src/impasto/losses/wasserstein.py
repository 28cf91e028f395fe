"""Style as optimal transport: how far features have to move to be distributed as the painting's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from impasto.losses.layers import Steady, exact, inside, rows_of
from impasto.losses.moments import Distance, Moments, flattened

KEPT_VARIANCE = 0.999
"""Share of the style's variance that its principal components have to hold."""
MAX_COMPONENTS = 128
RIDGE = 1e-6
"""Added to the spectrum under the root, relative to the target's mean: its slope is infinite where
there are fewer locations than channels."""
ROUNDING = 1e-6
"""Bound for the rounding error of a covariance's eigenvalues in float32, relative to the trace of
the second moments; far below every eigenvalue that counts."""
ITERATIONS = 30
"""Enough for eigenvalues from 1 down to 1e-9: each multiplies a small one's root by 1.5, and the
last five double the number of correct digits."""
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
    kept = variances[:count]
    second_moment = target.mean.square().sum() + target.covariance.diagonal().sum()
    at_target = kept * (kept + ROUNDING * second_moment.cpu())  # the spectrum of Rᵀ T R
    ridge = float(RIDGE * at_target.mean()) + torch.finfo(torch.float32).tiny
    # What makes it zero at the target, in spite of the ridge and the components left out.
    constant = (2 * (at_target + ridge).sqrt().sum() - variances.sum()).to(target.gram)
    size = (target.mean.square().sum() + variances.sum().to(target.gram)).clamp(min=1e-12)

    def distance(moments: Moments) -> Tensor:
        mean = (moments.mean - target.mean).square().sum()
        trace = moments.covariance.diagonal().sum()
        shared: Tensor = _RootTrace.apply(moments.gram, moments.mean, root, ridge)  # type: ignore[no-untyped-call]
        relative: Tensor = (mean + trace + constant - 2 * shared) / size
        return relative

    return distance


class _RootTrace(torch.autograd.Function):
    """tr (Rᵀ C R + ridge)^½ for the covariance C of second moments (C, C) and a mean (C,), and
    R (C, k).

    The difference of two large numbers, C may have negative eigenvalues by rounding. A multiple of
    the identity that is larger than the rounding error is added to it.
    """

    @staticmethod
    def forward(ctx: Any, gram: Tensor, mean: Tensor, root: Tensor, ridge: float) -> Tensor:
        # Apple GPUs have neither float64 nor eigenvalues.
        device = gram.device if gram.is_cuda else torch.device("cpu")
        covariance = (gram - torch.outer(mean, mean)).to(device, torch.float64)
        covariance.diagonal().add_(ROUNDING * gram.diagonal().sum().to(device))
        exact_root = root.to(device, torch.float64)
        inner = exact_root.T @ covariance @ exact_root  # (k, k)
        roots = _roots_by_iteration if gram.is_cuda else _roots_by_eigenvalues
        trace, inverse = (result.to(root) for result in roots((inner + inner.T) / 2, ridge))
        ctx.save_for_backward(mean, root, inverse)
        return trace

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None, None]:
        mean, root, inverse = ctx.saved_tensors
        slope = slopes[0] / 2 * (root @ inverse @ root.T)  # (C, C), with respect to the covariance
        return slope, -2 * slope @ mean, None, None


def _roots_by_eigenvalues(matrix: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Return the trace of A^½, a scalar, and A^−½, of A = matrix + ridge (k, k), symmetric."""
    values, vectors = torch.linalg.eigh(matrix)
    roots = (values.clamp(min=0) + ridge).sqrt()
    return roots.sum(), (vectors / roots) @ vectors.T


def _roots_by_iteration(matrix: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Return the same by matrix products alone: unlike eigenvalues, a CUDA graph can hold them.

    The Newton–Schulz iteration Y ← Y P, Z ← P Z with P = (3 − Z Y) / 2 takes Y = A and Z = 1 to
    A^½ and A^−½ if the eigenvalues of A lie in (0, 1] (Higham 2008, "Functions of matrices",
    equation 6.35).
    """
    identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    matrix = matrix + ridge * identity
    size = torch.linalg.matrix_norm(matrix)  # no eigenvalue is larger than this norm
    y, z = matrix / size, identity
    for _ in range(ITERATIONS):
        step = torch.baddbmm(identity[None], z[None], y[None], beta=1.5, alpha=-0.5)[0]
        y, z = y @ step, step @ z
    return y.diagonal().sum() * size.sqrt(), z / size.sqrt()


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


class SlicedTap(Steady):
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
        self.places: Tensor | None = None  # the locations of the region, all where None
        if guide is not None:
            self.places = inside(guide).flatten().nonzero()[:, 0]
        self.weight: float | Tensor = 1.0
        self.start()

    def start(self) -> None:
        self.rows: list[Tensor] = []  # (n, h, W) each

    def look(self, features: Tensor, top: int) -> None:
        projected = self.directions.to(features) @ flattened(features)
        self.rows.append(projected.view(-1, *features.shape[2:]).to(self.targets[0][0]))

    def loss(self) -> Tensor:
        projections = torch.cat(self.rows, dim=1)  # (n, H, W)
        self.rows = []
        everywhere = projections.flatten(1)
        flat = everywhere if self.places is None else everywhere.index_select(1, self.places)
        ordered, order = flat.sort(dim=1)
        target = torch.stack(
            [weight * quantiles(samples, flat.shape[1]) for samples, weight in self.targets]
        ).sum(0)
        difference = ordered - target
        slopes = torch.zeros_like(flat).scatter_(1, order, difference * (2 / self._count(flat)))
        if self.places is not None:
            slopes = torch.zeros_like(everywhere).index_copy_(1, self.places, slopes)
        self.slopes = slopes.view_as(projections)
        return difference.square().sum() / self._count(flat)

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        slopes = rows_of(self.slopes, features, top).flatten(1).to(features.dtype)
        pulled = (self.weight * self.directions).to(features.dtype).T @ slopes
        flattened(gradient).add_(pulled)

    def _count(self, flat: Tensor) -> float:
        return flat.numel() * self.size
