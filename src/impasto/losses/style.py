"""The interface of style losses, and the built-in ones.

A style loss is an object with the two methods of ``StyleLoss``. A loss of means and covariances is
a ``MomentsLoss`` of a plain function, see ``moments.py``. A program adds a loss by
``impasto.register_loss``, and a package by the entry point group ``impasto.losses``.
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
    """A style image of a region.

    Attributes:
        rgb: The pixels, (1, 3, h, w) in [0, 1].
        mask: The part of the image that counts, (1, 1, h, w), or None for the whole image.
        weight: The weight among the styles of the region.
        plain: How much each place counts in the layers of blocks 4 and 5, (1, 1, h, w). None: all
            the same.
    """

    rgb: Tensor
    mask: Tensor | None = None
    weight: float = 1.0
    plain: Tensor | None = None

    def mask_in(self, layer: str) -> Tensor | None:
        """Return how much each place counts in a layer, (1, 1, h, w). None: all the same."""
        if self.plain is None or layer < "block4":
            return self.mask
        return self.plain if self.mask is None else self.plain * self.mask


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the picture and its styles.

    Attributes:
        styles: The styles, whose weights sum to 1.
        mask: The part, (1, 1, H, W) in [0, 1], or None for the whole picture.
    """

    styles: Sequence[Style]
    mask: Tensor | None = None


class Sampler:
    """A tap that keeps evenly spread features of a layer.

    Args:
        max_samples: The largest number of features.
        locations: The number of the layer's locations.
        guide: How much each location counts, (h, w). Those with at least half of the maximum are
            sampled. None: all are.
    """

    def __init__(self, max_samples: int, locations: int, guide: Tensor | None = None) -> None:
        self.inside = None if guide is None else inside(guide)
        count = locations if self.inside is None else int(self.inside.sum())
        self.stride = max(1, -(-count // max_samples))
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
        """The features, (C, n)."""
        return torch.cat(self.parts, dim=1)


class StyleLoss(Protocol):
    """A way to compare the features of a layer with those of style images."""

    has_goal: bool
    """Whether ``style_goal`` makes the loss steeper. It is False for a loss that stays far above
    the goal even in a finished picture.
    """

    def gatherer(self, locations: int, guide: Tensor | None) -> Tap:
        """Return the tap that sees a layer while a style image passes through the encoder.

        Args:
            locations: The number of the layer's locations.
            guide: How much each location counts, (h, w), summing to 1. None: all the same.
        """
        ...

    def layer_loss(
        self, gathered: Sequence[tuple[Tap, float]], form: Form, guide: Tensor | None
    ) -> LayerLoss:
        """Return the loss of one layer; ``LayerLoss`` is its interface.

        Args:
            gathered: The tap from ``gatherer`` for each style image of the region, after the style
                image has passed, and the weight of the style. The weights sum to 1.
            form: The form of the loss.
            guide: How much each location of the picture counts, (h, w), summing to 1. None: all
                the same.
        """
        ...


@dataclass(frozen=True)
class MomentsLoss:
    """A loss that sees only the mean and covariance of features.

    Attributes:
        distance: Returns the loss for the moments of the style: a function of other moments, whose
            result is a scalar that autograd can differentiate.
        has_goal: See ``StyleLoss``.
    """

    distance: Callable[[Moments, Form], Distance]
    has_goal: bool = True

    def gatherer(self, locations: int, guide: Tensor | None) -> Tap:
        """Return a tap that gathers the moments."""
        return MomentsTap(guide=guide)

    def layer_loss(
        self, gathered: Sequence[tuple[Tap, float]], form: Form, guide: Tensor | None
    ) -> LayerLoss:
        """Return the distance to the blended moments of the styles."""
        parts = [(tap.moments, weight) for tap, weight in gathered if isinstance(tap, MomentsTap)]
        return MomentsTap(self.distance(Moments.blend(parts), form), guide)


@dataclass(frozen=True)
class SamplesLoss:
    """A loss that compares features with those of the style images themselves.

    Attributes:
        make: Returns the loss of a layer, given the features (C, n) of each style with its weight,
            and the guide of the picture.
        max_samples: The largest number of features that are kept of each style image.
        has_goal: See ``StyleLoss``.
    """

    make: Callable[[Sequence[tuple[Tensor, float]], Tensor | None], LayerLoss]
    max_samples: int
    has_goal: bool = True

    def gatherer(self, locations: int, guide: Tensor | None) -> Tap:
        """Return a tap that keeps evenly spread features."""
        return Sampler(self.max_samples, locations, guide)

    def layer_loss(
        self, gathered: Sequence[tuple[Tap, float]], form: Form, guide: Tensor | None
    ) -> LayerLoss:
        """Return the loss for the styles' features."""
        parts = [(tap.samples, weight) for tap, weight in gathered if isinstance(tap, Sampler)]
        return self.make(parts, guide)


GRAM = MomentsLoss(gram_distance)
MOMENTS = MomentsLoss(lambda target, form: moments_distance(target))
W2 = MomentsLoss(lambda target, form: gaussian_distance(target))
SWD = SamplesLoss(SlicedTap, max_samples=1 << 16)
NEAREST = SamplesLoss(
    lambda samples, guide: NearestTap([features for features, _ in samples], guide),
    max_samples=1 << 12,
    has_goal=False,
)


def style_loss(name: str) -> StyleLoss:
    """Return a style loss by its name.

    Raises:
        RecipeError: There is no loss of that name.
    """
    loss: StyleLoss = STYLE_LOSSES[name]
    return loss


def register_loss(name: str, loss: StyleLoss) -> None:
    """Register a style loss in this process, under a name for the setting ``style_loss``.

    An installed package announces its losses in the entry point group ``impasto.losses`` instead.

    Args:
        name: The name, a lower-case identifier.
        loss: The style loss.

    Raises:
        ValueError: The name is taken, or isn't a lower-case identifier.
    """
    STYLE_LOSSES.register(name, loss)
