"""A map of colours: the change of each colour, a quadratic function of RGB in [0, 1].

A map is (1, 3·T), T coefficients for the change of red, then of green and of blue.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from impasto.networks.network_shape import COLOUR_MAP_SIZE

TERMS = COLOUR_MAP_SIZE // 3
"""T, the number of terms of a quadratic function of three variables."""


def terms(image: Tensor) -> Tensor:
    """Return the terms of the colours of an image, (N, 3, …) → (N, T, …)."""
    r, g, b = image.unbind(1)
    products = (torch.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b)
    return torch.stack(products, dim=1)


def mapped(image: Tensor, colour_map: Tensor) -> Tensor:
    """Return an image with its colours mapped.

    Args:
        image: The image, (N, 3, H, W), in [0, 1].
        colour_map: The map, (1, 3·T).
    """
    kernel = colour_map.reshape(3, TERMS, 1, 1)
    return (image + functional.conv2d(terms(image), kernel.to(image))).clamp_(0, 1)
