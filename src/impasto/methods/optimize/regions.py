"""The regions of a job at one of its scales, and recolouring to the palettes of its styles."""

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

MIN_PLAIN_SHARE, MAX_PLAIN_SHARE = 0.25, 0.5
"""Share of plain places up to which a style image counts as a picture of things, and above which it
counts as one of shapes and textures. Portraits and interiors have 0.03 to 0.26, landscapes,
drawings and mosaics 0.5 to 0.75.
"""
GREY_CHROMA, COLOURED_CHROMA = 0.02, 0.05
"""Mean Oklab chroma up to which a style image counts as grey, and above which as coloured."""
GREY_SHARE = 0.25
"""Factor of the weights of block4 and block5 for a grey picture of things, relative to a coloured
one. When only light and shade can match, these layers bend the photo's shapes into those of the
style image.
"""
MIN_CONTRAST = 0.65
"""Smallest share of its contrast that a picture keeps when it takes a palette. Otherwise the
palette of a grey or black style image would make its shapes invisible.
"""


def regions_at(
    job: Job, height: int, width: int, plain: Mapping[Picture, Tensor] | None = None
) -> list[Region]:
    """Return the regions of a job at one of its scales, on its device.

    The first region is the part that no region of the job covers, with the styles of the job. The
    others are the job's regions with their own styles. All lie within the job's mask. Style images
    shrink with the picture, so strokes keep their size relative to it.

    Args:
        job: The job.
        height: The height of the scale, px.
        width: The width of the scale, px.
        plain: The plain places of the style images, see ``plain_places``.
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
    parts, remaining = split([at_size(part) for part, _ in job.regions])
    inside = torch.ones_like(remaining) if mask is None else mask
    regions = [
        Region([_style(picture, shrunk, device, 1.0, plain, figures)], part * inside)
        for part, (_, picture) in zip(parts, job.regions, strict=True)
    ]
    return [Region(base, remaining * inside), *regions]


def underpainted(job: Job) -> Tensor:
    """Return the photo, (1, 3, H, W) on the CPU, with ``recipe.underpaint`` of the palettes."""
    share = OptimizeSettings.of(job.recipe).underpaint
    return in_palettes(job, job.content.rgb, share, contrast=MIN_CONTRAST)


def in_palettes(job: Job, image: Tensor, share: float, *, contrast: float = 0.0) -> Tensor:
    """Return an image recoloured to the palettes of a job's style images, see ``match_palette``.

    A region takes the palette of its own style image. A strength below 1 reduces the effect.

    Args:
        job: The job.
        image: The image, (1, 3, h, w), on the CPU, of any size.
        share: The share of the recoloured image in the result, 0 to 1.
        contrast: The smallest share of its contrast that the image keeps.
    """
    share *= OptimizeSettings.of(job.recipe).finish_strength
    if not share:
        return image
    height, width = image.shape[-2:]

    def at_size(mask: Tensor) -> Tensor:
        return resize(mask, height, width, "antialias").clamp(0, 1)

    painted = everywhere = torch.ones_like(image[:, :1])  # (1, 1, h, w)
    for mask in (job.mask, visible(job.content)):
        painted = painted if mask is None else painted * at_size(mask)

    def recolored(painting: Picture, part: Tensor) -> Tensor:
        painted_part = painted * part
        if not painted_part.any():
            return image
        opaque = visible(painting)
        return match_palette(image, painting.rgb, painted_part, opaque, contrast=contrast)

    regions = [at_size(part) for part, _ in job.regions]
    parts, remaining = split(regions) if regions else ([], everywhere)
    base = torch.zeros_like(image)
    for painting, weight in zip(job.styles, job.style_weights, strict=True):
        base += weight * recolored(painting, remaining)
    whole = remaining * base
    for part, (_, painting) in zip(parts, job.regions, strict=True):
        whole += part * recolored(painting, part)
    return torch.lerp(image, whole, share)


def plain_places(job: Job, encoder: VGG19) -> dict[Picture, Tensor]:
    """Return the plainness of each place of each style image, (1, 1, h, w), see ``plainness``.

    The result is empty if the recipe doesn't need it.
    """
    recipe = OptimizeSettings.of(job.recipe)
    if recipe.figures == 1 and not recipe.plain_style_layers:
        return {}
    styles = {*job.styles, *(style for _, style in job.regions)}
    return {style: plainness(encoder, style.rgb.to(job.device.device)) for style in styles}


def suited(recipe: Settings, plain: Mapping[Picture, Tensor]) -> Settings:
    """Return a recipe whose style layers have the weights that suit its style images.

    Args:
        recipe: The recipe.
        plain: The plain places of the style images, see ``plain_places``.
    """
    if not recipe.plain_style_layers:
        return recipe
    share = sum(float(mask.mean()) for mask in plain.values()) / len(plain)
    plainer = min(1.0, max(0.0, (share - MIN_PLAIN_SHARE) / (MAX_PLAIN_SHARE - MIN_PLAIN_SHARE)))
    figure_layers, plain_layers = recipe.style_layers, recipe.plain_style_layers
    high_layer_factor = 1 - (1 - GREY_SHARE) * _greyness(plain)
    reduced = {
        layer: weight * (high_layer_factor if layer.startswith(("block4", "block5")) else 1.0)
        for layer, weight in figure_layers.items()
    }
    mixed = {
        layer: (1 - plainer) * reduced.get(layer, 0.0) + plainer * plain_layers.get(layer, 0.0)
        for layer in {**figure_layers, **plain_layers}
    }
    # Relative losses are divided by the sum of the weights. The factor below turns that into a
    # division by the sum of ``figure_layers``.
    kept = sum(mixed.values()) / sum(figure_layers.values())
    if recipe.loss_form != "relative":
        return recipe.model_copy(update={"style_layers": mixed})
    weight, goal = kept * recipe.style_weight, recipe.style_goal / kept
    changed = {"style_layers": mixed, "style_weight": weight, "style_goal": goal}
    return recipe.model_copy(update=changed)


def _greyness(styles: Iterable[Picture]) -> float:
    """Return how grey pictures are, 0 (coloured) to 1 (grey), the mean over the pictures."""
    shares = []
    for style in styles:
        chroma = float(to_oklab(style.rgb)[:, 1:].norm(dim=1).mean())
        shares.append(
            min(1.0, max(0.0, (COLOURED_CHROMA - chroma) / (COLOURED_CHROMA - GREY_CHROMA)))
        )
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

    opaque = visible(picture)
    return Style(
        at_size(picture.rgb),
        None if opaque is None else at_size(opaque),
        weight,
        at_size(plain[picture]).clamp(figures, 1) if plain and figures < 1 else None,
    )
