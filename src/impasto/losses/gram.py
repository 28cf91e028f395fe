"""Style: Gram matrices of a network's features (Gatys et al. 2016, section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.losses.layers import Form


def gram_matrix(features: Tensor) -> Tensor:
    """Return the Gram matrix of a feature map: how often two channels are active together.

        G[c, d] = Σ_ij F[i, j, c] · F[i, j, d] / (I·J)

    This is equation 3 of the paper, divided by the number of locations as in the TensorFlow
    tutorial, so that images of different sizes can be compared.

    Args:
        features: The feature maps, (N, C, H, W).

    Returns:
        The Gram matrices, (N, C, C), in float32 or better.

    >>> gram_matrix(torch.ones(1, 2, 4, 4))
    tensor([[[1., 1.],
             [1., 1.]]])
    """
    flat = features.flatten(2)  # (N, C, H·W)
    flat = flat if flat.dtype == torch.float64 else flat.float()
    return flat @ flat.transpose(1, 2) / flat.shape[2]  # (N, C, C)


def style_layer_loss(gram: Tensor, target: Tensor, form: Form) -> Tensor:
    """Return the distance between two Gram matrices G and A of one layer, a scalar.

    Form ``tutorial`` is the mean of squares, Σ (G − A)² / C². Form ``paper`` is equation 4,
    Σ (G − A)² / (4·C²·M²) with G summed over the M locations. Our G is divided by M already, so the
    form becomes Σ (G − A)² / (4·C²), which also fits images of different sizes. Form ``relative``
    is Σ (G − A)² / Σ A².

    Args:
        gram: The Gram matrix of the image, (…, C, C).
        target: The Gram matrix of the style image, (…, C, C).
        form: The form of the loss.
    """
    squares = (gram - target).square()
    if form == "relative":
        return squares.sum() / target.square().sum()
    return squares.mean() if form == "tutorial" else squares.mean() / 4
