"""The objective: the weighted sum of content, style and total variation loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from impasto.losses.content import ContentTap, Recorder, of_squares
from impasto.losses.gram import GramTap, style_layer_loss
from impasto.losses.layers import over_layers
from impasto.losses.total_variation import total_variation
from impasto.networks.engine import Engine, Pass, Tap
from impasto.recipe import Recipe


@dataclass(frozen=True)
class Losses:
    """The terms of the objective, each with its weight, and their sum."""

    content: float
    style: float
    tv: float
    total: float

    @property
    def finite(self) -> bool:
        return math.isfinite(self.total)

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


class Objective:
    """α·content + β·style + γ·tv of an image, against one content image and one or more style
    images (Gatys et al. 2016, equation 7; total variation as in the TensorFlow tutorial).

    ``content`` (1, 3, H, W) and each of ``styles`` (1, 3, h, w) are RGB in [0, 1]; several styles
    are blended by their Gram matrices, weighted with ``style_weights`` (which sum to 1).
    """

    def __init__(
        self,
        engine: Engine,
        recipe: Recipe,
        content: Tensor,
        styles: Sequence[Tensor],
        style_weights: Sequence[float],
    ) -> None:
        self.engine, self.recipe = engine, recipe
        self.style_targets = self._blended_grams(styles, style_weights)
        recorders = {layer: Recorder() for layer in recipe.content_layers}
        engine.forward(content, _by_layer(recorders), keep=False)
        self.content = {layer: ContentTap(r.features()) for layer, r in recorders.items()}
        self.style = {layer: GramTap() for layer in recipe.style_layers}
        self.taps = _by_layer(self.content, self.style)

    def losses(self, image: Tensor) -> Losses:
        """The weighted terms for ``image`` (1, 3, H, W)."""
        self._forward(image, keep=False)
        losses, _ = self._losses_and_slopes(image)
        return losses

    def losses_and_gradient(self, image: Tensor) -> tuple[Losses, Tensor]:
        """The terms, and the gradient of their sum with respect to ``image``, of its shape."""
        done = self._forward(image, keep=True)
        losses, gradient = self._losses_and_slopes(image)
        return losses, gradient + self.engine.backward(done, self.taps)

    def _forward(self, image: Tensor, *, keep: bool) -> Pass:
        for content in self.content.values():
            content.start()
        for style in self.style.values():
            style.start()
        return self.engine.forward(image, self.taps, keep=keep)

    def _losses_and_slopes(self, image: Tensor) -> tuple[Losses, Tensor]:
        """The terms after a forward pass, and the gradient of the total variation; sets the slopes.

        Features never see autograd, but what is small does: losses are what their functions say.
        """
        recipe = self.recipe
        with torch.enable_grad():
            image = image.detach().requires_grad_()
            grams = {layer: tap.matrix.requires_grad_() for layer, tap in self.style.items()}
            squares = {layer: tap.squares.requires_grad_() for layer, tap in self.content.items()}
            counts = {layer: tap.target.numel() for layer, tap in self.content.items()}
            content = over_layers(
                of_squares, squares, counts, recipe.content_layers, recipe.loss_form
            )
            style = over_layers(
                style_layer_loss, grams, self.style_targets, recipe.style_layers, recipe.loss_form
            )
            terms = torch.stack(
                [
                    recipe.content_weight * content,
                    recipe.style_weight * style,
                    recipe.tv_weight * total_variation(image, recipe.tv_norm),
                ]
            )
            gradient, *slopes = torch.autograd.grad(
                terms.sum(), [image, *grams.values(), *squares.values()]
            )
        for style_tap in self.style.values():
            style_tap.slope = slopes.pop(0)
        for content_tap in self.content.values():
            content_tap.slope = slopes.pop(0)
        numbers = terms.tolist()
        return Losses(numbers[0], numbers[1], numbers[2], sum(numbers)), gradient

    def _blended_grams(
        self, styles: Sequence[Tensor], weights: Sequence[float]
    ) -> dict[str, Tensor]:
        """The Gram matrices (1, C, C) that the image's are compared with, by layer."""
        blended: dict[str, Tensor] = {}
        for style, weight in zip(styles, weights, strict=True):
            taps = {layer: GramTap() for layer in self.recipe.style_layers}
            self.engine.forward(style, _by_layer(taps), keep=False)
            for layer, tap in taps.items():
                matrix = weight * tap.matrix
                blended[layer] = blended[layer] + matrix if layer in blended else matrix
        return blended


def _by_layer(*taps: Mapping[str, Tap]) -> dict[str, list[Tap]]:
    layers = {layer for group in taps for layer in group}
    return {layer: [group[layer] for group in taps if layer in group] for layer in layers}
