"""Style: Gram matrices of a network's features (Gatys et al. 2016, section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.losses.layers import Form


def gram_matrix(features: Tensor) -> Tensor:
    """How often two channels are active together, whatever the place:

        G[c, d] = Σ_ij F[i, j, c] · F[i, j, d] / (I·J)

    (N, C, H, W) → (N, C, C), float32 or better. Equation 3 of the paper, per location as in the
    TensorFlow tutorial, so that images of different sizes can be compared.

    >>> gram_matrix(torch.ones(1, 2, 4, 4))
    tensor([[[1., 1.],
             [1., 1.]]])
    """
    flat = features.flatten(2)  # (N, C, H·W)
    flat = flat if flat.dtype == torch.float64 else flat.float()
    return flat @ flat.transpose(1, 2) / flat.shape[2]  # (N, C, C)


def style_layer_loss(gram: Tensor, target: Tensor, form: Form) -> Tensor:
    """The distance between two Gram matrices (…, C, C) of one layer, a scalar.

    ``tutorial``: the mean of squares, Σ (G − A)² / C².
    ``paper``: equation 4, Σ (G − A)² / (4·C²·M²) with G summed over the M locations. Ours is
    divided by M already: Σ (G − A)² / (4·C²), which also serves where the images differ in size.
    ``relative``: Σ (G − A)² / Σ A².
    """
    squares = (gram - target).square()
    if form == "relative":
        return squares.sum() / target.square().sum()
    return squares.mean() if form == "tutorial" else squares.mean() / 4
