"""The engine against autograd through the same network, which is slow but beyond doubt."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recipes import build_optimize

import impasto
from impasto.images.seam import wrapped
from impasto.images.shift import Views
from impasto.losses.gram import gram_matrix, style_layer_loss
from impasto.losses.layers import Form, shares
from impasto.losses.objective import Objective, steepened
from impasto.losses.style import Region, Style
from impasto.losses.total_variation import total_variation
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.networks.kernels.engine import KEEP, AutogradEngine, Engine
from impasto.networks.load import load_encoder

PRESETS = ["tutorial", "gatys", "studio"]


def picture(height: int, width: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    """Random, but smooth enough for every layer to have something to see."""
    small = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)


def content_layer_loss(f: torch.Tensor, p: torch.Tensor, form: Form) -> torch.Tensor:
    """The content loss of a layer's features F and P, a scalar: Gatys et al. 2016, equation 1, its
    mean as in TensorFlow's tutorial, or relative to P.
    """
    squares = (f - p).square().sum()
    factor = {"paper": 0.5, "tutorial": 1 / p.numel(), "relative": 1 / p.square().sum().item()}
    return squares * factor[form]


def by_autograd(encoder, recipe, content, style, image, shift=(0, 0)):
    """(terms, gradient), written as in the papers."""
    image = image.clone().requires_grad_()
    layers = [*recipe.style_layers, *recipe.content_layers]
    views = Views([shift], *image.shape[-2:])
    seen = views.of(image), style, views.of(content)
    ours, theirs, original = (encoder(picture, layers) for picture in seen)
    grams = [{n: gram_matrix(f[n]) for n in recipe.style_layers} for f in (ours, theirs)]
    form = recipe.loss_form
    if form == "relative":  # to the content image itself, whatever the view
        measure = encoder(content, layers)
        sizes = {n: original[n].square().sum() / measure[n].square().sum() for n in layers}
    else:
        sizes = dict.fromkeys(layers, 1.0)
    content_terms = [
        weight * sizes[n] * content_layer_loss(ours[n], original[n], form)
        for n, weight in shares(recipe.content_layers, form).items()
    ]
    style_terms = [
        weight * style_layer_loss(grams[0][n], grams[1][n], form)
        for n, weight in shares(recipe.style_layers, form).items()
    ]
    style_term = sum(style_terms)
    if recipe.style_goal:
        style_term = (style_term / recipe.style_goal) ** 3 * recipe.style_goal / 3
    terms = [
        recipe.content_weight * sum(content_terms),
        recipe.style_weight * style_term,
        recipe.tv_weight * total_variation(image, recipe.tv_norm),
    ]
    (gradient,) = torch.autograd.grad(sum(terms), image)
    return [term.item() for term in terms], gradient


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("bands", [(KEEP,) * 5, (1, 1, 1, 1, 1), (3, 2, KEEP, 2, 1), (9,) * 5])
@pytest.mark.parametrize("preset", PRESETS)
def test_losses_and_gradient_are_autograds(preset, bands):
    # A goal so far away that the steepened loss isn't yet a straight line.
    goal = {"style_goal": 10} if preset == "studio" else {}
    recipe = build_optimize({"style_loss": "gram", **goal}, preset=preset)
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


@pytest.mark.parametrize("seamless", [False, True])
def test_the_gradient_of_a_shifted_view_is_autograds(seamless):
    recipe = build_optimize({"style_loss": "gram", "seamless": seamless, "style_goal": 10})
    encoder = load_encoder(unit_activations=True, dtype=torch.float64)
    content, style, image = picture(64, 80), picture(50, 61, 1), picture(64, 80, 2)
    engine = Engine(encoder, [*recipe.style_layers, *recipe.content_layers])
    regions = [Region([Style(style)])]
    objective = Objective(engine, recipe, content, regions, shifts=((0, 0), (3, -5)))
    objective.begin_step(3)  # the second one, after the first one once more
    _, gradient = objective.losses_and_gradient(image)
    if seamless:  # what is shifted round the edges and back is what a torus would see
        moved_content = content.roll((3, -5), (-2, -1))
        (layer,) = recipe.content_layers
        size, moved_size = (
            encoder(wrapped(seen), [layer])[layer].square().sum().item()
            for seen in (content, moved_content)
        )
        weight = recipe.content_weight * moved_size / size  # relative to the content image itself
        moved_recipe = recipe.model_copy(update={"content_weight": weight})
        moved = Objective(engine, moved_recipe, moved_content, regions)
        _, expected = moved.losses_and_gradient(image.roll((3, -5), (-2, -1)))
        expected = expected.roll((-3, 5), (-2, -1))
    else:
        _, expected = by_autograd(encoder, recipe, content, style, image, (3, -5))
    assert relative(gradient, expected) < 1e-9


@pytest.mark.parametrize("loss", [0.01, 0.03, 0.0599, 0.0601, 0.3])
def test_a_steepened_loss_has_its_slope_and_pulls_as_before_at_its_goal(loss):
    goal = 0.03
    x = torch.tensor(loss, dtype=torch.float64, requires_grad=True)
    ratio, slope = steepened(x, goal)
    (expected,) = torch.autograd.grad(ratio * x, x)
    assert slope.item() == pytest.approx(expected.item(), rel=1e-9)
    assert steepened(torch.tensor(goal), goal)[1] == 1


@pytest.mark.parametrize("layer", ["block1_conv1", "block2_pool", "block3_conv4", "block4_pool"])
@pytest.mark.parametrize("bands", [(KEEP,) * 5, (2,) * 5])
def test_any_layer_can_be_the_highest(layer, bands):
    recipe = build_optimize({"style_layers": [layer], "content_layers": [layer]}, preset="tutorial")
    encoder = load_encoder(dtype=torch.float64)
    content, style, image = picture(49, 64), picture(50, 61, 1), picture(49, 64, 2)
    terms, gradient = by_autograd(encoder, recipe, content, style, image)
    engine = Engine(encoder, [layer], bands=bands)
    losses, ours = Objective(engine, recipe, content, [Region([Style(style)])]).losses_and_gradient(
        image
    )
    assert [losses.content, losses.style, losses.tv] == pytest.approx(terms, rel=1e-9)
    assert relative(ours, gradient) < 1e-9


@pytest.mark.parametrize("style_loss", ["gram", "moments", "w2", "swd", "nearest"])
def test_the_engine_and_autograd_agree_on_every_loss(style_loss):
    recipe = build_optimize({"style_loss": style_loss})
    encoder = load_encoder(unit_activations=True, dtype=torch.float64)
    content, style, image = picture(64, 80), picture(50, 61, 1), picture(64, 80, 2)
    layers = [*recipe.style_layers, *recipe.content_layers]
    results = []
    for engine in (Engine(encoder, layers), AutogradEngine(encoder)):
        objective = Objective(engine, recipe, content, [Region([Style(style)])])
        results.append(objective.losses_and_gradient(image))
    (losses, gradient), (expected_losses, expected) = results
    assert losses.total == pytest.approx(expected_losses.total, rel=1e-9)
    assert relative(gradient, expected) < 1e-6  # w2 ends in float32


def test_a_picture_can_be_painted_by_autograd(photo, painting):
    settings: dict[str, Any] = {"size": 64, "steps": 4, "scales": 1, "precision": "float32"}
    ours = impasto.stylize(photo, painting, **settings)
    reference = impasto.stylize(photo, painting, kernel="autograd", **settings)
    assert OptimizeSettings.of(reference.recipe).kernel == "autograd"
    assert abs(ours.array - reference.array).max() < 0.02
