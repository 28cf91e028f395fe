"""Seamless pictures, textures and reconstructions: what they mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from recipes import build_optimize
from torch.nn import functional

import impasto as library
from impasto.base.errors import RecipeError
from impasto.images.enlarge import enlarge
from impasto.images.seam import WRAP_PX, folded, resize_wrapped, wrapped
from impasto.images.sizes import resize
from impasto.library import synthesis
from impasto.losses.objective import Objective
from impasto.losses.style import Region, Style
from impasto.losses.total_variation import total_variation
from impasto.methods.optimize.memory import Demand
from impasto.networks.kernels import selection as kernels
from impasto.networks.kernels.engine import KEEP, Engine
from impasto.networks.load import load_encoder

QUICK: dict[str, Any] = {"steps": 12, "scales": 1}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(("height", "width", "margin"), [(9, 12, 3), (4, 5, 4), (40, 33, WRAP_PX)])
def test_folding_is_the_adjoint_of_wrapping(height, width, margin):
    image = torch.rand(1, 3, height, width, dtype=torch.float64, requires_grad=True)
    shown = functional.pad(image, (margin,) * 4, mode="circular")
    assert torch.equal(wrapped(image, margin), shown)
    gradient = torch.rand_like(shown)
    (expected,) = torch.autograd.grad(shown, image, gradient)
    torch.testing.assert_close(folded(gradient, margin), expected, rtol=1e-12, atol=1e-12)


def test_resizing_closes_the_seam():
    """Where the seam lies makes no difference."""
    image = 0.4 + 0.2 * torch.rand(1, 3, 33, 48, dtype=torch.float64)  # nothing to clamp
    larger = resize_wrapped(image, 66, 96)
    moved = resize_wrapped(image.roll((7, 11), dims=(-2, -1)), 66, 96)
    torch.testing.assert_close(larger.roll((14, 22), dims=(-2, -1)), moved)
    inside = (..., slice(8, -8), slice(8, -8))
    torch.testing.assert_close(larger[inside], resize(image, 66, 96, "antialias")[inside])
    flat = torch.full((1, 3, 66, 96), 0.5, dtype=torch.float64)
    torch.testing.assert_close(enlarge(image, flat, seamless=True), larger)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_seamless_variation_counts_the_step_over_the_seam(norm):
    stripes = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    stripes[..., 2:] = 1  # one edge inside, one at the seam
    count = total_variation(stripes, norm, seamless=True) / (8 if norm == "l1" else 8 / 16)
    assert count == 1
    moved = stripes.roll(1, dims=-1)
    assert total_variation(moved, norm, seamless=True) == total_variation(
        stripes, norm, seamless=True
    )


@pytest.mark.parametrize("bands", [(KEEP,) * 5, (3, 2, 2, 1, 1)])
def test_the_gradient_of_a_seamless_picture_is_its_slope(bands):
    """With content, a mask and bands; in float64, against the losses' difference."""
    settings: dict[str, Any] = {
        "seamless": True, "balance": "gradient", "loss_form": "relative",
        "content_weight": 1, "tv_weight": 2, "content_layers": "block3_conv2",
        "style_layers": "block1_conv1,block3_conv1",
    }  # fmt: skip
    recipe = build_optimize(settings, preset="gatys")
    content, style, image = 0.2 + 0.6 * torch.rand(3, 1, 3, 40, 48, dtype=torch.float64)
    mask = torch.rand(1, 1, 40, 48, dtype=torch.float64)
    encoder = load_encoder(recipe.weights, pooling="avg", unit_activations=True).double()
    engine = Engine(encoder, [*recipe.style_layers, *recipe.content_layers], bands=bands)
    objective = Objective(engine, recipe, content, [Region([Style(style)], mask)])
    losses, gradient = objective.losses_and_gradient(image)
    direction = torch.zeros_like(image)
    direction[..., :2] = torch.randn(2, dtype=torch.float64)  # at the seam
    ahead = objective.losses(image + 1e-5 * direction)
    behind = objective.losses(image - 1e-5 * direction)
    slope = (gradient * direction).sum().item()
    assert (ahead.total - behind.total) / 2e-5 == pytest.approx(slope, rel=1e-4)
    assert gradient.shape == image.shape
    assert losses.content > 0
    assert losses.style > 0


def test_a_seamless_picture_ignores_the_borders_of_its_painting():
    """A painting that tiles with itself has a style loss of zero against itself."""
    recipe = build_optimize(
        {"seamless": True, "content_weight": 0, "tv_weight": 0, "style_goal": 0}
    )
    quarter = torch.rand(1, 3, 32, 48)
    half = torch.cat([quarter, quarter.flip(2)], dim=2)
    tile = torch.cat([half, half.flip(3)], dim=3)  # its continuation is its reflection
    engine = Engine(load_encoder(recipe.weights), recipe.style_layers)
    objective = Objective(engine, recipe, tile, [Region([Style(tile)])])
    assert objective.losses(tile).style < 1e-4
    assert objective.losses(tile.flip(1)).style > 1e-2


def test_the_memory_plan_knows_what_the_network_sees():
    plain, seamless = build_optimize({"seamless": False}), build_optimize({"seamless": True})
    device = kernels.choose("cpu", "float32")
    ours = Demand.of(seamless, 256, 256, device).blocks()
    assert ours[0].rows == 256 + 2 * WRAP_PX
    assert Demand.of(plain, 256, 256, device).blocks()[0].rows == 256


def test_a_loss_of_nothing_but_smoothness_needs_no_network():
    image = torch.rand(1, 3, 32, 32)
    recipe = build_optimize({"content_weight": 0, "style_weight": 0, "tv_weight": 1})
    engine = Engine(load_encoder(recipe.weights), ["block1_conv1"])
    losses, gradient = Objective(engine, recipe, image, []).losses_and_gradient(image)
    assert losses.total == losses.tv > 0
    assert gradient.abs().max() > 0


def test_a_texture_has_exactly_the_size_and_nothing_of_a_photo(painting):
    result = library.texture(painting, 96, 57, **QUICK, palette=0)
    assert (result.width, result.height) == (96, 57)
    first, last = result.losses.first, result.losses.last
    assert last["style"] < 0.2 * first["style"]
    assert first["content"] == last["content"] == 0


def test_the_edges_of_a_seamless_texture_fit_together(painting):
    def jump_over_neighbours(seamless: bool) -> float:
        """Differences over the seams, over those between neighbours near them."""
        layers = "block1_conv1,block2_conv1,block3_conv1"
        settings: dict[str, Any] = {
            "seamless": seamless,
            "scales": 2,
            "steps": 40,
            "style_layers": layers,
        }
        pixels = library.texture(painting, 80, 64, **settings).array
        over = [np.abs(pixels[0] - pixels[-1]), np.abs(pixels[:, 0] - pixels[:, -1])]
        near = [
            np.abs(np.diff(strip, axis=axis))
            for axis, strips in (
                (0, (pixels[:9], pixels[-9:])),
                (1, (pixels[:, :9], pixels[:, -9:])),
            )
            for strip in strips
        ]
        return np.mean([x.mean() for x in over]) / np.mean([x.mean() for x in near])

    assert jump_over_neighbours(True) < 1.5
    assert jump_over_neighbours(False) > 1.7


@pytest.mark.parametrize(
    "setting",
    ["content_weight", "color", "mask", "underpaint", "detail", "size", "enlarge", "method"],
)
def test_a_texture_has_no_photo_to_ask_about(setting, painting):
    settings: dict[str, Any] = {setting: 1}
    with pytest.raises(RecipeError, match=f"{setting} can't be set for a texture"):
        library.texture(painting, 64, 64, **settings)


def test_a_texture_has_no_photo_to_begin_with(painting):
    with pytest.raises(RecipeError, match="no photo that the method instant"):
        library.texture(painting, 64, 64, init="instant")


def test_a_texture_too_small_for_the_network(painting):
    with pytest.raises(RecipeError, match="64×16 px is too small"):
        library.texture(painting, 64, 16)


def test_low_layers_keep_the_photo_and_high_ones_do_not(photo):
    def distance(layer: str) -> float:
        result = library.reconstruct(photo, layers=layer, size=64, steps=50)
        target = result.job.content.rgb[0].permute(1, 2, 0).numpy()
        return float(np.abs(result.array - target).mean())

    low, high = distance("block1_conv2"), distance("block4_conv2")
    photo_rgb = library.read(photo).fitted(64, "antialias").rgb
    noise = (torch.rand_like(photo_rgb) - photo_rgb).abs().mean().item()
    assert low < 0.5 * high
    assert high < noise


def test_a_reconstruction_of_style_forgets_where_things_are(painting):
    result = library.reconstruct(painting, "style", layers=["block1_conv1"], size=64, steps=25)
    assert result.losses.last["style"] < 0.01 * result.losses.first["style"]
    assert result.losses.last["content"] == 0
    target = result.job.content.rgb[0].permute(1, 2, 0).numpy()
    assert np.abs(result.array.mean((0, 1)) - target.mean((0, 1))).max() < 0.05  # its colours
    assert np.abs(result.array - target).mean() > 0.1


def test_reconstructing_from_something_else(photo):
    with pytest.raises(RecipeError, match="from content or from style, not 'colour'"):
        library.reconstruct(photo, "colour", layers="block1_conv1")  # type: ignore[arg-type]


def test_the_figure_is_the_papers():
    assert synthesis.FIGURE["content"][3] == ["block4_conv2"]
    assert synthesis.FIGURE["style"][1] == ["block1_conv1", "block2_conv1"]
