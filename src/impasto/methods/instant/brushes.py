"""Brushes of the method ``instant``: one network that knows many styles.

This module defines the meaning of ``strength`` for the method. For a built-in style it is the
opacity of the painted picture over the photo. Any other style is interpolated between the photo's
own style, at strength 0, and the chosen style, at strength 1, and extrapolated above 1.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from impasto.images.masks import visible
from impasto.images.picture import Picture
from impasto.methods.feed_forward.brushes import Brush, weighted_styles
from impasto.networks.load import load_magenta, load_multistyle
from impasto.runs.job import Job


def make_brushes(job: Job) -> list[Brush]:
    """Return a brush for the blended styles of a job, then one for the style of each region."""
    return [_blended(job, weighted, area) for area, weighted in enumerate(weighted_styles(job))]


def _blended(job: Job, weighted: list[tuple[Picture, float]], area: int) -> Brush:
    """Return the brush of the weighted mean of several styles, for an area."""
    device, dtype = job.device.device, job.device.dtype
    if weighted[0][0].built_in:
        fixed = load_multistyle(device, dtype)
        style = _sum_of((fixed.style(picture.name), weight) for picture, weight in weighted)
        return Brush(fixed.transformer, style.to(device), cover=job.recipe.strength, area=area)
    arbitrary = load_magenta(device, dtype)
    style = _sum_of((arbitrary.style(_opaque(picture)), weight) for picture, weight in weighted)
    strength = job.recipe.strength
    if strength != 1:
        style = torch.lerp(arbitrary.style(job.content.rgb), style, strength)
    return Brush(arbitrary.transformer, style.to(device), area=area)


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
