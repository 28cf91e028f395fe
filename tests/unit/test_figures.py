"""What a style image depicts is not to be copied: where it shows things, and what that changes."""

from __future__ import annotations

import pytest
import torch
from conftest import ROOT
from PIL import Image

import impasto
from impasto.images.sizes import resize
from impasto.losses.figures import plainness
from impasto.losses.style import Style
from impasto.methods.optimize.regions import GREY_SHARE, plain_places, regions_at, suited
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.methods.optimize.setup import make_engine
from impasto.networks.load import load_encoder

PHOTO = ROOT / "examples/photos/coffee.png"


def painting(name: str) -> str:
    return str(ROOT / f"examples/paintings/{name}.webp")


def plain(name: str) -> torch.Tensor:
    return plainness(load_encoder(unit_activations=True), impasto.read(painting(name)).rgb)


def test_a_portrait_shows_things_and_a_landscape_hardly_any():
    portrait, landscape = plain("pere_tanguy"), plain("watercolour")
    assert portrait.mean() < 0.2
    assert landscape.mean() > 0.5
    assert landscape.min() >= 0
    assert landscape.max() <= 1


def test_a_face_is_found_where_it_is():
    found = plain("painter_on_the_road")  # a man with a hat, below the middle; sky above
    height, width = found.shape[-2:]
    sky = found[..., : height // 6, width // 3 : 2 * width // 3]
    man = found[..., height // 2 : 3 * height // 4, width // 3 : 2 * width // 3]
    assert man.mean() < sky.mean() - 0.2


@pytest.mark.parametrize("name", ["cafe_terrace", "ink"])
def test_a_smaller_picture_shows_the_same_things(name):
    rgb = impasto.read(painting(name)).rgb
    shrunk = resize(rgb, rgb.shape[-2] // 2, rgb.shape[-1] // 2, "antialias")
    encoder = load_encoder(unit_activations=True)
    assert plainness(encoder, shrunk).mean() == pytest.approx(
        float(plainness(encoder, rgb).mean()), abs=0.15
    )


def test_the_largest_shapes_of_a_grey_picture_of_things_count_less(tmp_path):
    grey = tmp_path / "grey.png"
    Image.open(painting("pere_tanguy")).convert("L").save(grey)
    job = impasto.prepare(PHOTO, grey, size=400)
    given = OptimizeSettings.of(job.recipe)
    recipe = suited(given, dict.fromkeys(job.styles, torch.zeros(1, 1, 8, 8)))
    usual = given.style_layers
    for layer, weight in recipe.style_layers.items():
        share = GREY_SHARE if layer in ("block4_conv1", "block5_conv1") else 1
        assert weight == pytest.approx(share * usual[layer])


@pytest.mark.parametrize(("name", "share"), [("pere_tanguy", 0), ("watercolour", 1)])
def test_the_style_layers_weights_suit_the_painting(name, share):
    job = impasto.prepare(PHOTO, painting(name), size=400)
    given = OptimizeSettings.of(job.recipe)
    recipe = suited(given, plain_places(job, make_engine(job).encoder))
    wanted = [given.style_layers, given.plain_style_layers][share]
    assert recipe.style_layers == pytest.approx(wanted)
    # Both the loss and its goal are on the scale of the usual weights.
    scale = sum(wanted.values()) / sum(given.style_layers.values())
    assert recipe.style_weight == pytest.approx(scale * given.style_weight)
    assert recipe.style_goal * scale == pytest.approx(given.style_goal)


def test_a_recipe_that_does_not_ask_looks_for_nothing():
    job = impasto.prepare(PHOTO, painting("harvest"), preset="gatys", size=64)
    assert plain_places(job, make_engine(job).encoder) == {}
    recipe = OptimizeSettings.of(job.recipe)
    assert suited(recipe, {}) is recipe


def test_things_count_less_in_the_high_layers_alone():
    job = impasto.prepare(PHOTO, painting("pere_tanguy"), size=400)
    places = plain_places(job, make_engine(job).encoder)
    (region,) = regions_at(job, 400, 400, places)
    (style,) = region.styles
    assert style.mask_in("block3_conv1") is None
    counted = style.mask_in("block4_conv1")
    assert counted.shape[-2:] == style.rgb.shape[-2:]
    assert counted.min() == pytest.approx(OptimizeSettings.of(job.recipe).figures)
    half = torch.full_like(counted, 0.5)
    assert Style(style.rgb, half, plain=counted).mask_in("block5_conv1").max() <= 0.5
