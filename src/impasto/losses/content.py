"""Content: the features themselves, or how they differ from each other."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from impasto.losses.layers import Form, exact, rows_of
from impasto.losses.moments import flattened

SIMILARITY_SAMPLES = 1024
"""Locations whose distances from each other are compared."""


def content_layer_loss(features: Tensor, target: Tensor, form: Form) -> Tensor:
    """The distance between the features (N, C, H, W) of two images in one layer, a scalar.

    ``tutorial``: the mean of squares. ``paper``: equation 1 of Gatys et al. 2016, ½ Σ (F − P)².
    ``relative``: Σ (F − P)² / Σ P².
    """
    squares = (features - target).square().sum()
    return squares * _factor(target, form)


def _factor(target: Tensor, form: Form) -> float:
    if form == "relative":
        return 1 / max(float(target.square().sum(dtype=exact(target))), 1e-12)
    return 1 / target.numel() if form == "tutorial" else 0.5


class ContentTap:
    """Pulls the features of a layer to ``target`` (1, C, H, W): see ``content_layer_loss``."""

    def __init__(self, target: Tensor, form: Form) -> None:
        self.target, self.factor = target, _factor(target, form)
        self.weight = 1.0
        self.start()

    def start(self) -> None:
        self.squares = torch.zeros((), device=self.target.device, dtype=exact(self.target))

    def look(self, features: Tensor, top: int) -> None:
        difference = features - rows_of(self.target, features, top)
        self.squares += torch.linalg.vector_norm(difference, dtype=self.squares.dtype).square()

    def loss(self) -> Tensor:
        return self.squares * self.factor

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        slope = 2 * self.weight * self.factor
        gradient.add_(features, alpha=slope)
        gradient.add_(rows_of(self.target, features, top), alpha=-slope)


def self_similarity_loss(features: Tensor, target: Tensor) -> Tensor:
    """How differently two layers' features (C, n) at the same n locations are arranged, a scalar:

        Σ_ij | D_ij / Σ_i D_ij − T_ij / Σ_i T_ij | / n

    with D and T the cosine distances between the locations (Kolkin et al. 2019, "STROTSS",
    section 2). Shapes stay, whatever colour and texture they take.
    """
    return (_arrangement(features) - _arrangement(target)).abs().sum() / features.shape[1]


def _arrangement(features: Tensor) -> Tensor:
    """The cosine distances (n, n) between the columns of (C, n), each column summing to 1."""
    unit = functional.normalize(features, dim=0)
    distances = (1 - unit.T @ unit).clamp(min=0)
    return distances / distances.sum(dim=0, keepdim=True).clamp(min=1e-12)


class SelfSimilarityTap:
    """Pulls the features of a layer to the arrangement that ``target`` (1, C, H, W) has, seen at
    evenly spread locations: see ``self_similarity_loss``.
    """

    def __init__(self, target: Tensor) -> None:
        self.width = target.shape[3]
        count = target.shape[2] * self.width
        chosen = torch.linspace(0, count - 1, min(count, SIMILARITY_SAMPLES)).round().long()
        self.places = chosen.to(target.device)
        self.target = flattened(target)[:, self.places].to(exact(target))
        self.weight = 1.0
        self.start()

    def start(self) -> None:
        self.samples = torch.zeros_like(self.target)

    def look(self, features: Tensor, top: int) -> None:
        here, places = self._here(features, top)
        self.samples[:, here] = flattened(features)[:, places].to(self.samples)

    def loss(self) -> Tensor:
        with torch.enable_grad():
            samples = self.samples.detach().requires_grad_()
            loss = self_similarity_loss(samples, self.target)
            (self.slopes,) = torch.autograd.grad(loss, samples)
        return loss.detach()

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        here, places = self._here(features, top)
        slopes = (self.weight * self.slopes[:, here]).to(gradient.dtype)
        flattened(gradient).index_add_(1, places, slopes)

    def _here(self, features: Tensor, top: int) -> tuple[Tensor, Tensor]:
        """Which of the locations lie in these rows, and where."""
        places = self.places - top * self.width
        here = (places >= 0) & (places < features.shape[2] * self.width)
        return here, places[here]
