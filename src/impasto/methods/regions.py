"""Which painting counts where: a job's styles and masks at one of its sizes, and the photo in their
colours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.images.color import match_palette
from impasto.images.limits import MIN_SIDE_PX
from impasto.images.masks import split, visible
from impasto.images.picture import Picture
from impasto.images.sizes import resize
from impasto.losses.style import Region, Style
from impasto.result import Job

LEAST_CONTRAST = 0.65
"""Of the photo's own, that an underpainting keeps: what a grey or black painting would leave of its
shapes nobody could see, nor paint.
"""


def regions_at(job: Job, height: int, width: int) -> list[Region]:
    """The regions of a picture of (height, width) px, on the job's device: what no region of the
    job covers, with the job's styles, then each of these with its own; all within its mask.

    Paintings shrink with the picture: strokes keep their size in it.
    """
    device = job.device.device
    shrunk = max(height, width) / max(job.content.height, job.content.width)

    def at_size(mask: Tensor) -> Tensor:
        return resize(mask, height, width, "antialias").to(device)

    base = [
        _style(picture, shrunk, device, weight)
        for picture, weight in zip(job.styles, job.style_weights, strict=True)
    ]
    mask = None if job.mask is None else at_size(job.mask)
    if not job.regions:
        return [Region(base, mask)]
    parts, left = split([at_size(part) for part, _ in job.regions])
    inside = torch.ones_like(left) if mask is None else mask
    own = [
        Region([_style(picture, shrunk, device)], part * inside)
        for part, (_, picture) in zip(parts, job.regions, strict=True)
    ]
    return [Region(base, left * inside), *own]


def underpainted(job: Job) -> Tensor:
    """The photo (1, 3, H, W), CPU, with as much of its paintings' palettes as ``recipe.underpaint``
    says; in a region with that of the region's painting.
    """
    photo = job.content.rgb
    share = job.recipe.underpaint * min(1.0, job.recipe.strength)
    if not share:
        return photo
    everywhere = torch.ones_like(photo[:, :1])
    counted = everywhere if job.mask is None else job.mask
    shown = visible(job.content)
    counted = counted if shown is None else counted * shown

    def recolored(painting: Picture, part: Tensor) -> Tensor:
        own = counted * part
        if not own.any():
            return photo
        shown = visible(painting)
        return match_palette(photo, painting.rgb, own, shown, contrast=LEAST_CONTRAST)

    parts, left = split([part for part, _ in job.regions]) if job.regions else ([], everywhere)
    base = torch.zeros_like(photo)
    for painting, weight in zip(job.styles, job.style_weights, strict=True):
        base += weight * recolored(painting, left)
    whole = left * base
    for part, (_, painting) in zip(parts, job.regions, strict=True):
        whole += part * recolored(painting, part)
    return torch.lerp(photo, whole, share)


def _style(picture: Picture, shrunk: float, device: torch.device, weight: float = 1.0) -> Style:
    share = max(shrunk, MIN_SIDE_PX / min(picture.height, picture.width))
    height, width = round(picture.height * share), round(picture.width * share)
    rgb = resize(picture.rgb, height, width, "antialias").to(device)
    shown = visible(picture)
    mask = None if shown is None else resize(shown, height, width, "antialias").to(device)
    return Style(rgb, mask, weight)
