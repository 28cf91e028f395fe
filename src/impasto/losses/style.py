"""The families of style losses: what each gathers of a painting, and what it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from impasto.losses.layers import Form, LayerLoss, inside, rows_of
from impasto.losses.moments import (
    Distance,
    Moments,
    MomentsTap,
    flattened,
    gram_distance,
    moments_distance,
)
from impasto.losses.nearest import NearestTap
from impasto.losses.wasserstein import SlicedTap, gaussian_distance

StyleLoss = Literal["gram", "moments", "w2", "swd", "nearest"]

DISTANCES: dict[str, Callable[[Moments, Form], Distance]] = {
    "gram": gram_distance,
    "moments": lambda target, form: moments_distance(target),
    "w2": lambda target, form: gaussian_distance(target),
}
"""The losses that see features through their moments alone."""
SAMPLES: dict[str, int] = {"swd": 1 << 16, "nearest": 1 << 12}
"""The losses that compare with the painting's features themselves, and with how many of them."""


@dataclass(frozen=True, eq=False)
class Style:
    """A painting ``rgb`` (1, 3, h, w) in [0, 1], the part of it that is meant, a mask (1, 1, h, w)
    or None for all, and how much it counts among the styles of its region. ``plain`` (1, 1, h, w)
    is how much each place counts in the layers of blocks 4 and 5, None for all the same.
    """

    rgb: Tensor
    mask: Tensor | None = None
    weight: float = 1.0
    plain: Tensor | None = None

    def mask_in(self, layer: str) -> Tensor | None:
        """How much each place counts in a layer, (1, 1, h, w), or None for all the same."""
        if self.plain is None or layer < "block4":
            return self.mask
        return self.plain if self.mask is None else self.plain * self.mask


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the picture, a mask (1, 1, H, W) in [0, 1] or None for all of it, and its styles,
    whose weights sum to 1.
    """

    styles: Sequence[Style]
    mask: Tensor | None = None


class Sampler:
    """Keeps evenly spread features of a layer while a painting goes up."""

    def __init__(self, most: int, locations: int, guide: Tensor | None = None) -> None:
        self.inside = None if guide is None else inside(guide)
        count = locations if self.inside is None else int(self.inside.sum())
        self.stride = max(1, -(-count // most))
        self.parts: list[Tensor] = []

    def look(self, features: Tensor, top: int) -> None:
        flat = flattened(features)
        if self.inside is not None:
            flat = flat[:, rows_of(self.inside, features, top).flatten()]
        self.parts.append(flat[:, :: self.stride].clone())

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        raise NotImplementedError("a sampler has no loss")

    @property
    def samples(self) -> Tensor:
        """(C, n)."""
        return torch.cat(self.parts, dim=1)


def gatherer(kind: str, locations: int, guide: Tensor | None) -> MomentsTap | Sampler:
    """What looks at a layer of a painting for the loss ``kind``; it has so many ``locations``."""
    if kind in DISTANCES:
        return MomentsTap(guide=guide)
    return Sampler(SAMPLES[kind], locations, guide)


def style_loss(
    kind: str,
    form: Form,
    gathered: Sequence[tuple[MomentsTap | Sampler, float]],
    guide: Tensor | None,
) -> LayerLoss:
    """The loss ``kind`` of one layer, from what was gathered of each style, and its weight."""
    moments = [(tap.moments, weight) for tap, weight in gathered if isinstance(tap, MomentsTap)]
    samples = [(tap.samples, weight) for tap, weight in gathered if isinstance(tap, Sampler)]
    if kind in DISTANCES:
        return MomentsTap(DISTANCES[kind](Moments.blend(moments), form), guide)
    if kind == "swd":
        return SlicedTap(samples, guide)
    return NearestTap([features for features, _ in samples], guide)
