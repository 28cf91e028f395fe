"""The interface of the loss of one layer, and helpers that all such losses share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from impasto.networks.kernels.engine import Tap

Form = Literal["tutorial", "paper", "relative"]
"""Three forms of the same losses. TensorFlow's tutorial takes means, and Gatys' paper takes sums.
``relative`` divides by the size of the target, so that a loss has no unit and layers are
comparable.
"""


class LayerLoss(Tap, Protocol):
    """The loss of one layer, evaluated in four steps.

    The steps are ``start``, then ``look`` for each band of the forward pass, then ``loss``, then
    ``pull`` for each band of the backward pass. On a GPU these four are captured as a graph, which
    is replayed for the next images. Therefore they must not read a number on the host or branch on
    one, and whatever changes from step to step must be a tensor that ``begin_step`` overwrites in
    place.
    """

    weight: float | Tensor
    """The weight in the objective, a factor of the gradient but not of ``loss``. It is a 0-dim
    tensor if it depends on the image.
    """

    def begin_step(self, step: int) -> None:
        """Overwrite whatever changes from step to step, such as the target of a shifted view.

        This is called before every evaluation and is never captured in a graph.
        """
        ...

    def start(self) -> None:
        """Discard what was gathered from the last image."""
        ...

    def loss(self) -> Tensor:
        """Return the loss of the image in the forward pass, a scalar, without ``weight``."""
        ...


class Steady:
    """A base class for losses in which nothing changes from step to step."""

    def begin_step(self, step: int) -> None:
        """Do nothing."""


def shares(layer_weights: Mapping[str, float], form: Form) -> dict[str, float]:
    """Return the factor of each layer's loss in the sum Σ_l w_l E_l (Gatys et al., equation 5).

    The factors are the weights, divided by the number of layers in the form of the tutorial, and by
    the sum of the weights in the relative form. Layers of weight zero are left out.
    """
    total = {
        "tutorial": float(len(layer_weights)),
        "paper": 1.0,
        "relative": sum(layer_weights.values()),
    }[form]
    return {layer: weight / total for layer, weight in layer_weights.items() if weight}


def guide_for(mask: Tensor, height: int, width: int) -> Tensor | None:
    """Return how much each location of a layer belongs to a region.

    This is the guidance channel of Gatys et al. 2017, "Controlling perceptual factors in neural
    style transfer", section 4, averaged down to the layer's size.

    Args:
        mask: The mask of the region in the picture, (1, 1, H, W).
        height: The height of the layer.
        width: The width of the layer.

    Returns:
        The shares of the locations, (height, width), which sum to 1. None if the region doesn't
        reach the layer.
    """
    guide = functional.adaptive_avg_pool2d(mask, (height, width))[0, 0]
    total = guide.sum()
    return guide / total if total > 0 else None


def inside(guide: Tensor) -> Tensor:
    """Return where a guide (h, w) is at least half of its maximum, as booleans (h, w).

    Losses that select features, instead of weighting them, use it.
    """
    return guide >= 0.5 * guide.max()


class Recorder:
    """A tap that keeps the features of a layer."""

    def __init__(self) -> None:
        self.bands: list[Tensor] = []

    def look(self, features: Tensor, top: int) -> None:
        self.bands.append(features)

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        raise NotImplementedError("a recorder has no loss")

    def features(self) -> Tensor:
        """Return the features, (1, C, H, W)."""
        return self.bands[0] if len(self.bands) == 1 else torch.cat(self.bands, dim=2)


def rows_of(plane: Tensor, features: Tensor, top: int) -> Tensor:
    """Return the rows of ``plane`` (…, H, W) that features (1, C, h, W) at ``top`` cover."""
    return plane[..., top : top + features.shape[2], :]


def exact(features: Tensor) -> torch.dtype:
    """Return the type in which features are summed: float32 or better."""
    return torch.promote_types(features.dtype, torch.float32)
