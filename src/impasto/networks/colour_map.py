"""Colour maps: the change of a colour is a quadratic function of its RGB values in [0, 1].

A map is a tensor (1, 3·T): T coefficients of the change of red, then of green, then of blue. A map
of zeros is the identity.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from impasto.networks.network_shape import COLOUR_MAP_SIZE

TERMS = COLOUR_MAP_SIZE // 3
"""T, the number of terms of a quadratic polynomial in three variables."""


def terms(image: Tensor) -> Tensor:
    """Return the quadratic terms of the colours of an image: (N, 3, …) → (N, T, …)."""
    r, g, b = image.unbind(1)
    products = (torch.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b)
    return torch.stack(products, dim=1)


def mapped(image: Tensor, colour_map: Tensor) -> Tensor:
    """Apply a colour map to an image.

    Args:
        image: The image, (N, 3, H, W), in [0, 1].
        colour_map: The colour map, (1, 3·T).

    Returns:
        The mapped image, (N, 3, H, W), clipped to [0, 1].
    """
    kernel = colour_map.reshape(3, TERMS, 1, 1)
    return (image + functional.conv2d(terms(image), kernel.to(image))).clamp_(0, 1)
