"""Content losses: of the features themselves, or of the differences between them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from impasto.losses.layers import Form, exact, rows_of
from impasto.losses.moments import flattened

SIMILARITY_SAMPLES = 1024
"""Number of locations whose distances from each other are compared."""


def _factor(target: Tensor, form: Form) -> float:
    if form == "relative":
        return 1 / max(float(target.square().sum(dtype=exact(target))), 1e-12)
    return 1 / target.numel() if form == "tutorial" else 0.5


class Target:
    """The target of the current step, which depends on the view that the step sees.

    Attributes:
        views: The targets of all views.
        current: The selected target. It stays at the same place in memory, as CUDA graphs require.
    """

    def __init__(self, views: Sequence[Tensor]) -> None:
        self.views = views
        self.current = views[0].clone() if len(views) > 1 else views[0]

    def select(self, step: int) -> None:
        if len(self.views) > 1:
            self.current.copy_(self.views[step % len(self.views)])


class ContentTap:
    """The content loss of a layer: the distance of its features F to those of the content image, P.

    Form ``tutorial`` is the mean of squares, Σ (F − P)² / (C·H·W). Form ``paper`` is equation 1 of
    Gatys et al. 2016, ½ Σ (F − P)². Form ``relative`` is Σ (F − P)² / Σ P².

    Args:
        targets: The features of the content image in each view, (1, C, H, W). The relative form
            divides by those of the first view.
        form: The form of the loss.
    """

    def __init__(self, targets: Sequence[Tensor], form: Form) -> None:
        self.target, self.form = Target(targets), form
        self.factor: float | Tensor = _factor(targets[0], form)
        self.weight: float | Tensor = 1.0
        self.start()

    def begin_step(self, step: int) -> None:
        self.target.select(step)

    def retarget(self, features: Tensor) -> None:
        """Replace the target by the features of another content image of the same size."""
        self.target.current.copy_(features)
        if self.form == "relative":
            exactly = features.to(exact(features))
            factor = 1 / exactly.square().sum().clamp(min=1e-12)
            if isinstance(self.factor, Tensor):
                self.factor.copy_(factor)  # in place: CUDA graphs keep the address
            else:
                self.factor = factor

    def start(self) -> None:
        target = self.target.current
        self.squares = torch.zeros((), device=target.device, dtype=exact(target))

    def look(self, features: Tensor, top: int) -> None:
        difference = features - rows_of(self.target.current, features, top)
        self.squares += torch.linalg.vector_norm(difference, dtype=self.squares.dtype).square()

    def loss(self) -> Tensor:
        return self.squares * self.factor

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        slope: Any = 2 * self.weight * self.factor
        target = rows_of(self.target.current, features, top)
        if isinstance(slope, Tensor):
            gradient.add_((features - target) * slope.to(gradient.dtype))
            return
        gradient.add_(features, alpha=slope)
        gradient.add_(target, alpha=-slope)


def self_similarity_loss(features: Tensor, target: Tensor) -> Tensor:
    """Return the self-similarity loss between two sets of features, a scalar.

        Σ_ij | D_ij / Σ_i D_ij − T_ij / Σ_i T_ij | / n

    D and T are the cosine distances between the n locations (Kolkin et al. 2019, "STROTSS",
    section 2). The loss keeps shapes, whatever colours and textures they take.

    Args:
        features: The features of the image at n locations, (C, n).
        target: The features of the content image at the same locations, (C, n).
    """
    difference = _relative_distances(features) - _relative_distances(target)  # (n, n)
    return difference.abs().sum() / features.shape[1]


def _relative_distances(features: Tensor) -> Tensor:
    """Return the cosine distances (n, n) between the columns of (C, n); each column sums to 1."""
    unit = functional.normalize(features, dim=0)
    distances = (1 - unit.T @ unit).clamp(min=0)
    return distances / distances.sum(dim=0, keepdim=True).clamp(min=1e-12)


class SelfSimilarityTap:
    """The self-similarity loss of a layer at evenly spread locations, see ``self_similarity_loss``.

    Args:
        targets: The features of the content image in each view, (1, C, H, W).
    """

    def __init__(self, targets: Sequence[Tensor]) -> None:
        first = targets[0]
        self.width = first.shape[3]
        count = first.shape[2] * self.width
        samples = min(count, SIMILARITY_SAMPLES)
        # In ascending order, and also on the host, which finds the locations of a band there.
        self.sorted_places = [
            round(number * (count - 1) / max(1, samples - 1)) for number in range(samples)
        ]
        self.places = torch.tensor(self.sorted_places).to(first.device)
        self.target = Target(
            [flattened(target)[:, self.places].to(exact(target)) for target in targets]
        )
        self.weight: float | Tensor = 1.0
        self.start()

    def begin_step(self, step: int) -> None:
        self.target.select(step)

    def retarget(self, features: Tensor) -> None:
        """Replace the target by the features of another content image of the same size."""
        self.target.current.copy_(flattened(features)[:, self.places])

    def start(self) -> None:
        self.samples = torch.zeros_like(self.target.current)

    def look(self, features: Tensor, top: int) -> None:
        samples, places = self._in_band(features, top)
        self.samples[:, samples] = flattened(features)[:, places].to(self.samples)

    def loss(self) -> Tensor:
        with torch.enable_grad():
            samples = self.samples.detach().requires_grad_()
            loss = self_similarity_loss(samples, self.target.current)
            (self.slopes,) = torch.autograd.grad(loss, samples)
        return loss.detach()

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        samples, places = self._in_band(features, top)
        slopes = (self.weight * self.slopes[:, samples]).to(gradient.dtype)
        flattened(gradient).index_add_(1, places, slopes)

    def _in_band(self, features: Tensor, top: int) -> tuple[slice, Tensor]:
        """Return which samples lie in a band of rows, and their places in the flattened band."""
        start, stop = top * self.width, (top + features.shape[2]) * self.width
        first, end = (bisect_left(self.sorted_places, place) for place in (start, stop))
        samples = slice(first, end)
        return samples, self.places[samples] - start
