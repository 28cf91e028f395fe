"""The objective: the weighted sum of content, style and total variation loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from impasto.losses.content import content_layer_loss
from impasto.losses.gram import gram_matrix, style_layer_loss
from impasto.losses.layers import over_layers
from impasto.losses.total_variation import total_variation
from impasto.networks.vgg19 import VGG19
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
        encoder: VGG19,
        recipe: Recipe,
        content: Tensor,
        styles: Sequence[Tensor],
        style_weights: Sequence[float],
    ) -> None:
        self.encoder = encoder
        self.recipe = recipe
        self.layers = {*recipe.style_layers, *recipe.content_layers}
        with torch.no_grad():
            features = encoder(content, recipe.content_layers)
            self.content_targets = {name: layer.float() for name, layer in features.items()}
            grams = [
                {name: gram_matrix(f) for name, f in encoder(style, recipe.style_layers).items()}
                for style in styles
            ]
        self.style_targets = {
            layer: torch.stack(
                [w * g[layer] for w, g in zip(style_weights, grams, strict=True)]
            ).sum(0)
            for layer in recipe.style_layers
        }

    def terms(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The weighted content, style and total variation loss of ``image`` (1, 3, H, W)."""
        recipe = self.recipe
        features = self.encoder(image, self.layers)
        grams = {layer: gram_matrix(features[layer]) for layer in recipe.style_layers}
        content = over_layers(
            content_layer_loss,
            features,
            self.content_targets,
            recipe.content_layers,
            recipe.loss_form,
        )
        style = over_layers(
            style_layer_loss, grams, self.style_targets, recipe.style_layers, recipe.loss_form
        )
        return (
            recipe.content_weight * content,
            recipe.style_weight * style,
            recipe.tv_weight * total_variation(image, recipe.tv_norm),
        )

    @torch.no_grad()
    def losses(self, image: Tensor) -> Losses:
        """The terms as numbers."""
        return _as_losses(self.terms(image))

    def losses_and_gradient(self, image: Tensor) -> tuple[Losses, Tensor]:
        """The terms, and the gradient of their sum with respect to ``image``, of its shape."""
        image = image.detach().requires_grad_()
        with torch.enable_grad():
            terms = self.terms(image)
            (gradient,) = torch.autograd.grad(torch.stack(terms).sum(), image)
        return _as_losses(terms), gradient


def _as_losses(terms: tuple[Tensor, Tensor, Tensor]) -> Losses:
    content, style, tv = torch.stack(terms).tolist()
    return Losses(content, style, tv, content + style + tv)
