"""VGG-19 (Simonyan & Zisserman 2014), the encoder: its intermediate layers represent content and
style (Gatys et al. 2016).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.base.errors import ImageError
from impasto.networks.layers import LAYER_NAMES, canonical

Pooling = Literal["max", "avg"]
Preprocessing = Literal["caffe", "torchvision"]

CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
"""Mean of the ImageNet training images, 0 to 255; the Caffe and Keras weights expect it gone."""
TORCHVISION_MEAN_RGB = (0.485, 0.456, 0.406)
TORCHVISION_STD_RGB = (0.229, 0.224, 0.225)

MEAN_ACTIVATIONS = {
    "block1_conv1": 22.35,
    "block1_conv2": 104.2,
    "block2_conv1": 118.9,
    "block2_conv2": 106.2,
    "block3_conv1": 116.0,
    "block3_conv2": 148.2,
    "block3_conv3": 307.1,
    "block3_conv4": 460.7,
    "block4_conv1": 445.3,
    "block4_conv2": 284.4,
    "block4_conv3": 147.0,
    "block4_conv4": 36.36,
    "block5_conv1": 37.2,
    "block5_conv2": 14.84,
    "block5_conv3": 6.466,
    "block5_conv4": 0.9355,
}
"""Mean output of each layer with the default weights over the pictures in ``examples/``, 512 px."""


class _Convolution(nn.Conv2d):
    """A convolution whose parameters are not initialised, because they are overwritten at once.

    Random initial values would take a third of the time that the encoder takes to load, and would
    advance the caller's random number generator.
    """

    def reset_parameters(self) -> None:
        pass


class VGG19(nn.Module):
    """The convolutional part of VGG-19, frozen.

    >>> outputs = encoder(image, ["block1_conv1", "relu4_2"])  # image: (N, 3, H, W) in [0, 1]
    >>> outputs["block4_conv2"].shape                          # (N, 512, H // 8, W // 8)

    ``parameters`` maps ``block1_conv1.weight`` (O, I, 3, 3) and ``block1_conv1.bias`` (O,) and so
    on; the widths are whatever they say. ``pooling`` is ``max`` as trained, or ``avg``, with which
    Gatys et al. found slightly more appealing results. ``unit_activations`` rescales every
    convolution so that its mean output on natural images is 1 (section 2 of the paper; there per
    filter, here per layer): the layers then weigh alike in a loss.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        *,
        pooling: Pooling = "max",
        preprocessing: Preprocessing = "caffe",
        unit_activations: bool = False,
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.preprocessing = preprocessing
        self.constants: dict[tuple[Any, ...], Tensor] = {}
        self.convolutions = nn.ModuleDict()
        below = 1.0  # the rescaling of the layer below, undone by this layer's kernel
        for name in (n for n in LAYER_NAMES if "conv" in n):
            weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
            scale = 1 / MEAN_ACTIVATIONS[name] if unit_activations else 1.0
            convolution = _Convolution(weight.shape[1], weight.shape[0], kernel_size=3, padding=1)
            with torch.no_grad():
                torch.mul(weight, scale / below, out=convolution.weight)
                torch.mul(bias, scale, out=convolution.bias)
            self.convolutions[name] = convolution
            below = scale
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """The outputs of ``layers`` for ``image`` (N, 3, H, W), RGB in [0, 1].

        Nothing above the highest layer asked for is computed. Raises RecipeError for a name that
        doesn't exist, ImageError for an image too small for the highest layer.
        """
        return self.features(self.preprocess(image), layers)

    def features(self, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """As ``forward``, for an input that is preprocessed already."""
        wanted = {canonical(layer) for layer in layers}
        outputs: dict[str, Tensor] = {}
        x = x.to(self.dtype)
        for name in LAYER_NAMES:
            if len(outputs) == len(wanted):
                break
            x = self._layer(name, x)
            if name in wanted:
                outputs[name] = x
        return outputs

    def preprocess(self, image: Tensor) -> Tensor:
        """From RGB in [0, 1] to what the weights were trained on: BGR, 0 to 255, mean subtracted
        (Caffe), or RGB with mean 0 and deviation 1 (torchvision). Shape (N, 3, H, W) stays.
        """
        if self.preprocessing == "torchvision":
            mean = self._constant(TORCHVISION_MEAN_RGB, image)
            return (image - mean) / self._constant(TORCHVISION_STD_RGB, image)
        return image.flip(1) * 255 - self._constant(CAFFE_MEAN_BGR, image)

    def kernel(self, layer: str) -> tuple[Tensor, Tensor]:
        """Weight (O, I, 3, 3) and bias (O,) of a convolution."""
        convolution = self.convolutions[layer]
        assert isinstance(convolution, nn.Conv2d)
        assert convolution.bias is not None
        return convolution.weight, convolution.bias

    def preprocess_gradient(self, gradient: Tensor) -> Tensor:
        """From a gradient with respect to the preprocessed image to that of the image itself."""
        if self.preprocessing == "torchvision":
            return gradient / self._constant(TORCHVISION_STD_RGB, gradient)
        return gradient.flip(1) * 255

    def _constant(self, values: tuple[float, ...], like: Tensor) -> Tensor:
        """Return a constant (3, 1, 1). It is kept, because a CUDA graph can't copy from the CPU."""
        key = (values, like.device, like.dtype)
        if key not in self.constants:
            constant = torch.tensor(values, dtype=like.dtype).to(like.device)
            self.constants[key] = constant.view(3, 1, 1)
        return self.constants[key]

    @property
    def device(self) -> torch.device:
        """The device that the network computes on."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in."""
        return next(self.parameters()).dtype

    def _layer(self, name: str, x: Tensor) -> Tensor:
        if name in self.convolutions:
            return functional.relu(self.convolutions[name](x))
        if min(x.shape[-2:]) < 2:
            raise ImageError(f"the image is too small: nothing of it is left above {name}")
        pool = functional.max_pool2d if self.pooling == "max" else functional.avg_pool2d
        return pool(x, kernel_size=2)
