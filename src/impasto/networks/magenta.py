"""Magenta's arbitrary image stylization (Ghiasi et al. 2017): one network predicts a style from a
painting, another paints with it.

Weights: the mobile version (MobileNetV2 as the predictor, narrow transformer), int8, Apache-2.0.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.images.sizes import resize
from impasto.networks.transformer import StyleTransformer, architecture

STYLE_SIDE_PX = 256
BLOCKS = 5
REMEMBERED = 64
"""Styles."""

MOBILENET_V2 = (
    # expansion, channels, how many, stride of the first (Sandler et al. 2018, table 2)
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip


class StylePredictor(nn.Module):
    """A painting (N, 3, 256, 256) in [0, 1] → its style vector (N, 100), by MobileNetV2."""

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        self.steps: list[tuple[int, bool]] = []  # convolutions of a block, and whether it is added

        def add(name: str, weights: str = "weights", *, stride: int = 1) -> None:
            weight = parameters[f"{name}/{weights}"]
            bias = parameters[f"{name}/{'depthwise' if 'depth' in weights else 'Conv2D'}_bias"]
            self.convolutions.append(_PaddedConvolution(weight, bias, stride))

        add("MobilenetV2/Conv", stride=2)
        index, before = 0, 32
        for expansion, channels, repeats, first_stride in MOBILENET_V2:
            for repeat in range(repeats):
                name = f"MobilenetV2/expanded_conv{f'_{index}' if index else ''}"
                stride = first_stride if repeat == 0 else 1
                if expansion > 1:
                    add(f"{name}/expand")
                add(f"{name}/depthwise", "depthwise_weights", stride=stride)
                add(f"{name}/project")
                count = 3 if expansion > 1 else 2
                self.steps.append((count, stride == 1 and before == channels))
                index, before = index + 1, channels
        add("MobilenetV2/Conv_1")
        add("mobilenet_conv/Conv")

    @torch.no_grad()
    def forward(self, painting: Tensor) -> Tensor:
        layers = iter(self.convolutions)
        x = next(layers)(painting).clamp_(0, 6)
        for count, added in self.steps:
            y = x
            for left in range(count - 1, -1, -1):
                y = next(layers)(y)
                if left:  # the projection is linear
                    y = y.clamp_(0, 6)
            x = x + y if added else y
        x = next(layers)(x).clamp_(0, 6).mean((2, 3), keepdim=True)
        vector: Tensor = next(layers)(x)
        return vector.flatten(1)


class _PaddedConvolution(nn.Module):
    """As in TensorFlow with ``SAME`` padding; depthwise where each kernel sees one channel."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.stride = stride
        self.groups = weight.shape[0] if weight.shape[1] == 1 and weight.shape[-1] > 1 else 1

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.get_buffer("weight"), self.get_buffer("bias")
        padding = weight.shape[-1] // 2
        if self.stride == 2:  # of an even size, SAME pads only below and at the right
            x, padding = functional.pad(x, (0, 1, 0, 1)), 0
        return functional.conv2d(x, weight, bias, self.stride, padding, groups=self.groups)


class StyleParameters(nn.Module):
    """A style vector (N, 100) → the transformer's gains and shifts (N, P)."""

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        super().__init__()
        places = [f"{_place(layer.name)}/StyleNorm" for layer in LAYERS if layer.normalised]
        names = [f"style_params/{place}/{conv}" for conv in ("Conv_1", "Conv") for place in places]
        self.register_buffer(
            "weight", torch.cat([parameters[f"{name}/weights"].flatten(1) for name in names])
        )
        self.register_buffer(
            "bias", torch.cat([parameters[f"{name}/Conv2D_bias"] for name in names])
        )

    @torch.no_grad()
    def forward(self, vector: Tensor) -> Tensor:
        return functional.linear(vector, self.get_buffer("weight"), self.get_buffer("bias"))


LAYERS = architecture(BLOCKS, contraction_normalised=False)


def transformer(parameters: dict[str, Tensor]) -> StyleTransformer:
    """The painting network, from the names of Magenta's graph."""
    ours = {}
    for layer in LAYERS:
        place = _place(layer.name)
        ours[f"{layer.name}.weight"] = parameters[f"{place}/weights"]
        if not layer.normalised:
            ours[f"{layer.name}.bias"] = parameters[f"{place}/Conv2D_bias"]
    return StyleTransformer(LAYERS, ours)


def _place(name: str) -> str:
    """``residual1_conv2`` → ``transformer/residual/residual1/conv2``."""
    if name.startswith("residual"):
        return f"transformer/residual/{name.replace('_', '/')}"
    part, index = name[:-1], name[-1]
    return f"transformer/{part}/conv{index}" + ("/conv" if part == "expand" else "")


def square(painting: Tensor) -> Tensor:
    """The middle of the painting, (N, 3, 256, 256), as the predictor was trained to see it."""
    height, width = painting.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = painting[..., top : top + side, left : left + side]
    return resize(middle, STYLE_SIDE_PX, STYLE_SIDE_PX, "antialias")


class Magenta:
    """Both networks: ``style(painting)`` is what ``transformer(photo, style)`` paints with."""

    def __init__(self, predict: dict[str, Tensor], transform: dict[str, Tensor]) -> None:
        self.predictor = StylePredictor(predict)
        self.parameters_of = StyleParameters(transform)
        self.transformer = transformer(transform)
        self.known: OrderedDict[str, Tensor] = OrderedDict()

    def style(self, painting: Tensor) -> Tensor:
        """(1, 3, H, W) in [0, 1], CPU → (1, P), CPU, float32. Paintings of late are remembered."""
        seen = square(painting)
        digest = hashlib.sha256(seen.contiguous().numpy().tobytes()).hexdigest()
        if digest not in self.known:
            self.known[digest] = self.parameters_of(self.predictor(seen))
            if len(self.known) > REMEMBERED:
                self.known.popitem(last=False)
        return self.known[digest]
