from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
import torch
from conftest import PAINTING, PHOTO, ROOT
from recipes import build_optimize

import impasto
from impasto.base.errors import ImageError
from impasto.images.picture import Picture
from impasto.images.read import read
from impasto.images.sizes import resize
from impasto.measures.evaluation import (
    CONTENT_LAYERS,
    STYLE_LAYERS,
    Distribution,
    Evaluation,
    border,
    edge_agreement,
    evaluate,
    luma,
    roughness,
    sliced_wasserstein,
    ssim,
    unit_distance,
)
from impasto.networks.layers import canonical
from impasto.settings.recipe_files import _read_toml

SIZE = 128


@pytest.fixture(scope="module")
def photo_128() -> Picture:
    return read(PHOTO).fitted(SIZE, "antialias")


@pytest.fixture(scope="module")
def painting_128() -> Picture:
    return read(PAINTING).fitted(SIZE, "antialias")


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(1))


# --- the whole ------------------------------------------------------------------------------------


def test_the_photo_itself_has_all_of_the_content_and_not_the_style(photo_128, painting_128):
    numbers = evaluate(photo_128, photo_128, painting_128)
    assert numbers.content_features == 0
    assert numbers.content_ssim == 1
    assert numbers.content_edges == 1
    assert numbers.style_covariance > 0.1
    assert numbers.style_wasserstein > 0.1
    assert numbers.palette > 0.02


def test_the_painting_itself_has_all_of_the_style_and_not_the_content(photo_128, painting_128):
    numbers = evaluate(painting_128, photo_128, [painting_128])
    assert numbers.style_covariance == numbers.style_wasserstein == numbers.palette == 0
    assert numbers.roughness == numbers.border == 1
    assert numbers.content_features > 0.5
    assert numbers.content_ssim < 0.5
    assert numbers.content_edges < 0.5


def test_files_larger_than_the_common_size_are_exactly_equal_to_themselves(monkeypatch):
    monkeypatch.setattr("impasto.measures.evaluation.MAX_LONG_SIDE_PX", SIZE)
    numbers = evaluate(PAINTING.read_bytes(), PAINTING, str(PAINTING))
    assert numbers == Evaluation(0, 0, 0, 1, 1, 0, 1, 1)


def test_a_blend_lies_between_the_photo_and_the_painting(photo_128, painting_128):
    height, width = photo_128.rgb.shape[-2:]
    blend = (photo_128.rgb + resize(painting_128.rgb, height, width, "antialias")) / 2
    photo, middle, painting = (
        evaluate(image, photo_128, painting_128) for image in (photo_128, blend, painting_128)
    )
    assert photo.content_features < middle.content_features < painting.content_features
    assert photo.content_ssim > middle.content_ssim > painting.content_ssim
    assert photo.content_edges > middle.content_edges > painting.content_edges
    assert photo.palette > middle.palette > painting.palette
    assert photo.style_wasserstein > middle.style_wasserstein > painting.style_wasserstein


def test_a_mirrored_painting_has_its_style(photo_128, painting_128):
    mirrored = evaluate(painting_128.rgb.flip(-1), photo_128, painting_128)
    photo = evaluate(photo_128, photo_128, painting_128)
    assert mirrored.style_covariance < photo.style_covariance / 10
    assert mirrored.style_wasserstein < photo.style_wasserstein / 4
    assert mirrored.palette == pytest.approx(0, abs=1e-4)


def test_noise_has_neither_content_nor_style_and_is_rough(photo_128, painting_128, noise):
    numbers = evaluate(noise, photo_128, painting_128)
    assert numbers.content_ssim < 0.1
    assert abs(numbers.content_edges) < 0.1
    assert numbers.content_features > 1
    assert numbers.roughness > 2
    assert numbers.style_wasserstein > 0.4


def test_a_frame_is_seen(photo_128, painting_128):
    framed = photo_128.rgb.clone()
    framed[..., :3, :] = framed[..., -3:, :] = 1
    framed[..., :, :3] = framed[..., :, -3:] = 1
    plain, seen = (evaluate(i, photo_128, painting_128).border for i in (photo_128, framed))
    assert seen > 2.5 * plain


def test_several_styles_give_the_mean(photo_128, painting_128, noise):
    one, other, both = (
        evaluate(photo_128, photo_128, styles)
        for styles in (painting_128, noise, [painting_128, noise])
    )
    for field in fields(Evaluation):
        mean = (getattr(one, field.name) + getattr(other, field.name)) / 2
        assert getattr(both, field.name) == pytest.approx(mean, rel=1e-9)


def test_flat_pictures_have_finite_numbers(photo_128, painting_128):
    grey = torch.full((1, 3, 64, 64), 0.5)
    for result, content, style in (
        (grey, grey, grey),
        (grey, photo_128, painting_128),
        (photo_128, grey, grey),
    ):
        assert all(math.isfinite(n) for n in evaluate(result, content, style).as_dict().values())
    assert evaluate(grey, grey, grey) == Evaluation(0, 0, 0, 1, 1, 0, 1, 1)


def test_what_is_refused(photo_128):
    with pytest.raises(ImageError, match="at least one"):
        evaluate(photo_128, photo_128, [])
    with pytest.raises(ImageError, match="512×20 px; both sides need at least 32"):
        evaluate(torch.zeros(3, 40, 1024), photo_128, photo_128)


@pytest.mark.parametrize(
    "preset",
    [
        path.stem
        for path in (ROOT / "src/impasto/settings/presets").glob("*.toml")
        if _read_toml(path).get("method") not in ("instant", "learned")  # which optimise nothing
    ],
)
def test_no_preset_optimises_a_layer_that_is_measured(preset):
    recipe = build_optimize(preset=preset)
    used = {canonical(layer) for layer in (*recipe.style_layers, *recipe.content_layers)}
    assert not used & {*STYLE_LAYERS, *CONTENT_LAYERS}


def test_every_number_is_explained():
    text = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
    for field in fields(Evaluation):
        assert f"`{field.name}`" in text


def test_it_is_public(photo_128):
    assert impasto.evaluate is evaluate
    assert impasto.evaluate(photo_128, photo_128, photo_128).content_ssim == 1


# --- its parts ------------------------------------------------------------------------------------


def test_sliced_wasserstein_of_a_shift_is_about_its_length(noise):
    shift = torch.tensor([0.3, 0.0, -0.4]).view(1, 3, 1, 1)  # of length 0.5
    distance = sliced_wasserstein(Distribution.of(noise), Distribution.of(noise + shift))
    assert distance == pytest.approx(0.5, rel=0.15)


def test_sliced_wasserstein_forgets_where_things_are_and_how_many(noise):
    shuffled = noise.flatten(2)[..., torch.randperm(96 * 128)].view_as(noise)
    twice = torch.cat([noise, noise], dim=3)
    for same in (shuffled, twice):
        distance = sliced_wasserstein(Distribution.of(noise), Distribution.of(same))
        assert distance == pytest.approx(0, abs=1e-3)


def test_unit_distance_forgets_the_length_of_features(noise):
    assert unit_distance(noise, 3 * noise) == pytest.approx(0, abs=1e-12)
    x, y = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    x[:, 0], y[:, 1] = 1, 1
    assert unit_distance(x, y) == pytest.approx(2), "features that share no channel"


def test_ssim_of_two_flat_images_is_the_papers_brightness_term():
    a, b = torch.full((1, 1, 32, 32), 0.2).double(), torch.full((1, 1, 32, 32), 0.6).double()
    assert ssim(a, b) == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4))


def test_ssim_falls_with_noise_and_is_negative_for_a_negative(photo_128, noise):
    photo = luma(photo_128.rgb)
    height, width = photo.shape[-2:]
    grain = luma(resize(noise, height, width, "antialias")) - 0.5
    assert 1 > ssim(photo, photo + 0.05 * grain) > ssim(photo, photo + 0.2 * grain) > 0
    texture = luma(noise)
    assert ssim(texture, 1 - texture) < -0.5


def test_edges_are_about_where_and_not_about_colour_or_contrast(photo_128):
    photo = luma(photo_128.rgb)
    assert edge_agreement(photo, 1 - photo / 2) == pytest.approx(1)
    assert edge_agreement(photo, photo.flip(-1)) < 0.5


def test_roughness_grows_with_grain_and_falls_with_blur(photo_128):
    photo = luma(photo_128.rgb)
    height, width = photo.shape[-2:]
    blurred = resize(resize(photo, height // 3, width // 3, "antialias"), height, width, "tutorial")
    grainy = photo + 0.1 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    assert roughness(blurred) < roughness(photo) / 2
    assert roughness(grainy) > roughness(photo) * 2
    ramp = torch.linspace(0, 1, 40).double().expand(1, 1, 40, 40)
    assert roughness(ramp) == pytest.approx(0, abs=1e-6)


def test_the_border_of_an_even_texture_does_not_stand_out(noise):
    assert border(noise) == pytest.approx(1, abs=0.05)


def test_costs_are_what_the_preset_gatys_minimises(photo_image, painting_image):
    size: dict[str, Any] = {"size": 64, "steps": 3, "precision": "float32", "device": "cpu"}
    result = impasto.stylize(photo_image, painting_image, preset="gatys", trim=0, **size)
    found = impasto.costs(result.array, photo_image.resize((64, 43)), painting_image)
    # The photo is brought to the size by another filter than the run's own.
    assert found.style == pytest.approx(result.losses.last["style"], rel=1e-3)
    assert found.total == pytest.approx(1e-3 * found.content + found.style)
    assert impasto.costs(photo_image, photo_image, painting_image).content == 0
