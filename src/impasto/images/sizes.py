"""Sizes and resizing."""

from __future__ import annotations

from typing import Literal

import numpy as np
from torch import Tensor
from torch.nn import functional

Resize = Literal["antialias", "tutorial"]

MAX_SHRINKAGE = 32
"""A GPU shrinks by a larger factor in several steps: CUDA's kernel has shared memory for 47."""


def fit_long_side(height: int, width: int, long_side: int, how: Resize) -> tuple[int, int]:
    """(height, width) with the same aspect and a long side of ``long_side`` px.

    ``tutorial`` multiplies in float32 and cuts, as TensorFlow's tutorial does; the long side itself
    may then come out one pixel short. ``antialias`` rounds to nearest.
    """
    if how == "tutorial":
        scale = np.float32(long_side) / np.float32(max(height, width))
        return int(np.float32(height) * scale), int(np.float32(width) * scale)
    long = max(height, width)
    return max(1, round(height * long_side / long)), max(1, round(width * long_side / long))


def resize(image: Tensor, height: int, width: int, how: Resize) -> Tensor:
    """(N, C, H, W) → (N, C, height, width).

    ``antialias`` is bicubic and averages over the pixels it merges; ``tutorial`` is TensorFlow's
    ``tf.image.resize``: bilinear, half-pixel centres, no antialiasing.
    """
    if how == "tutorial":
        return functional.interpolate(image, size=(height, width), mode="bilinear")
    if image.shape[-2:] == (height, width):
        return image
    if image.device.type != "cpu":
        while max(image.shape[-2] / height, image.shape[-1] / width) > MAX_SHRINKAGE:
            image = functional.interpolate(image, scale_factor=0.5, mode="bilinear")
    resized = functional.interpolate(image, size=(height, width), mode="bicubic", antialias=True)
    return resized.clamp(0, 1)  # bicubic overshoots at edges
