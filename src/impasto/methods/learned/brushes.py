"""Brushes of the method ``learned``: a network for each style."""

from __future__ import annotations

from functools import lru_cache

import torch

from impasto.images.picture import Picture
from impasto.methods.feed_forward.brushes import Brush, weighted_styles
from impasto.networks.learned import network_of
from impasto.networks.transformer import StyleTransformer
from impasto.runs.job import Job
from impasto.styles.style_file import read_parameters

KEPT_NETWORKS = 8
"""Largest number of networks that are kept in memory; each takes a few MB."""


def make_brushes(job: Job) -> list[Brush]:
    """Return a brush for each style of a job, then one for each region.

    Several styles are blended by blending their pictures. The parameters of independently trained
    networks can't be interpolated.
    """
    return [
        _brush(job, picture, weight, area)
        for area, weighted in enumerate(weighted_styles(job))
        for picture, weight in weighted
        if weight
    ]


def _brush(job: Job, picture: Picture, weight: float, area: int) -> Brush:
    """Return the brush of a learned style with a weight, for an area."""
    assert picture.style_file is not None  # ``check_accepted`` ensures this
    device, dtype = job.device.device, job.device.dtype
    network, style = _load(picture.style_file, picture.name, device, dtype)
    cover = job.recipe.strength
    return Brush(network, style, cover, weight, area, has_grid=False)


@lru_cache(maxsize=KEPT_NETWORKS)
def _load(
    data: bytes, name: str, device: torch.device, dtype: torch.dtype
) -> tuple[StyleTransformer, torch.Tensor]:
    """Return the network in a style file, and its style, (1, P)."""
    info, arrays = read_parameters(data, name)
    parameters = {key: torch.from_numpy(values) for key, values in arrays.items()}
    style = parameters.pop("style")
    return network_of(info.shape, parameters).to(device, dtype), style.to(device)
