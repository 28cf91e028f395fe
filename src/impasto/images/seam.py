"""Pictures whose edges fit together, as on a torus: left of the left one is the right one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from impasto.images.sizes import resize

WRAP_PX = 32
"""How far the network sees over the seam: as far as a feature of VGG-19's block 4 reaches. A whole
number of its largest locations (16 px), and no more than the smallest picture has.
"""


def wrapped(image: Tensor, margin: int = WRAP_PX) -> Tensor:
    """(N, C, H, W) with ``margin`` px of the opposite edge on every side,
    (N, C, H + 2·margin, W + 2·margin); H and W are at least ``margin``.
    """
    return functional.pad(image, (margin,) * 4, mode="circular")


def mirrored(image: Tensor, margin: int = WRAP_PX) -> Tensor:
    """Return the image with ``margin`` px of its reflection on every side.

    (N, C, H, W) → (N, C, H + 2·margin, W + 2·margin), the size of the ``wrapped`` image; H and W
    are at least ``margin``. The reflection repeats the outermost pixels.
    """
    for side in (-2, -1):
        before = image.narrow(side, 0, margin).flip(side)
        after = image.narrow(side, image.shape[side] - margin, margin).flip(side)
        image = torch.cat([before, image, after], dim=side)
    return image


def framed(mask: Tensor | None, image: Tensor, margin: int = WRAP_PX) -> Tensor:
    """Return the mask with ``margin`` px of zeros on every side, the size of the ``wrapped`` image.

    ``mask`` (N, 1, H, W) belongs to ``image``; None means all of it.
    """
    mask = torch.ones_like(image[:, :1]) if mask is None else mask
    return functional.pad(mask, (margin,) * 4)


def folded(gradient: Tensor, margin: int = WRAP_PX) -> Tensor:
    """The gradient with respect to a picture from that with respect to its ``wrapped`` self: what
    lies in the margins is added where it came from (the adjoint).
    """
    for side in (-2, -1):
        size = gradient.shape[side] - 2 * margin
        before = gradient.narrow(side, 0, margin)
        after = gradient.narrow(side, margin + size, margin)
        gradient = gradient.narrow(side, margin, size).clone()
        gradient.narrow(side, size - margin, margin).add_(before)
        gradient.narrow(side, 0, margin).add_(after)
    return gradient


def resize_wrapped(image: Tensor, height: int, width: int) -> Tensor:
    """(N, C, H, W) → (N, C, height, width), the seam closed: the middle of three pictures in a
    column, then in a row, since only whole pictures keep their pixels in place at any size.
    """
    column = resize(image.repeat(1, 1, 3, 1), 3 * height, image.shape[3], "antialias")
    row = column[:, :, height : 2 * height].repeat(1, 1, 1, 3)
    return resize(row, height, 3 * width, "antialias")[..., width : 2 * width].contiguous()
