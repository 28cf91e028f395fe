"""The feed-forward networks in torch against stored results of onnxruntime with the ONNX files that
the weights were converted from; reference/make_feed_forward.py made them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import ROOT

import impasto
from impasto.networks import magenta
from impasto.networks.load import load_magenta, load_multistyle

CPU, FLOAT32 = torch.device("cpu"), torch.float32
REFERENCE = ROOT / "tests/parity/reference/feed_forward.npz"
PAIRS = [
    ("chelsea.png", "harvest"),
    ("coffee.png", "night_cafe"),
    ("astronaut.png", "cafe_terrace"),
]
STYLES = ["honey-wash", "starry-swirl", "slate-strokes"]
STRIDE = 13
"""px; no multiple of the networks' own strides, so that the samples are at all their phases."""


def square_content(name: str, side: int) -> torch.Tensor:
    picture = impasto.read(ROOT / "examples/photos" / name).rgb
    return torch.nn.functional.interpolate(picture, (side, side), mode="bilinear", antialias=True)


def square_painting(name: str) -> torch.Tensor:
    return magenta.square(impasto.read(ROOT / f"examples/paintings/{name}.webp").rgb)


def sampled(picture: np.ndarray) -> np.ndarray:
    return picture[..., ::STRIDE, ::STRIDE]


@pytest.fixture(scope="module")
def expected():
    return np.load(REFERENCE)


@pytest.mark.parametrize(("photo", "painting"), PAIRS)
def test_magenta_is_equal(photo, painting, expected):
    network = load_magenta(CPU, FLOAT32)
    style = network.parameters_of(network.predictor(square_painting(painting)))
    picture = network.transformer(square_content(photo, 384), style)
    difference = np.abs(sampled(picture.numpy()) - expected[f"{photo} {painting}"])
    assert difference.mean() < 1e-5


@pytest.mark.parametrize("name", STYLES)
def test_the_26_styles_are_equal(name, expected):
    network = load_multistyle(CPU, FLOAT32)
    picture = network.transformer(square_content("coffee.png", 192), network.style(name))
    assert np.abs(sampled(picture.numpy()) - expected[name]).max() < 2e-3
