"""Views of a picture that is shifted by a few pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def shifted(image: Tensor, down: int, right: int, *, seamless: bool = False) -> Tensor:
    """(N, C, H, W) moved ``down`` and ``right`` by so many px, of the same size. What comes in at
    the edges is the picture's reflection, or in a ``seamless`` picture its other side.
    """
    if (down, right) == (0, 0):
        return image
    if seamless:
        return image.roll((down, right), dims=(-2, -1))
    margin = max(abs(down), abs(right))
    height, width = image.shape[-2:]
    padded = functional.pad(image, (margin,) * 4, mode="reflect")
    top, left = margin - down, margin - right
    return padded[..., top : top + height, left : left + width].contiguous()


def unshifted(gradient: Tensor, down: int, right: int, *, seamless: bool = False) -> Tensor:
    """The gradient with respect to a picture from that with respect to its ``shifted`` view."""
    if (down, right) == (0, 0):
        return gradient
    with torch.enable_grad():
        image = torch.zeros_like(gradient).requires_grad_()
        view = shifted(image, down, right, seamless=seamless)
        (seen,) = torch.autograd.grad(view, image, gradient)
    return seen
