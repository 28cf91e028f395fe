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
    """The distance between two Gram matrices (1, C, C) of one layer, a scalar.

    ``tutorial``: the mean of squares, Σ (G − A)² / C².
    ``paper``: equation 4, Σ (G − A)² / (4·C²·M²) with G summed over the M locations. Ours is
    divided by M already: Σ (G − A)² / (4·C²), which also serves where the images differ in size.
    """
    distance = (gram - target).square().mean()
    return distance if form == "tutorial" else distance / 4


CHUNKS = 16
"""In how many parts a bfloat16 product is summed up, so that the parts add up in float32."""


class GramTap:
    """Gathers the Gram matrix of a layer while an image goes up."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Forget the last image."""
        self.sums: Tensor | None = None  # (C, C), Σ_ij F[i, j, c] · F[i, j, d]
        self.locations = 0
        self.slope: Tensor | None = None
        """The derivative of the objective with respect to the matrix (1, C, C), set before
        ``pull``."""

    @property
    def matrix(self) -> Tensor:
        """The Gram matrix so far, (1, C, C)."""
        assert self.sums is not None
        return (self.sums / self.locations)[None]

    def look(self, features: Tensor, top: int) -> None:
        sums = _products(_flat(features))
        self.sums = sums if self.sums is None else self.sums + sums
        self.locations += features.shape[2] * features.shape[3]

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        # dE/dF = (S + Sᵀ) F / locations for the slope S = dE/dG, and a Gram matrix is symmetric.
        assert self.slope is not None
        slope = (self.slope[0] * (2 / self.locations)).to(features.dtype)
        flat, sum = _flat(features), _flat(gradient)
        if features.is_contiguous(memory_format=torch.channels_last):
            sum.T.addmm_(flat.T, slope)
        else:
            sum.addmm_(slope, flat)


def _flat(features: Tensor) -> Tensor:
    """(1, C, H, W) → (C, H·W), a view where the features are laid out densely."""
    return features[0].flatten(1)


def _products(flat: Tensor) -> Tensor:
    """F Fᵀ of (C, L), in float32 or better, without a float32 copy of F."""
    if flat.dtype != torch.bfloat16:
        return flat @ flat.T
    if flat.is_cuda:
        return torch.mm(flat, flat.T, out_dtype=torch.float32)
    return sum(
        ((part @ part.T).float() for part in flat.tensor_split(CHUNKS, dim=1)),
        flat.new_zeros((), dtype=torch.float32),
    )
