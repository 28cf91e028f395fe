"""Content: the features themselves (Gatys et al. 2016, section 2.1)."""

from __future__ import annotations

from torch import Tensor

from impasto.losses.layers import Form


def content_layer_loss(features: Tensor, target: Tensor, form: Form) -> Tensor:
    """The distance between the features (N, C, H, W) of two images in one layer, a scalar.

    ``tutorial``: the mean of squares. ``paper``: equation 1, ½ Σ (F − P)².
    """
    difference = features.to(target.dtype) - target
    if form == "tutorial":
        return difference.square().mean()
    return difference.square().sum() / 2
