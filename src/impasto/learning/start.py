"""The parameters from which a training starts."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import torch

from impasto.networks.network_shape import NetworkSize
from impasto.networks.transformer import Parameters
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
