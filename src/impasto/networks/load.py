"""From a name in the catalogue to a network that is ready to use."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from impasto.base import files
from impasto.base.errors import WeightsError
from impasto.networks import formats, weights
from impasto.networks.classifier import VGG19Classifier, class_names
from impasto.networks.magenta import Magenta
from impasto.networks.multistyle import Multistyle
from impasto.networks.vgg19 import VGG19, Pooling


@lru_cache(maxsize=2)
def load_encoder(
    name: str = weights.DEFAULT,
    *,
    pooling: Pooling = "max",
    unit_activations: bool = False,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> VGG19:
    """The encoder with the weights ``name``, hash-checked; kept for the next call.

    Raises WeightsError: no such weights, missing or damaged; unit activations of weights that they
    aren't known for.
    """
    entry = weights.find_encoder(name)
    if unit_activations and entry.format == "torchvision":
        raise WeightsError(
            f"how active the layers of {name} are hasn't been measured; set unit_activations to no,"
            " and the losses' weights to suit"
        )
    encoder = VGG19(
        formats.read(weights.verified_path(entry), entry.format),
        pooling=pooling,
        preprocessing="torchvision" if entry.format == "torchvision" else "caffe",
        unit_activations=unit_activations,
    )
    return encoder.to(device=device, dtype=dtype)


@lru_cache(maxsize=2)
def load_magenta(device: torch.device, dtype: torch.dtype) -> Magenta:
    """The networks for any painting, hash-checked; kept for the next call. Styles are predicted on
    the CPU, in float32. Raises WeightsError.
    """
    network = Magenta(
        _feed_forward(weights.MAGENTA_PREDICT), _feed_forward(weights.MAGENTA_TRANSFORM)
    )
    network.transformer.to(device, dtype)
    return network


@lru_cache(maxsize=2)
def load_multistyle(device: torch.device, dtype: torch.dtype) -> Multistyle:
    """The network with 26 styles of its own, likewise."""
    network = Multistyle(_feed_forward(weights.MULTISTYLE))
    network.transformer.to(device, dtype)
    return network


def _feed_forward(name: str) -> dict[str, Tensor]:
    return formats.read_safetensors(weights.verified_path(weights.find(name)))


def load_classifier(file: Path | None = None) -> VGG19Classifier:
    """VGG-19 with its top, from ``file`` (Keras .h5 or torchvision .pth), or from the first such
    weights that have been pulled. Raises WeightsError.
    """
    if file is not None:
        if not files.is_file(file):
            raise WeightsError(f"{file}: there is no such weights file")
        path, file_format = file, formats.format_of(file)
    else:
        with_top = [entry for entry in weights.CATALOGUE.values() if entry.has_top]
        present = [entry for entry in with_top if files.is_file(entry.path)]
        if not present:
            raise WeightsError(
                "classifying needs VGG-19 with its top, which doesn't come with impasto; fetch it"
                f" with: impasto models pull {with_top[0].name} ({with_top[0].size / 1e6:.0f} MB),"
                " or give a file with --weights"
            )
        path, file_format = weights.verified_path(present[0]), present[0].format
    parameters = formats.read(path, file_format)
    if "predictions.weight" not in parameters:
        raise WeightsError(f"{path} holds VGG-19 without its top; classifying needs the top")
    classes = len(parameters["predictions.weight"])
    if classes != len(class_names()):
        raise WeightsError(f"{path} knows {classes} classes, not those of ImageNet")
    return VGG19Classifier(
        parameters, preprocessing="torchvision" if file_format == "torchvision" else "caffe"
    )
