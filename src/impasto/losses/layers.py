"""How the losses of several layers become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

import torch
from torch import Tensor

Form = Literal["tutorial", "paper"]
"""The two ways to write the same losses: TensorFlow's tutorial takes means, Gatys' paper sums."""


Target = TypeVar("Target")


def over_layers(
    layer_loss: Callable[[Tensor, Target, Form], Tensor],
    representations: Mapping[str, Tensor],
    targets: Mapping[str, Target],
    layer_weights: Mapping[str, float],
    form: Form,
) -> Tensor:
    """Σ_l w_l E_l, a scalar (equation 5); in the tutorial's form over the number of layers."""
    terms = [
        weight * layer_loss(representations[layer], targets[layer], form)
        for layer, weight in layer_weights.items()
    ]
    total = torch.stack(terms).sum()
    return total / len(terms) if form == "tutorial" else total
