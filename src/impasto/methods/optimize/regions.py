"""Which painting counts where: a job's styles and masks at one of its sizes, and the photo in their
colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from impasto.images.color import match_palette, to_oklab
from impasto.images.limits import MIN_SIDE_PX
from impasto.images.masks import split, visible
from impasto.images.picture import Picture
from impasto.images.sizes import resize
from impasto.losses.figures import plainness
from impasto.losses.style import Region, Style
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.networks.vgg19 import VGG19
from impasto.runs.job import Job
from impasto.settings.objective import ObjectiveSettings

Settings = TypeVar("Settings", bound=ObjectiveSettings)

LEAST_PLAIN, MOST_PLAIN = 0.25, 0.5
"""Share of plain places up to which a style image counts as a picture of things, and from which on
as one of shapes and textures. Portraits and interiors have 0.03 to 0.26, landscapes, drawings and
mosaics 0.5 to 0.75.
"""
GREY, COLOURED = 0.02, 0.05
"""Mean Oklab chroma up to which a style image counts as grey, and from which on as coloured."""
GREY_SHARE = 0.25
"""How much the layers of block4 and block5 count in a grey picture of things, of what they count in
a coloured one. With nothing but light and shade to match, they bend the photo's shapes into the
style image's.
"""
LEAST_CONTRAST = 0.65
"""Of its own, that a picture keeps when it takes a palette: what a grey or black painting would
leave of its shapes nobody could see, nor paint.
"""


def regions_at(
    job: Job, height: int, width: int, plain: Mapping[Picture, Tensor] | None = None
) -> list[Region]:
    """The regions of a picture of (height, width) px, on the job's device: what no region of the
    job covers, with the job's styles, then each of these with its own; all within its mask.

    Paintings shrink with the picture: strokes keep their size in it. ``plain`` comes from
    ``plain_places``.
    """
    device, figures = job.device.device, OptimizeSettings.of(job.recipe).figures
    shrunk = max(height, width) / max(job.content.height, job.content.width)

    def at_size(mask: Tensor) -> Tensor:
        return resize(mask, height, width, "antialias").to(device)

    base = [
        _style(picture, shrunk, device, weight, plain, figures)
        for picture, weight in zip(job.styles, job.style_weights, strict=True)
    ]
    mask = None if job.mask is None else at_size(job.mask)
    if not job.regions:
        return [Region(base, mask)]
    parts, left = split([at_size(part) for part, _ in job.regions])
    inside = torch.ones_like(left) if mask is None else mask
    own = [
        Region([_style(picture, shrunk, device, 1.0, plain, figures)], part * inside)
        for part, (_, picture) in zip(parts, job.regions, strict=True)
    ]
    return [Region(base, left * inside), *own]


def underpainted(job: Job) -> Tensor:
    """The photo (1, 3, H, W), CPU, with as much of its paintings' palettes as ``recipe.underpaint``
    says.
    """
    share = OptimizeSettings.of(job.recipe).underpaint
    return in_palettes(job, job.content.rgb, share, contrast=LEAST_CONTRAST)


def in_palettes(job: Job, image: Tensor, share: float, *, contrast: float = 0.0) -> Tensor:
    """An image (1, 3, h, w), CPU, of any size, with ``share`` of its paintings' palettes, in a
    region with that of the region's painting: see ``match_palette``. Less for a strength below 1.
    """
    share *= OptimizeSettings.of(job.recipe).finish_strength
    if not share:
        return image
    height, width = image.shape[-2:]

    def at_size(mask: Tensor) -> Tensor:
        return resize(mask, height, width, "antialias").clamp(0, 1)

    counted = everywhere = torch.ones_like(image[:, :1])
    for mask in (job.mask, visible(job.content)):
        counted = counted if mask is None else counted * at_size(mask)

    def recolored(painting: Picture, part: Tensor) -> Tensor:
        own = counted * part
        if not own.any():
            return image
        shown = visible(painting)
        return match_palette(image, painting.rgb, own, shown, contrast=contrast)

    regions = [at_size(part) for part, _ in job.regions]
    parts, left = split(regions) if regions else ([], everywhere)
    base = torch.zeros_like(image)
    for painting, weight in zip(job.styles, job.style_weights, strict=True):
        base += weight * recolored(painting, left)
    whole = left * base
    for part, (_, painting) in zip(parts, job.regions, strict=True):
        whole += part * recolored(painting, part)
    return torch.lerp(image, whole, share)


def plain_places(job: Job, encoder: VGG19) -> dict[Picture, Tensor]:
    """How plain each place of each style image is, a mask (1, 1, h, w): see ``plainness``. Nothing
    where the recipe doesn't ask for it.
    """
    recipe = OptimizeSettings.of(job.recipe)
    if recipe.figures == 1 and not recipe.plain_style_layers:
        return {}
    styles = {*job.styles, *(style for _, style in job.regions)}
    return {style: plainness(encoder, style.rgb.to(job.device.device)) for style in styles}


def suited(recipe: Settings, plain: Mapping[Picture, Tensor]) -> Settings:
    """A recipe with the style layers' weights that suit its style images."""
    if not recipe.plain_style_layers:
        return recipe
    share = sum(float(mask.mean()) for mask in plain.values()) / len(plain)
    plainer = min(1.0, max(0.0, (share - LEAST_PLAIN) / (MOST_PLAIN - LEAST_PLAIN)))
    usual, other = recipe.style_layers, recipe.plain_style_layers
    large = 1 - (1 - GREY_SHARE) * _greyness(plain)
    drawn = {
        layer: weight * (large if layer.startswith(("block4", "block5")) else 1.0)
        for layer, weight in usual.items()
    }
    mixed = {
        layer: (1 - plainer) * drawn.get(layer, 0.0) + plainer * other.get(layer, 0.0)
        for layer in {**usual, **other}
    }
    # Relative losses are divided by the sum of their weights: here by that of the usual ones.
    kept = sum(mixed.values()) / sum(usual.values())
    if recipe.loss_form != "relative":
        return recipe.model_copy(update={"style_layers": mixed})
    weight, goal = kept * recipe.style_weight, recipe.style_goal / kept
    changed = {"style_layers": mixed, "style_weight": weight, "style_goal": goal}
    return recipe.model_copy(update=changed)


def _greyness(styles: Iterable[Picture]) -> float:
    """How close pictures are to grey ones: 0 (coloured) to 1, the mean over the pictures."""
    shares = []
    for style in styles:
        chroma = float(to_oklab(style.rgb)[:, 1:].norm(dim=1).mean())
        shares.append(min(1.0, max(0.0, (COLOURED - chroma) / (COLOURED - GREY))))
    return sum(shares) / len(shares)


def _style(
    picture: Picture,
    shrunk: float,
    device: torch.device,
    weight: float,
    plain: Mapping[Picture, Tensor] | None,
    figures: float,
) -> Style:
    share = max(shrunk, MIN_SIDE_PX / min(picture.height, picture.width))
    height, width = round(picture.height * share), round(picture.width * share)

    def at_size(image: Tensor) -> Tensor:
        return resize(image, height, width, "antialias").to(device)

    shown = visible(picture)
    return Style(
        at_size(picture.rgb),
        None if shown is None else at_size(shown),
        weight,
        at_size(plain[picture]).clamp(figures, 1) if plain and figures < 1 else None,
    )
