"""Brushes: networks with a style, with which the method ``instant`` paints.

This module defines the meaning of ``strength`` for the method. For a built-in style it is the
opacity of the painted picture over the photo. Any other style is interpolated between the photo's
own style, at strength 0, and the chosen style, at strength 1, and extrapolated above 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.base.errors import RecipeError
from impasto.images.masks import visible
from impasto.images.picture import Picture
from impasto.networks.load import load_magenta, load_multistyle
from impasto.networks.transformer import StyleTransformer
from impasto.runs.job import Job


@dataclass(frozen=True)
class Brush:
    """A network with a style.

    Attributes:
        network: The network.
        style: The parameters of the style, (1, P).
        cover: The opacity of the painted picture over the photo, 0 to 1.
    """

    network: StyleTransformer
    style: Tensor
    cover: float = 1.0


def check_styles(job: Job) -> None:
    """Check that the built-in styles of a job support its settings.

    Raises:
        RecipeError: A setting isn't possible with a built-in style.
    """
    recipe = job.recipe
    for style in (*job.styles, *(style for _, style in job.regions)):
        if style.built_in and recipe.strength > 1:
            raise RecipeError(f"a built-in style's strength is at most 1, not {recipe.strength:g}")
        if style.built_in and recipe.color in ("match", "histogram"):
            raise RecipeError(
                f"{style.name} can't be recoloured; choose the color content, or a painting"
            )


def depends_on_photo(job: Job) -> bool:
    """Return whether the brushes of a job depend on its photo."""
    return job.recipe.strength != 1 and not job.styles[0].built_in


def make_brushes(job: Job) -> list[Brush]:
    """Return a brush for the blended styles of a job, then one for the style of each region."""
    weighted = list(zip(job.styles, job.style_weights, strict=True))
    return [_blended(job, weighted), *(_blended(job, [(style, 1.0)]) for _, style in job.regions)]


def _blended(job: Job, weighted: list[tuple[Picture, float]]) -> Brush:
    device, dtype = job.device.device, job.device.dtype
    if weighted[0][0].built_in:
        fixed = load_multistyle(device, dtype)
        style = _sum_of((fixed.style(picture.name), weight) for picture, weight in weighted)
        return Brush(fixed.transformer, style.to(device), cover=job.recipe.strength)
    arbitrary = load_magenta(device, dtype)
    style = _sum_of((arbitrary.style(_opaque(picture)), weight) for picture, weight in weighted)
    strength = job.recipe.strength
    if strength != 1:
        style = torch.lerp(arbitrary.style(job.content.rgb), style, strength)
    return Brush(arbitrary.transformer, style.to(device))


def _sum_of(weighted: Iterator[tuple[Tensor, float]]) -> Tensor:
    """Return Σ weight · tensor."""
    return torch.stack([tensor * weight for tensor, weight in weighted]).sum(0)


def _opaque(painting: Picture) -> Tensor:
    """Return a style image whose transparent parts are filled with the mean of the others."""
    shown = visible(painting)
    if shown is None:
        return painting.rgb
    mean = (painting.rgb * shown).sum((2, 3), keepdim=True) / shown.sum()
    return torch.lerp(mean.expand_as(painting.rgb), painting.rgb, shown)
