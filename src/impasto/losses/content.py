"""Content: the features themselves (Gatys et al. 2016, section 2.1)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from impasto.losses.gram import Form


def content_layer_loss(features: Tensor, target: Tensor, form: Form) -> Tensor:
    """The distance between the features (N, C, H, W) of two images in one layer, a scalar.

    ``tutorial``: the mean of squares. ``paper``: equation 1, ½ Σ (F − P)².
    """
    difference = features.to(target.dtype) - target
    if form == "tutorial":
        return difference.square().mean()
    return difference.square().sum() / 2


def content_loss(
    features: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    layer_weights: Mapping[str, float],
    form: Form,
) -> Tensor:
    """All layers together, a scalar: Σ_l w_l E_l; in the tutorial's form divided by the number of
    layers.
    """
    terms = [
        weight * content_layer_loss(features[layer], targets[layer], form)
        for layer, weight in layer_weights.items()
    ]
    total = torch.stack(terms).sum()
    return total / len(terms) if form == "tutorial" else total
