"""The network of a learned style: a ``StyleTransformer`` that the user trains.

It has more channels than the pre-trained networks, and its last layer isn't normalised, so that the
brightness of a picture can follow that of its photo.

A network that is trained with pairs has no normalisation at all. Its input is the photo, recoloured
by the colour map that fits the pairs best. A network that starts as the identity therefore starts
with the output of that map.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from impasto.networks import colour_map
from impasto.networks.network_shape import NetworkShape
from impasto.networks.transformer import (
    EPSILON,
    PHASES,
    Layer,
    Parameters,
    StyleTransformer,
    activated,
    expanding_layers,
    padded,
    per_phase,
    phase_kernel,
    phases_of,
    residual_layers,
    shuffled,
)

INITIAL_RESIDUAL_GAIN = 0.3
"""Initial gain of the last layer of a residual block. The block starts close to the identity."""
INITIAL_LAST_WEIGHT = 0.3
"""Scale of the initial weights of the last layer, relative to He et al. 2015."""


def layers_of(shape: NetworkShape) -> tuple[Layer, ...]:
    """Return the layers of a network with a shape, in order."""
    reach = shape.edge_kernel // 2
    edge = (reach + 1) // 2  # margin in pixels of the phases
    if shape.reads_full_size:
        contract = [
            Layer("contract1", edge, padding="phases", phases=PHASES),
            Layer("contract2", 1, after=0, padding="phases"),  # of stride 2
            Layer("contract3", 1, stride=2),
        ]
    else:
        contract = [
            Layer("contract1", edge, after=reach // 2, padding="phases"),  # of stride 2
            Layer("contract2", 1, stride=2),
        ]
    expand = expanding_layers(edge, normalised=False)
    layers = (*contract, *residual_layers(shape.blocks), *expand)
    return tuple(
        replace(layer, normalised=layer.normalised and shape.normalised) for layer in layers
    )


def initial_parameters(shape: NetworkShape, seed: int) -> Parameters:
    """Return random initial parameters (He et al. 2015).

    Args:
        shape: The shape of the network.
        seed: The seed of the random numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters: Parameters = {}
    for name, size in shape.tensors.items():
        parameters[name] = torch.zeros(size)
        if name.endswith("weight"):
            deviation = math.sqrt(2 / math.prod(size[1:]))
            parameters[name].normal_(0, deviation, generator=generator)
    layers = layers_of(shape)
    parameters[f"{layers[-1].name}.weight"] *= INITIAL_LAST_WEIGHT
    if not shape.normalised:
        for layer in layers:
            if layer.skip == -1:
                parameters[f"{layer.name}.weight"] *= INITIAL_RESIDUAL_GAIN
        return parameters
    gains = [
        torch.full(
            (shape.convolutions[layer.name][0],), INITIAL_RESIDUAL_GAIN if layer.skip == -1 else 1.0
        )
        for layer in layers
        if layer.normalised
    ]
    parameters["style"][0, : parameters["style"].shape[1] // 2] = torch.cat(gains)
    return parameters


def network_of(shape: NetworkShape, parameters: Parameters) -> StyleTransformer:
    """Return a network for inference.

    Args:
        shape: The shape of the network.
        parameters: The weights and biases by name. The style isn't needed.
    """
    return StyleTransformer(layers_of(shape), parameters)


def paint_to_train(layers: tuple[Layer, ...], parameters: Parameters, image: Tensor) -> Tensor:
    """Stylize an image differentiably, with the same result as the network of ``network_of``.

    Args:
        layers: The layers of the network.
        parameters: The parameters by name, including the style.
        image: The photo, (N, 3, H, W), in [0, 1]. H and W are multiples of 4.

    Returns:
        The picture, (N, 3, H, W), in [0, 1].
    """
    style = parameters["style"]
    channels = [len(parameters[f"{layer.name}.weight"]) for layer in layers if layer.normalised]
    if not channels:
        image = colour_map.mapped(image, style.detach())  # the colour map isn't trained
    gains, shifts = (
        iter(torch.split(part, channels) if channels else ()) for part in style[0].chunk(2)
    )
    x = kept = phases_of(image)
    for layer in layers:
        if layer.skip == 1:
            kept = x
        weight = parameters[f"{layer.name}.weight"]
        bias = parameters.get(f"{layer.name}.bias")
        x = functional.conv2d(
            padded(layer, x),
            phase_kernel(layer, weight),
            None if bias is None else per_phase(layer, bias),
            layer.stride,
        )
        if layer.normalised:
            # The phases of a channel are normalised together.
            x = functional.group_norm(
                x,
                len(weight),
                per_phase(layer, next(gains)),
                per_phase(layer, next(shifts)),
                EPSILON,
            )
        x = activated(layer, x)
        if layer.skip == -1:
            x = x + kept
        x = shuffled(layer, x)
    return x
