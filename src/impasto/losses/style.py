"""Style losses: what each gathers of a style image, and the loss that it makes of it.

A style loss is an object with the two functions of ``StyleLoss``. A loss of means and covariances
is ``MomentsLoss`` with a plain function, see ``moments.py``. New ones are added by
``impasto.register_loss``, or by a package in the entry point group ``impasto.losses``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

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
from impasto.networks.kernels.engine import Tap
from impasto.settings.methods import STYLE_LOSSES


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


class StyleLoss(Protocol):
    """A way to compare the features of a layer with those of style images."""

    has_goal: bool
    """Whether ``style_goal`` makes the loss steeper. False for a loss that is far above the goal
    even in a finished picture.
    """

    def gatherer(self, locations: int, guide: Tensor | None) -> Tap:
        """Return what looks at a layer while a style image goes through the encoder.

        Args:
            locations: The number of the layer's locations.
            guide: How much each location counts, (h, w), summing to 1. None: all the same.
        """
        ...

    def layer_loss(
        self, gathered: Sequence[tuple[Tap, float]], form: Form, guide: Tensor | None
    ) -> LayerLoss:
        """Return the loss of one layer; ``LayerLoss`` says what it has to do.

        Args:
            gathered: What ``gatherer`` returned for each style image of the region, after it has
                looked, and the style's weight. The weights sum to 1.
            form: How the loss is written.
            guide: How much each location of the picture counts, (h, w), summing to 1. None: all
                the same.
        """
        ...


@dataclass(frozen=True)
class MomentsLoss:
    """A loss that sees features through their mean and covariance alone.

    ``distance`` returns, for the moments of the style, a function of other moments: how far they
    are, a scalar that autograd can differentiate.
    """

    distance: Callable[[Moments, Form], Distance]
    has_goal: bool = True

    def gatherer(self, locations: int, guide: Tensor | None) -> Tap:
        """Return what gathers the moments."""
        return MomentsTap(guide=guide)

    def layer_loss(
        self, gathered: Sequence[tuple[Tap, float]], form: Form, guide: Tensor | None
    ) -> LayerLoss:
        """Return the distance to the blended moments of the styles."""
        parts = [(tap.moments, weight) for tap, weight in gathered if isinstance(tap, MomentsTap)]
        return MomentsTap(self.distance(Moments.blend(parts), form), guide)


@dataclass(frozen=True)
class SamplesLoss:
    """A loss that compares with features of the style images themselves, ``most`` of each.

    ``make`` returns the loss of a layer for the features (C, n) of each style with its weight, and
    the guide of the picture.
    """

    make: Callable[[Sequence[tuple[Tensor, float]], Tensor | None], LayerLoss]
    most: int
    has_goal: bool = True

    def gatherer(self, locations: int, guide: Tensor | None) -> Tap:
        """Return what keeps evenly spread features."""
        return Sampler(self.most, locations, guide)

    def layer_loss(
        self, gathered: Sequence[tuple[Tap, float]], form: Form, guide: Tensor | None
    ) -> LayerLoss:
        """Return the loss for the styles' features."""
        parts = [(tap.samples, weight) for tap, weight in gathered if isinstance(tap, Sampler)]
        return self.make(parts, guide)


GRAM = MomentsLoss(gram_distance)
MOMENTS = MomentsLoss(lambda target, form: moments_distance(target))
W2 = MomentsLoss(lambda target, form: gaussian_distance(target))
SWD = SamplesLoss(SlicedTap, most=1 << 16)
NEAREST = SamplesLoss(
    lambda samples, guide: NearestTap([features for features, _ in samples], guide),
    most=1 << 12,
    has_goal=False,
)


def style_loss(name: str) -> StyleLoss:
    """Return a style loss. Raises RecipeError: there is none of that name."""
    loss: StyleLoss = STYLE_LOSSES[name]
    return loss


def register_loss(name: str, loss: StyleLoss) -> None:
    """Add a style loss for this process, for the setting ``style_loss``; an installed package
    announces its losses instead in the entry point group ``impasto.losses``.

    Raises:
        ValueError: There is a loss of this name.
    """
    STYLE_LOSSES.register(name, loss)
