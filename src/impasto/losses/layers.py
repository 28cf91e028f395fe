"""What the losses of all layers have in common, and how they become one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from impasto.networks.kernels.engine import Tap

Form = Literal["tutorial", "paper", "relative"]
"""Three ways to write the same losses: TensorFlow's tutorial takes means, Gatys' paper sums;
``relative`` divides by what the target has, so that a loss has no unit and layers weigh alike.
"""


class LayerLoss(Tap, Protocol):
    """The loss of one layer, evaluated in four steps.

    ``start``, then ``look`` for each band of the forward pass, then ``loss``, then ``pull`` for
    each band of the backward pass. On a GPU the four are captured as a graph and replayed for the
    next images. They must therefore neither read a number on the host nor choose by one, and what
    changes from step to step must be a tensor that ``begin_step`` overwrites in place.
    """

    weight: float | Tensor
    """The loss's weight in the objective: a factor of its gradient, not of ``loss``. A 0-dim tensor
    where it depends on the image.
    """

    def begin_step(self, step: int) -> None:
        """Overwrite what changes from step to step, such as the target of a shifted view or matches
        that are kept for several steps. Runs before every evaluation and is never captured.
        """
        ...

    def start(self) -> None:
        """Forget the last image."""
        ...

    def loss(self) -> Tensor:
        """Return the loss of the image that went forward, a scalar, without ``weight``."""
        ...


class Steady:
    """The ``begin_step`` of a loss in which nothing changes from step to step."""

    def begin_step(self, step: int) -> None:
        """Do nothing."""


def shares(layer_weights: Mapping[str, float], form: Form) -> dict[str, float]:
    """What to multiply each layer's loss with, for Σ_l w_l E_l (equation 5); in the tutorial's form
    over the number of layers, in the relative form over the sum of the weights. Layers of weight
    zero are left out.
    """
    total = {
        "tutorial": float(len(layer_weights)),
        "paper": 1.0,
        "relative": sum(layer_weights.values()),
    }[form]
    return {layer: weight / total for layer, weight in layer_weights.items() if weight}


def guide_for(mask: Tensor, height: int, width: int) -> Tensor | None:
    """How much each location of a layer belongs to a region, (height, width), summing to 1, from a
    mask of the picture (1, 1, H, W); None where the region has no part in the layer.

    The guidance channel of Gatys et al. 2017, "Controlling perceptual factors in neural style
    transfer", section 4, averaged down to the layer's size.
    """
    guide = functional.adaptive_avg_pool2d(mask, (height, width))[0, 0]
    total = guide.sum()
    return guide / total if total > 0 else None


def inside(guide: Tensor) -> Tensor:
    """Where a region's share is at least half of its largest, (h, w): for losses that need whole
    features instead of weighted sums.
    """
    return guide >= 0.5 * guide.max()


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


def rows_of(plane: Tensor, features: Tensor, top: int) -> Tensor:
    """The rows of ``plane`` (…, H, W) where ``features`` (1, C, h, W) lie, from ``top`` on."""
    return plane[..., top : top + features.shape[2], :]


def exact(features: Tensor) -> torch.dtype:
    """What to add up in: float32 or better."""
    return torch.promote_types(features.dtype, torch.float32)
