"""The pre-trained parameters from which a training starts."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import torch

from impasto.networks.network_shape import NetworkSize
from impasto.networks.transformer import Parameters
from impasto.styles.style_file import SUFFIX, read_bytes, read_parameters

PLAIN = "-plain"
"""Suffix of the name of the file of a network without normalisation."""


def start_file(network: NetworkSize, *, normalised: bool = True) -> Path:
    """Return the path of the style file from which a training starts. The file may not exist.

    Args:
        network: The size of the network.
        normalised: Whether the network has normalisation.
    """
    name = network if normalised else f"{network}{PLAIN}"
    return Path(str(resources.files("impasto.learning") / f"{name}{SUFFIX}"))


def start_parameters(network: NetworkSize, *, normalised: bool = True) -> Parameters | None:
    """Return the parameters of a pre-trained network, or None if there is none of this size.

    The network with normalisation has learned another style. Its features are useful for any style,
    so a training that starts from it takes a fraction of the time (benchmarks/learn.py). The
    network without normalisation reproduces its input (scripts/train_pair_start.py).

    Args:
        network: The size of the network.
        normalised: Whether the network has normalisation.

    Returns:
        The parameters by name, float32, on the CPU.
    """
    path = start_file(network, normalised=normalised)
    if not path.is_file():
        return None
    _, arrays = read_parameters(read_bytes(path), path.name)
    return {name: torch.from_numpy(values) for name, values in arrays.items()}
