"""Brushes: networks with a style, with which the feed-forward methods paint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from impasto.images.picture import Picture
from impasto.networks.transformer import StyleTransformer
from impasto.runs.job import Job


@dataclass(frozen=True)
class Brush:
    """A network with a style.

    Attributes:
        network: The network.
        style: The parameters of the style, (1, P).
        cover: The opacity of the painted picture over the photo, 0 to 1.
        weight: The share of this brush in the picture, if several brushes paint the same area.
        area: The area to paint: 0 is the picture without its regions, and 1, 2, … are the regions
            of the job.
        slot: The key under which the frames of a shot share statistics. Different networks have
            different keys.
        has_grid: Whether the network leaves a grid on flat areas that has to be removed.
    """

    network: StyleTransformer
    style: Tensor
    cover: float = 1.0
    weight: float = 1.0
    area: int = 0
    slot: int = 0
    has_grid: bool = True


class BrushMaker(Protocol):
    """The part of a feed-forward method that makes brushes."""

    def brushes(self, job: Job) -> list[Brush]:
        """Return the brushes of a job: those of the whole picture, then those of its regions."""
        ...

    def depends_on_photo(self, job: Job) -> bool:
        """Return whether the brushes of a job depend on its photo."""
        ...


def weighted_styles(job: Job) -> list[list[tuple[Picture, float]]]:
    """Return the styles and weights of each area: of the whole picture, then of each region."""
    return [
        list(zip(job.styles, job.style_weights, strict=True)),
        *([(style, 1.0)] for _, style in job.regions),
    ]


def with_slots(styles: Sequence[Sequence[Brush]]) -> list[list[Brush]]:
    """Return the brushes of the styles of a film, with different slots for different networks."""
    slots: dict[tuple[int, int], int] = {}

    def slot(brush: Brush, index: int) -> int:
        return slots.setdefault((id(brush.network), index), len(slots))

    return [
        [replace(brush, slot=slot(brush, index)) for index, brush in enumerate(brushes)]
        for brushes in styles
    ]


def between(before: Sequence[Brush], after: Sequence[Brush], share: float) -> list[Brush]:
    """Return the brushes for a time between two styles of a film.

    If both styles are of the same network, their parameters are interpolated. Otherwise the
    pictures of both are blended.

    Args:
        before: The brushes of the earlier style.
        after: The brushes of the later style.
        share: The share of the later style, 0 to 1.
    """
    pairs = list(zip(before, after, strict=False))
    if len(before) == len(after) and all(old.network is new.network for old, new in pairs):
        return [replace(old, style=torch.lerp(old.style, new.style, share)) for old, new in pairs]
    shares = [(before, 1 - share), (after, share)]
    return [
        replace(brush, weight=brush.weight * part)
        for brushes, part in shares
        for brush in brushes
        if part
    ]
