"""Content: the features themselves (Gatys et al. 2016, section 2.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.losses.layers import Form


def content_layer_loss(features: Tensor, target: Tensor, form: Form) -> Tensor:
    """The distance between the features (N, C, H, W) of two images in one layer, a scalar.

    ``tutorial``: the mean of squares. ``paper``: equation 1, ½ Σ (F − P)².
    """
    return of_squares((features - target).square().sum(), target.numel(), form)


def of_squares(squares: Tensor, count: int, form: Form) -> Tensor:
    """The same from Σ (F − P)², a scalar, over ``count`` numbers."""
    return squares / count if form == "tutorial" else squares / 2


class ContentTap:
    """Gathers Σ (F − P)² of a layer against ``target`` P (1, C, H, W) while an image goes up."""

    def __init__(self, target: Tensor) -> None:
        self.target = target
        self.start()

    def start(self) -> None:
        """Forget the last image."""
        self.squares = torch.zeros((), device=self.target.device, dtype=_exact(self.target))
        self.slope = torch.zeros_like(self.squares)
        """The derivative of the objective with respect to ``squares``, set before ``pull``."""

    def look(self, features: Tensor, top: int) -> None:
        difference = features - self._rows(features, top)
        self.squares += torch.linalg.vector_norm(difference, dtype=self.squares.dtype).square()

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        gradient.addcmul_(features, self.slope, value=2)
        gradient.addcmul_(self._rows(features, top), self.slope, value=-2)

    def _rows(self, features: Tensor, top: int) -> Tensor:
        return self.target[:, :, top : top + features.shape[2]]


class Recorder:
    """Keeps the features of a layer while an image goes up."""

    def __init__(self) -> None:
        self.bands: list[Tensor] = []

    def look(self, features: Tensor, top: int) -> None:
        self.bands.append(features)

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        raise NotImplementedError("a recorder has no loss")

    def features(self) -> Tensor:
        """(1, C, H, W)."""
        return self.bands[0] if len(self.bands) == 1 else torch.cat(self.bands, dim=2)


def _exact(features: Tensor) -> torch.dtype:
    return torch.promote_types(features.dtype, torch.float32)
