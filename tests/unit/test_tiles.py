from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import impasto
from impasto.networks.load import load_magenta, load_multistyle
from impasto.networks.tiles import paint_in_bands

CPU, FLOAT32 = torch.device("cpu"), torch.float32


@pytest.fixture(scope="module")
def painter():
    network = load_magenta(CPU, FLOAT32)
    generator = torch.Generator().manual_seed(0)
    painting = torch.rand(1, 3, 256, 256, generator=generator)
    return network.transformer, network.style(painting)


def picture(photo_image, height: int, width: int) -> torch.Tensor:
    photo = impasto.read(photo_image).rgb
    return functional.interpolate(photo, (height, width), mode="bicubic").clamp(0, 1)


def in_bands(network, image, style, **settings) -> torch.Tensor:
    whole = torch.full_like(image, torch.nan)
    done = 0.0
    for event in paint_in_bands(network, image, style, whole, **settings):
        assert event >= done
        done = event
    assert done == pytest.approx(1)
    return whole


@pytest.mark.parametrize(("height", "width"), [(256, 192), (213, 150), (130, 301)])
def test_bands_make_the_same_picture(height, width, painter, photo_image):
    network, style = painter
    image = picture(photo_image, height, width)
    for rows in (64, 80):
        difference = in_bands(network, image, style, rows=rows) - network(image, style)
        assert difference.abs().max() < 1 / 255


def test_bands_of_the_built_in_styles_too(photo_image):
    network = load_multistyle(CPU, FLOAT32)
    image, style = picture(photo_image, 200, 144), network.style("starry-swirl")
    difference = in_bands(network.transformer, image, style, rows=64) - network.transformer(
        image, style
    )
    assert difference.abs().max() < 1 / 255


def test_statistics_of_a_small_version_make_nearly_the_same_picture(painter, photo_image):
    network, style = painter
    image = picture(photo_image, 256, 192)
    small = functional.interpolate(image, scale_factor=0.5, mode="bilinear", antialias=True)
    _, statistics = network.painted(small, style)
    quick = in_bands(network, image, style, rows=64, statistics=statistics)
    apart = (quick - network(image, style)).abs()
    assert 1 / 255 < apart.mean() < 0.1
