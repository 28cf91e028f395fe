"""The engine against autograd through the same network, which is slow but beyond doubt."""

from __future__ import annotations

import pytest
import torch

from impasto.losses.content import content_layer_loss
from impasto.losses.gram import gram_matrix, style_layer_loss
from impasto.losses.layers import shares
from impasto.losses.objective import Objective
from impasto.losses.style import Region, Style
from impasto.losses.total_variation import total_variation
from impasto.networks.engine import KEEP, Engine
from impasto.networks.load import load_encoder
from impasto.recipe import build

PRESETS = ["tutorial", "gatys", "studio"]


def picture(height: int, width: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    """Random, but smooth enough for every layer to have something to see."""
    small = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)


def by_autograd(encoder, recipe, content, style, image):
    """(terms, gradient), written as in the papers."""
    image = image.clone().requires_grad_()
    layers = [*recipe.style_layers, *recipe.content_layers]
    ours, theirs, original = (encoder(picture, layers) for picture in (image, style, content))
    grams = [{n: gram_matrix(f[n]) for n in recipe.style_layers} for f in (ours, theirs)]
    form = recipe.loss_form
    content_terms = [
        weight * content_layer_loss(ours[n], original[n], form)
        for n, weight in shares(recipe.content_layers, form).items()
    ]
    style_terms = [
        weight * style_layer_loss(grams[0][n], grams[1][n], form)
        for n, weight in shares(recipe.style_layers, form).items()
    ]
    terms = [
        recipe.content_weight * sum(content_terms),
        recipe.style_weight * sum(style_terms),
        recipe.tv_weight * total_variation(image, recipe.tv_norm),
    ]
    (gradient,) = torch.autograd.grad(sum(terms), image)
    return [term.item() for term in terms], gradient


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("bands", [(KEEP,) * 5, (1, 1, 1, 1, 1), (3, 2, KEEP, 2, 1), (9,) * 5])
@pytest.mark.parametrize("preset", PRESETS)
def test_losses_and_gradient_are_autograds(preset, bands):
    recipe = build({"style_loss": "gram"}, preset=preset)
    encoder = load_encoder(
        pooling=recipe.pooling, unit_activations=recipe.unit_activations, dtype=torch.float64
    )
    content, style, image = picture(75, 66), picture(50, 61, 1), picture(75, 66, 2)
    terms, gradient = by_autograd(encoder, recipe, content, style, image)
    engine = Engine(encoder, [*recipe.style_layers, *recipe.content_layers], bands=bands)
    losses, ours = Objective(engine, recipe, content, [Region([Style(style)])]).losses_and_gradient(
        image
    )
    assert [losses.content, losses.style, losses.tv] == pytest.approx(terms, rel=1e-9)
    assert relative(ours, gradient) < 1e-9


@pytest.mark.parametrize("layer", ["block1_conv1", "block2_pool", "block3_conv4", "block4_pool"])
@pytest.mark.parametrize("bands", [(KEEP,) * 5, (2,) * 5])
def test_any_layer_can_be_the_highest(layer, bands):
    recipe = build({"style_layers": [layer], "content_layers": [layer]}, preset="tutorial")
    encoder = load_encoder(dtype=torch.float64)
    content, style, image = picture(49, 64), picture(50, 61, 1), picture(49, 64, 2)
    terms, gradient = by_autograd(encoder, recipe, content, style, image)
    engine = Engine(encoder, [layer], bands=bands)
    losses, ours = Objective(engine, recipe, content, [Region([Style(style)])]).losses_and_gradient(
        image
    )
    assert [losses.content, losses.style, losses.tv] == pytest.approx(terms, rel=1e-9)
    assert relative(ours, gradient) < 1e-9
