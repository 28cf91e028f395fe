"""The method learned: pictures of a network in a style file."""

from __future__ import annotations

import hashlib
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from style_files import PLAIN, SMALL, WHOLE, style_bytes

import impasto
from impasto.base.errors import ImageError, RecipeError
from impasto.library import api
from impasto.networks.learned import initial_parameters, layers_of, network_of, paint_to_train
from impasto.networks.tiles import paint_in_bands
from impasto.styles import bundled, names
from impasto.video.painting import Key, frame_painter

EXACT: dict[str, Any] = {"precision": "float32"}
SHAPES = [SMALL, WHOLE, PLAIN]


@pytest.fixture
def swirl(tmp_path):
    path = tmp_path / "swirl.style"
    path.write_bytes(style_bytes())
    return str(path)


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "other.style"
    path.write_bytes(style_bytes(WHOLE, seed=5))
    return str(path)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_trained_function_is_the_one_that_paints(shape):
    parameters = initial_parameters(shape, 1)
    parameters["style"] += 0.1
    image = torch.rand(2, 3, 40, 64)
    network = network_of(shape, {k: v for k, v in parameters.items() if k != "style"})
    painted = network(image, parameters["style"])
    trained = paint_to_train(layers_of(shape), parameters, image)
    assert torch.allclose(painted, trained, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_every_parameter(shape):
    parameters = {
        name: value.double().requires_grad_()
        for name, value in initial_parameters(shape, 2).items()
    }
    image = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    weights = torch.rand(1, 3, 16, 16, dtype=torch.float64)

    def loss() -> torch.Tensor:
        return (weights * paint_to_train(layers_of(shape), parameters, image)).sum()

    # The map of colours of a network that isn't normalised isn't trained.
    used = {n: value for n, value in parameters.items() if n != "style" or shape.normalised}
    gradients = torch.autograd.grad(loss(), list(used.values()))
    for (name, value), gradient in zip(used.items(), gradients, strict=True):
        direction = torch.randn_like(value)
        with torch.no_grad():
            values = []
            for step in (1e-6, -1e-6):
                value += step * direction
                values.append(loss())
                value -= step * direction
        slope = (values[0] - values[1]) / 2e-6
        assert float(slope) == pytest.approx(
            float((gradient * direction).sum()), rel=1e-3, abs=1e-6
        ), name


@pytest.mark.parametrize("shape", SHAPES)
def test_a_picture_in_bands_is_the_same(shape):
    parameters = initial_parameters(shape, 1)
    style = parameters.pop("style")
    style = style + 0.1 * torch.randn(style.shape, generator=torch.Generator().manual_seed(0))
    network, image = network_of(shape, parameters), torch.rand(1, 3, 203, 90)
    picture = torch.empty_like(image)
    assert list(paint_in_bands(network, image, style, picture, rows=64))[-1] == pytest.approx(1)
    assert torch.allclose(picture, network(image, style), atol=1e-5)


def test_a_style_file_selects_the_method(photo_image, swirl):
    result = impasto.stylize(photo_image, swirl)
    assert result.recipe.method == "learned"
    assert result.image.size == photo_image.size
    note = result.job.note()["styles"][0]
    assert note["name"] == "swirl.style"
    assert len(note["sha256"]) == 64


def test_the_same_bytes_again(photo_image, swirl):
    first, second = (impasto.stylize(photo_image, swirl).encode() for _ in range(2))
    assert first == second


def test_a_style_file_in_memory(photo_image, swirl):
    from_file = impasto.stylize(photo_image, swirl).array
    assert (impasto.stylize(photo_image, style_bytes()).array == from_file).all()


def test_pictures_of_several_styles_are_blended(photo_image, swirl, other):
    one, two = (impasto.stylize(photo_image, style, **EXACT).array for style in (swirl, other))
    both = impasto.stylize(photo_image, [(swirl, 3.0), (other, 1.0)], **EXACT).array
    assert np.allclose(both, 0.75 * one + 0.25 * two, atol=1e-5)


def test_strength_fades_to_the_photo(photo_image, swirl):
    photo = np.asarray(photo_image, np.float32) / 255
    whole = impasto.stylize(photo_image, swirl, **EXACT).array
    half = impasto.stylize(photo_image, swirl, strength=0.5, **EXACT).array
    assert np.allclose(half, (photo + whole) / 2, atol=1e-5)
    with pytest.raises(RecipeError, match="at most 1"):
        impasto.stylize(photo_image, swirl, strength=1.5)


def test_a_region_has_a_style_file_of_its_own(photo_image, swirl, other, tmp_path):
    mask = Image.new("L", photo_image.size)
    mask.paste(255, (0, 0, 40, 64))
    mask.save(tmp_path / "mask.png")
    result = impasto.stylize(
        photo_image, swirl, region={str(tmp_path / "mask.png"): other}, feather=0, **EXACT
    )
    one, two = (impasto.stylize(photo_image, style, **EXACT).array for style in (swirl, other))
    assert np.allclose(result.array[:, 60:], one[:, 60:], atol=1e-5)
    assert np.allclose(result.array[:, :30], two[:, :30], atol=1e-5)


def test_colours_of_the_photo(photo_image, swirl):
    kept = impasto.stylize(photo_image, swirl, color="content", **EXACT).array
    assert not np.allclose(kept, impasto.stylize(photo_image, swirl, **EXACT).array, atol=0.01)
    with pytest.raises(RecipeError, match="can't be recoloured"):
        impasto.stylize(photo_image, swirl, color="match")


def test_a_stylizer(photo_image, swirl):
    paint = impasto.Stylizer(swirl)
    expected = impasto.stylize(photo_image, swirl).image
    assert np.array_equal(np.asarray(paint(photo_image)), np.asarray(expected))
    again = pickle.loads(pickle.dumps(paint))
    assert np.array_equal(np.asarray(again(photo_image)), np.asarray(expected))


def test_images_and_style_files_need_different_methods(photo_image, painting_image, swirl):
    with pytest.raises(RecipeError, match="needs a style file, and image is an image"):
        impasto.stylize(photo_image, painting_image, method="learned")
    for method in ("instant", "optimize"):
        with pytest.raises(RecipeError, match=f"a style of the method learned, not of {method}"):
            impasto.stylize(photo_image, swirl, method=method)


def test_a_name_that_is_none(photo_image):
    with pytest.raises(ImageError, match="nor a style of that name"):
        impasto.stylize(photo_image, "no-such-style")


@pytest.fixture
def bundled_ink(tmp_path, monkeypatch):
    """A network that has learned the bundled painting ``ink``."""
    painting = bundled.paintings()["ink"]
    digest = hashlib.sha256(painting.read_bytes()).hexdigest()
    path = tmp_path / "ink.style"
    path.write_bytes(style_bytes(sources=[{"name": "ink.webp", "sha256": digest}]))
    monkeypatch.setattr(bundled, "learned_styles", lambda: {"ink": path})
    names._by_source.cache_clear()
    yield painting
    names._by_source.cache_clear()


def test_a_bundled_painting_is_recognised_by_its_bytes(bundled_ink, tmp_path, painting_image):
    copy = tmp_path / "renamed.webp"
    copy.write_bytes(bundled_ink.read_bytes())
    painting_image.save(tmp_path / "other.png")
    assert api.in_one_pass(str(copy)) == ("learned", [("ink", 1.0)])
    assert api.in_one_pass("ink") == ("learned", [("ink", 1.0)])
    other = str(tmp_path / "other.png")
    assert api.in_one_pass([(other, 2.0), "ink"]) == ("instant", [(other, 2.0), ("ink", 1.0)])
    assert api.in_one_pass("honey-wash") == ("instant", [("honey-wash", 1.0)])


def test_a_bundled_painting_is_an_image_to_other_methods(bundled_ink, photo_image):
    assert impasto.stylize(photo_image, "ink").recipe.method == "learned"
    by_name = impasto.stylize(photo_image, "ink", method="instant")
    by_file = impasto.stylize(photo_image, str(bundled_ink), method="instant")
    assert (by_name.array == by_file.array).all()


def test_a_film_changes_from_one_network_to_another(frames, swirl, other):
    keys = [Key(0.0, swirl), Key(1.0, other)]
    painter = frame_painter(keys, {"precision": "float32"}, frames[0], steady=True)
    single = [
        frame_painter([Key(0.0, style)], {"precision": "float32"}, frames[0], steady=True)
        for style in (swirl, other)
    ]
    first, second = (one.paint(frames[0], 0, 0, None) for one in single)
    for time, share in ((0.0, 0.0), (0.25, 0.25), (1.0, 1.0)):
        painted = painter.paint(frames[0], time, 0, None)
        assert np.allclose(painted, (1 - share) * first + share * second, atol=0.01), time
