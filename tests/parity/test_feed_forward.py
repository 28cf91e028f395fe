"""The feed-forward networks in torch against the ONNX files they were read from, by onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import ROOT

import impasto
from impasto.networks import magenta, styles, weights
from impasto.networks.load import load_magenta, load_multistyle

CPU, FLOAT32 = torch.device("cpu"), torch.float32
PAIRS = [
    ("chelsea.png", "harvest"),
    ("coffee.png", "night_cafe"),
    ("astronaut.png", "cafe_terrace"),
]


def session(name: str) -> onnxruntime.InferenceSession:
    """A network with its 8-bit weights, but feature maps that aren't rounded to 8 bits.

    With rounded feature maps onnxruntime multiplies 8-bit integers. On CPUs without VNNI
    instructions those products saturate, so its pictures differ from machine to machine.
    """
    model = onnx.load(weights.verified_path(weights.find(name)))
    known = {initializer.name for initializer in model.graph.initializer}
    for node in model.graph.node:
        rounds = node.op_type == "DequantizeLinear" and node.input[0] not in known
        if rounds or node.op_type == "QuantizeLinear":
            node.op_type = "Identity"
            del node.input[1:], node.attribute[:]
    del model.graph.value_info[:]
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), quiet)


@pytest.fixture(scope="module")
def exported():
    return [session(name) for name in (weights.MAGENTA_PREDICT, weights.MAGENTA_TRANSFORM)]


def square(name: str, side: int) -> torch.Tensor:
    picture = impasto.read(ROOT / "examples" / name).rgb
    return torch.nn.functional.interpolate(picture, (side, side), mode="bilinear", antialias=True)


@pytest.mark.parametrize(("photo", "painting"), PAIRS)
def test_magenta_is_equal(photo, painting, exported):
    predict, transform = exported
    content = square(f"photos/{photo}", 384)
    seen = magenta.square(impasto.read(ROOT / f"examples/paintings/{painting}.webp").rgb)
    (vector,) = predict.run(None, {"style_image": seen.permute(0, 2, 3, 1).numpy()})
    feed = {
        "content_image": content.permute(0, 2, 3, 1).numpy(),
        transform.get_inputs()[1].name: vector,
    }
    (theirs,) = transform.run(None, feed)
    network = load_magenta(CPU, FLOAT32)
    ours = network.transformer(content, network.parameters_of(network.predictor(seen)))
    difference = np.abs(ours.permute(0, 2, 3, 1).numpy() - theirs)
    assert difference.mean() < 1e-5


@pytest.mark.parametrize("name", ["honey-wash", "starry-swirl", "slate-strokes"])
def test_the_26_styles_are_equal(name):
    content = square("photos/coffee.png", 192)
    chosen = np.zeros(len(styles.NAMES), np.float32)
    chosen[styles.NAMES.index(name)] = 1
    feed = {"image": content.numpy(), "style_weights": chosen}
    (theirs,) = session(weights.MULTISTYLE).run(None, feed)
    network = load_multistyle(CPU, FLOAT32)
    ours = network.transformer(content, network.style(name)).numpy()
    assert np.abs(ours - theirs).max() < 2e-3
