"""The parameters from which a training starts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from impasto.networks.learned import layers_of, network_of
from impasto.networks.network_shape import SHAPES, NetworkSize
from impasto.networks.transformer import EPSILON, Parameters
from impasto.styles.style_file import SUFFIX, read_bytes, read_parameters


def start_file(network: NetworkSize) -> Path:
    """Return the style file from which trainings of a network start, if there is one."""
    return Path(str(resources.files("impasto.learning") / f"{network}{SUFFIX}"))


def start_parameters(network: NetworkSize) -> Parameters | None:
    """Return the parameters of a network that has learned another style, or None.

    It has learned to see, so a training that starts from it needs a fraction of the time
    (benchmarks/learn.py).
    """
    path = start_file(network)
    if not path.is_file():
        return None
    _, arrays = read_parameters(read_bytes(path), path.name)
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def without_normalisation(
    network: NetworkSize, parameters: Parameters, photos: Sequence[Tensor]
) -> Parameters:
    """Return the parameters of a network that paints almost the same without normalisation.

    The mean and variance of each feature map, by which it was normalised, become those of typical
    photos: the means over ``photos``.

    Args:
        network: The size of the network.
        parameters: The parameters of the normalised network.
        photos: The photos, (3, H, W), uint8.
    """
    shape = SHAPES[network]
    layers = layers_of(shape)
    kernels = {name: value for name, value in parameters.items() if name != "style"}
    painter = network_of(shape, kernels)
    all_moments = [painter.painted(p[None].float() / 255, parameters["style"])[1] for p in photos]
    folded = dict(kernels)
    for index, (layer, style) in enumerate(
        zip(layers, painter.split(parameters["style"]), strict=True)
    ):
        if style is None:
            continue
        known = [moments for of_photo in all_moments if (moments := of_photo[index]) is not None]
        mean, variance = (torch.cat(part).mean(0) for part in zip(*known, strict=True))
        gain, shift = style[0][0], style[1][0]  # (C,)
        factor = gain / (variance + EPSILON).sqrt()
        folded[f"{layer.name}.weight"] = (
            kernels[f"{layer.name}.weight"] * factor[:, None, None, None]
        )
        folded[f"{layer.name}.bias"] = shift - factor * mean
    return folded | {"style": torch.zeros(1, 0)}
