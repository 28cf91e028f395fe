"""Smoothness: differences between neighbouring pixels (Mahendran & Vedaldi 2015, section 3)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Norm = Literal["l1", "l2"]


def deltas(image: Tensor, *, seamless: bool = False) -> tuple[Tensor, Tensor]:
    """The differences along x (N, C, H, W−1) and along y (N, C, H−1, W) of (N, C, H, W);
    ``seamless``: also from the last column and row to the first, (N, C, H, W) both.
    """
    if seamless:
        return image.roll(-1, dims=-1) - image, image.roll(-1, dims=-2) - image
    return image[..., :, 1:] - image[..., :, :-1], image[..., 1:, :] - image[..., :-1, :]


def total_variation(image: Tensor, norm: Norm, *, seamless: bool = False) -> Tensor:
    """How rough an image (1, C, H, W) is, a scalar; zero where it is one flat colour.

    ``l1``: Σ |Δx| + Σ |Δy|, equal to TensorFlow's ``tf.image.total_variation``.
    ``l2``: mean(Δx²) + mean(Δy²), which doesn't depend on the size.
    """
    x, y = deltas(image, seamless=seamless)
    if norm == "l1":
        return x.abs().sum() + y.abs().sum()
    return x.square().mean() + y.square().mean()
