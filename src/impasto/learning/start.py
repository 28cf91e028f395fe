"""The parameters from which a training starts."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import torch

from impasto.networks.network_shape import NetworkSize
from impasto.networks.transformer import Parameters
from impasto.styles.style_file import SUFFIX, read_bytes, read_parameters

PLAIN = "-plain"
"""Ending of the name of a network without normalisation."""


def start_file(network: NetworkSize, *, normalised: bool = True) -> Path:
    """Return the style file from which trainings of a network start, if there is one.

    Args:
        network: The size of the network.
        normalised: Whether it is a normalised network.
    """
    name = network if normalised else f"{network}{PLAIN}"
    return Path(str(resources.files("impasto.learning") / f"{name}{SUFFIX}"))


def start_parameters(network: NetworkSize, *, normalised: bool = True) -> Parameters | None:
    """Return the parameters of a trained network, or None.

    The normalised network has learned another style. It has learned to see, so a training that
    starts from it needs a fraction of the time (benchmarks/learn.py). The network without
    normalisation paints what it sees as it is (scripts/train_pair_start.py).

    Args:
        network: The size of the network.
        normalised: Whether it is a normalised network.
    """
    path = start_file(network, normalised=normalised)
    if not path.is_file():
        return None
    _, arrays = read_parameters(read_bytes(path), path.name)
    return {name: torch.from_numpy(values) for name, values in arrays.items()}
