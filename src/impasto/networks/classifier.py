"""VGG-19 with its top: the sanity check, which of ImageNet's 1,000 classes is in a picture."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.networks.vgg19 import VGG19, Preprocessing

INPUT_SIDE_PX = 224


class VGG19Classifier(nn.Module):
    """The encoder, pooled to 7×7, then three fully connected layers and a softmax.

    ``parameters`` as for VGG19, and ``fc1``, ``fc2``, ``predictions`` (out, in) with the inputs of
    ``fc1`` in the order channel, row, column.
    """

    def __init__(self, parameters: Mapping[str, Tensor], *, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.encoder = VGG19(parameters, preprocessing=preprocessing)
        self.top = {name: parameters[name] for name in parameters if not name.startswith("block")}

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] → (N, classes) probabilities. Resized to 224×224, as in the
        tutorial: bilinear, without regard to the aspect.
        """
        x = functional.interpolate(image, size=(INPUT_SIDE_PX, INPUT_SIDE_PX), mode="bilinear")
        x = self.encoder(x, ["block5_pool"])["block5_pool"].flatten(1)  # (N, 7·7·512)
        for name in ("fc1", "fc2"):
            x = functional.relu(self._linear(name, x))
        return self._linear("predictions", x).softmax(dim=1)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self.top[f"{name}.weight"], self.top[f"{name}.bias"])


def class_names() -> list[str]:
    """The 1,000 ImageNet classes, in the order of the network's outputs."""
    text = resources.files("impasto.networks").joinpath("imagenet_classes.txt")
    return text.read_text(encoding="utf-8").splitlines()


@torch.no_grad()
def top_classes(
    classifier: VGG19Classifier, image: Tensor, count: int = 5
) -> list[tuple[str, float]]:
    """The ``count`` most probable classes of ``image`` (1, 3, H, W): name and probability."""
    probabilities, indexes = classifier(image)[0].topk(count)
    names = class_names()
    return [(names[i], p) for i, p in zip(indexes.tolist(), probabilities.tolist(), strict=True)]
