from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from impasto.base.errors import ImageError, RecipeError
from impasto.networks.layers import LAYER_NAMES, alias, canonical
from impasto.networks.load import load_encoder
from impasto.networks.vgg19 import VGG19


@pytest.fixture(scope="module")
def image():
    return torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))


def test_every_layer_has_the_shape_of_the_paper(image):
    outputs = load_encoder()(image, LAYER_NAMES)
    assert list(outputs) == list(LAYER_NAMES)
    for name, output in outputs.items():
        block = int(name[5])
        channels = (64, 128, 256, 512, 512)[block - 1]
        halvings = block if name.endswith("pool") else block - 1
        assert output.shape == (1, channels, 48 >> halvings, 64 >> halvings)
        assert output.min() >= 0, "outputs are taken after the ReLU"


def test_the_first_layer_is_a_convolution_of_the_preprocessed_image(image):
    encoder = load_encoder()
    bgr = image[:, [2, 1, 0]] * 255 - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    first = encoder.convolutions["block1_conv1"]
    weight, bias = first.parameters()
    expected = functional.relu(functional.conv2d(bgr, weight, bias, padding=1))
    torch.testing.assert_close(encoder(image, ["block1_conv1"])["block1_conv1"], expected)


def test_nothing_above_the_highest_layer_is_computed(image, monkeypatch):
    computed = []
    layer = VGG19._layer

    def watched(self, name, x):
        computed.append(name)
        return layer(self, name, x)

    monkeypatch.setattr(VGG19, "_layer", watched)
    outputs = load_encoder()(image, ["block3_conv1", "relu2_1"])
    assert set(outputs) == {"block2_conv1", "block3_conv1"}
    assert computed == list(LAYER_NAMES[: LAYER_NAMES.index("block3_conv1") + 1])


def test_average_pooling_averages(image):
    average, largest = load_encoder(pooling="avg"), load_encoder(pooling="max")
    below = average(image, ["block1_conv2", "block1_pool"])
    torch.testing.assert_close(
        below["block1_pool"], functional.avg_pool2d(below["block1_conv2"], 2)
    )
    assert (largest(image, ["block1_pool"])["block1_pool"] >= below["block1_pool"]).all()


def test_unit_activations_rescale_layers_and_change_nothing_else(image):
    plain, unit = load_encoder(), load_encoder(unit_activations=True)
    for layer in ("block1_conv1", "block3_conv2", "block5_conv1"):
        a, b = plain(image, [layer])[layer], unit(image, [layer])[layer]
        torch.testing.assert_close(a / a.mean(), b / b.mean(), rtol=1e-3, atol=1e-4)
        assert 0.1 < b.mean() < 3


def test_names_and_aliases():
    assert canonical("relu4_2") == canonical(" conv4_2 ") == "block4_conv2"
    assert canonical("pool3") == "block3_pool"
    assert alias("block4_conv2") == "relu4_2"
    assert [canonical(alias(name)) for name in LAYER_NAMES] == list(LAYER_NAMES)


@pytest.mark.parametrize(
    ("wrong", "meant"), [("block4_con2", "block4_conv2"), ("relu1_3", "block1_conv")]
)
def test_an_unknown_layer_gets_a_suggestion(wrong, meant):
    with pytest.raises(RecipeError, match=f"there is no layer '{wrong}'.*{meant}"):
        canonical(wrong)


def test_an_image_too_small_for_a_layer_is_refused():
    with pytest.raises(ImageError, match="too small"):
        load_encoder()(torch.zeros(1, 3, 8, 8), ["block5_pool"])


def test_a_batch_is_as_its_images(image):
    encoder = load_encoder()
    both = encoder(torch.cat([image, 1 - image]), ["block2_conv1"])["block2_conv1"]
    alone = encoder(1 - image, ["block2_conv1"])["block2_conv1"]
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-2)


def test_bfloat16_is_close(image):
    exact = load_encoder()(image, ["block4_conv1"])["block4_conv1"]
    rough = load_encoder(dtype=torch.bfloat16)(image, ["block4_conv1"])["block4_conv1"]
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).norm() < 0.05 * exact.norm()
