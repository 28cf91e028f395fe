"""Style losses from optimal transport: the distance between distributions of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from impasto.losses.layers import exact, inside, rows_of
from impasto.losses.moments import Distance, Moments, flattened

KEPT_VARIANCE = 0.999
"""Share of the target's variance that its first principal components must contain."""
MAX_COMPONENTS = 128
"""Largest number of these components, which limits the size of the matrix square root."""
RIDGE = 1e-6
"""Added to the eigenvalues under the root, relative to their mean at the target. The slope would be
infinite where there are fewer locations than channels."""
ROUNDING = 1e-6
"""Bound for the rounding error of a covariance's eigenvalues in float32, relative to the trace of
the second moments; far below every eigenvalue that counts."""
ITERATIONS = 30
"""Newton–Schulz iterations, enough for eigenvalues from 1 down to 1e-9: each one multiplies the
root of a small eigenvalue by 1.5, and the last five double the number of correct digits."""
MAX_DIRECTIONS = 32
"""Largest number of one-dimensional projections in which two distributions are compared."""
MAX_LOCATIONS = 16384
"""Largest number of locations that are sorted at a step. If there are more, consecutive steps use
different locations in turn. Sorting all locations of block 1 of an image of 256 px would take a
sixth of a training step."""


def gaussian_distance(target: Moments) -> Distance:
    """Return the squared 2-Wasserstein distance to a target, between Gaussians with the moments.

        (‖μ − ν‖² + tr C + tr T − 2 tr (T^½ C T^½)^½) / (‖ν‖² + tr T)

    This is the distance of Dowson & Landau 1982, relative to the second moment of the target. With
    T = R Rᵀ the last trace is tr (Rᵀ C R)^½, and its derivative with respect to C is
    ½ R (Rᵀ C R)^−½ Rᵀ, so no gradient passes through a matrix square root. R consists of the
    target's first principal components, at most ``MAX_COMPONENTS``, which keeps the square root
    small.

    Args:
        target: The moments ν and T of the style image.

    Returns:
        A function of other moments μ and C.
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
    # With this constant the distance is zero at the target, in spite of the ridge and the
    # components left out.
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
    """tr (Rᵀ C R + ridge)^½ for a covariance C, given as second moments (C, C) and a mean (C,).

    R is (C, k). The covariance is the difference of two large numbers, so rounding may give it
    negative eigenvalues. Therefore a multiple of the identity that exceeds the rounding error is
    added to it.
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
    """Return the same from matrix products alone, which a CUDA graph can contain.

    The Newton–Schulz iteration Y ← Y P, Z ← P Z with P = (3 − Z Y) / 2 starts from Y = A and Z = 1.
    It converges to A^½ and A^−½ if the eigenvalues of A lie in (0, 1] (Higham 2008, "Functions of
    matrices", equation 6.35).
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
    """Return fixed random directions (n, C), orthogonal to each other, of the type of ``like``."""
    generator = torch.Generator().manual_seed(channels)
    count = min(MAX_DIRECTIONS, channels)
    random = torch.randn(channels, count, generator=generator, dtype=torch.float64)
    axes: Tensor = torch.linalg.qr(random).Q.T.to(like)
    return axes


def quantiles(ordered: Tensor, count: int) -> Tensor:
    """Return ``count`` evenly spaced quantiles, (n, count), of ascending samples (n, L)."""
    if ordered.shape[1] == count:
        return ordered
    return functional.interpolate(ordered[None], size=count, mode="linear")[0]


class SlicedTap:
    """The sliced 2-Wasserstein distance between the features of a layer and those of the styles.

    It is the loss of Heitz et al. 2021, "A sliced Wasserstein loss for neural texture synthesis",
    relative to the mean square of the target. Along a single direction, the optimal transport pairs
    the sorted projections.

    Args:
        targets: The features of each style, (C, n), and its weight. The weights sum to 1. Several
            styles are blended by their quantiles.
        guide: How much each location belongs to the region, (h, w). Those with at least half of the
            maximum count. None: all locations count.
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
        self.places: Tensor | None = None  # the locations of the region; None: all locations
        if guide is not None:
            self.places = inside(guide).flatten().nonzero()[:, 0]
        self.turns: Tensor | None = (
            None  # the locations of each turn, (k, m); None: all at every step
        )
        self.turn: Tensor | None = None  # the locations of this step, (m,)
        self.weight: float | Tensor = 1.0
        self.start()

    def begin_step(self, step: int) -> None:
        if self.turn is not None and self.turns is not None:
            self.turn.copy_(self.turns[step % len(self.turns)])

    def start(self) -> None:
        self.rows: list[Tensor] = []  # (n, h, W) each

    def look(self, features: Tensor, top: int) -> None:
        projected = self.directions.to(features) @ flattened(features)
        self.rows.append(projected.view(-1, *features.shape[2:]).to(self.targets[0][0]))

    def loss(self) -> Tensor:
        projections = torch.cat(self.rows, dim=1)  # (n, H, W)
        self.rows = []
        everywhere = projections.flatten(1)
        places = self._places(everywhere.shape[1], everywhere.device)
        flat = everywhere if places is None else everywhere.index_select(1, places)
        ordered, order = flat.sort(dim=1)
        target = torch.stack(
            [weight * quantiles(samples, flat.shape[1]) for samples, weight in self.targets]
        ).sum(0)
        difference = ordered - target
        slopes = torch.zeros_like(flat).scatter_(1, order, difference * (2 / self._count(flat)))
        if places is not None:
            slopes = torch.zeros_like(everywhere).index_copy_(1, places, slopes)
        self.slopes = slopes.view_as(projections)
        return difference.square().sum() / self._count(flat)

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        slopes = rows_of(self.slopes, features, top).flatten(1).to(features.dtype)
        pulled = (self.weight * self.directions).to(features.dtype).T @ slopes
        flattened(gradient).add_(pulled)

    def _places(self, count: int, device: torch.device) -> Tensor | None:
        """Return the locations of this step out of ``count``; None for all of them."""
        chosen = self.places
        inside_count = count if chosen is None else len(chosen)
        if inside_count <= MAX_LOCATIONS:
            return chosen
        if self.turn is None:
            turns = -(-inside_count // MAX_LOCATIONS)
            every = torch.arange(inside_count, device=device) if chosen is None else chosen
            self.turns = every[: inside_count // turns * turns].view(-1, turns).T.contiguous()
            self.turn = self.turns[0].clone()
        return self.turn

    def _count(self, flat: Tensor) -> float:
        return flat.numel() * self.size
