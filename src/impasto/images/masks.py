"""Masks: which part of a picture is meant, (1, 1, H, W) in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from impasto.base.errors import ImageError
from impasto.images.limits import Limits
from impasto.images.picture import Picture
from impasto.images.read import Source, read
from impasto.images.sizes import resize

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601."""


def read_mask(source: Source, limits: Limits | None = None, size: int | None = None) -> Tensor:
    """A mask from an image: its transparency if it has any, else its brightness, white for "here".

    Any size, any softness; a larger image than ``size`` px, where given, may be read at a smaller
    size. Raises ImageError: not an image, or black everywhere.
    """
    needed_side = None if size is None else lambda *_: size
    picture = read(source, limits=limits, min_side=1, needed_side=needed_side)
    shown = visible(picture)
    mask = luma(picture.rgb).clamp(0, 1) if shown is None else shown
    if mask.max() == 0:
        raise ImageError(f"{picture.name} is black everywhere: nothing would be painted there")
    return mask


def luma(rgb: Tensor) -> Tensor:
    """(N, 3, H, W) → (N, 1, H, W), brightness as it is encoded."""
    weights = rgb.new_tensor(LUMA).view(1, 3, 1, 1)
    return (rgb * weights).sum(dim=1, keepdim=True)


def fit_mask(mask: Tensor, height: int, width: int, feather: float = 0.0) -> Tensor:
    """Resized to (height, width), its edge softened over about ``feather`` per cent of the long
    side; what was 0 and 1 further away from the edge than that stays so.
    """
    fitted = resize(mask, height, width, "antialias")
    radius = round(max(height, width) * feather / 200)
    return blur(fitted, radius) if radius else fitted


def blur(image: Tensor, radius: int) -> Tensor:
    """The mean over two squares of ``radius`` in turn, (N, C, H, W), edges continued: nearly a
    Gaussian of the same width, in a time that doesn't depend on it.
    """
    for part in (radius // 2, radius - radius // 2):
        if part:
            image = box(image, part)
    return image


def box(image: Tensor, radius: int) -> Tensor:
    """The mean over a square of side 2·``radius`` + 1, (N, C, H, W), edges continued."""
    side = 2 * radius + 1
    across = functional.pad(image, (radius, radius, 0, 0), mode="replicate")
    image = functional.avg_pool2d(across, (1, side), stride=1)
    down = functional.pad(image, (0, 0, radius, radius), mode="replicate")
    return functional.avg_pool2d(down, (side, 1), stride=1)


def split(masks: list[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Masks of regions that may overlap → masks that sum to at most 1, a later one over an earlier,
    and what is left of the picture.
    """
    left = torch.ones_like(masks[0])
    parts: list[Tensor] = []
    for mask in reversed(masks):
        parts.insert(0, mask * left)
        left = left * (1 - mask)
    return parts, left


def only_inside(stylized: Tensor, photo: Tensor, mask: Tensor) -> Tensor:
    """``stylized`` where the mask is 1, ``photo`` to the bit where it is 0, and between."""
    return torch.where(mask > 0, torch.lerp(photo, stylized, mask), photo)


def visible(picture: Picture) -> Tensor | None:
    """The part of a painting that isn't transparent; None if that is all of it."""
    return None if picture.alpha is None or picture.alpha.min() == 1 else picture.alpha
