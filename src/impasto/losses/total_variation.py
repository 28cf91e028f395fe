"""Smoothness: differences between neighbouring pixels (Mahendran & Vedaldi 2015, section 3)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Norm = Literal["l1", "l2"]


def deltas(image: Tensor, *, seamless: bool = False) -> tuple[Tensor, Tensor]:
    """Return the differences between neighbouring pixels of images (N, C, H, W).

    Args:
        image: The images.
        seamless: Whether the last column and row are neighbours of the first ones.

    Returns:
        The differences along x, (N, C, H, W−1), and along y, (N, C, H−1, W). Both are (N, C, H, W)
        if ``seamless``.
    """
    if seamless:
        return image.roll(-1, dims=-1) - image, image.roll(-1, dims=-2) - image
    return image[..., :, 1:] - image[..., :, :-1], image[..., 1:, :] - image[..., :-1, :]


def total_variation(image: Tensor, norm: Norm, *, seamless: bool = False) -> Tensor:
    """Return the total variation of an image, a scalar, which is zero for a single flat colour.

    Norm ``l1`` is Σ |Δx| + Σ |Δy|, as in TensorFlow's ``tf.image.total_variation``. Norm ``l2`` is
    mean(Δx²) + mean(Δy²), which doesn't depend on the size of the image.

    Args:
        image: The image, (1, C, H, W).
        norm: The norm of the differences.
        seamless: Whether opposite edges of the image are neighbours.
    """
    x, y = deltas(image, seamless=seamless)
    if norm == "l1":
        return x.abs().sum() + y.abs().sum()
    return x.square().mean() + y.square().mean()
