"""Readers of the file formats that weights come in.

All return tensors in float32 by name. For VGG-19 these are ``block1_conv1.weight`` (O, I, 3, 3),
``block1_conv1.bias`` (O,) and so on, and where the file has the top ``fc1``, ``fc2`` and
``predictions`` with weights (out, in). Shapes are whatever the file says, so a network of another
width is read just the same.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor

from impasto.base import extras
from impasto.base.errors import WeightsError
from impasto.networks.layers import LAYER_NAMES
from impasto.networks.weights import Format

Parameters = dict[str, Tensor]

CONVOLUTION_NAMES = tuple(name for name in LAYER_NAMES if "conv" in name)
TOP_NAMES = ("fc1", "fc2", "predictions")
TOP_SIDE = 7
"""Rows and columns of what the top sees: 224 px, pooled five times."""
UNREADABLE = (
    OSError, RuntimeError, ValueError, LookupError, EOFError, TypeError, AttributeError,
    ArithmeticError, pickle.UnpicklingError, SafetensorError,
)  # fmt: skip
"""Exceptions that the readers raise for a file of another kind."""


def read(path: Path, file_format: Format) -> Parameters:
    """Read VGG-19's weights from ``path``.

    Raises:
        WeightsError: The file does not have that format, or layers are missing.
    """
    try:
        parameters = READERS[file_format](path)
    except UNREADABLE as error:
        raise WeightsError(
            f"{path} isn't a readable {file_format} file of VGG-19's weights"
        ) from error
    missing = [name for name in CONVOLUTION_NAMES if f"{name}.weight" not in parameters]
    if missing:
        raise WeightsError(f"{path} isn't VGG-19: it has no layer {missing[0]}")
    wrong = next(_misfits(parameters), None)
    if wrong is not None:
        raise WeightsError(f"{path} isn't VGG-19: the shape of the layer {wrong} doesn't fit")
    return parameters


def _misfits(parameters: Parameters) -> Iterator[str]:
    """Yield the layers whose weights or bias don't fit the layer before, whatever the widths."""
    inputs = 3  # red, green and blue
    for name in (*CONVOLUTION_NAMES, *TOP_NAMES):
        weight, bias = parameters.get(f"{name}.weight"), parameters.get(f"{name}.bias")
        if weight is None:
            return
        if name == TOP_NAMES[0]:
            inputs *= TOP_SIDE**2
        kernel = (3, 3) if name in CONVOLUTION_NAMES else ()
        if weight.shape[1:] != (inputs, *kernel) or bias is None or bias.shape != weight.shape[:1]:
            yield name
        inputs = weight.shape[0]


def format_of(path: Path) -> Format:
    """The format by the file's first bytes. Raises WeightsError: neither of the two."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror}") from error
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if head.startswith(b"PK\x03\x04") or head.startswith(b"\x80"):
        return "torchvision"
    raise WeightsError(f"{path} is neither a Keras .h5 nor a torchvision .pth file")


def read_safetensors(path: Path) -> Parameters:
    """Read one of impasto's own files; 8-bit weights become float32.

    A tensor NAME is stored as it is, or in one of two ways that take a quarter of the space:
    ``NAME.indexes`` into the table ``NAME.palette``, or ``NAME.integers`` times ``NAME.scale``,
    which has one value per output channel.
    """
    # The library maps the file and copies each tensor out of it. So nothing stays mapped, which
    # would keep the file from being replaced on Windows.
    stored = load_file(path)
    # numpy computes in this thread alone. torch would use all cores, which is no faster for so
    # little work, and several times slower while another process uses them.
    decoded: dict[str, np.ndarray] = {}
    for key, values in stored.items():
        name, _, encoding = key.rpartition(".")
        if encoding == "indexes":
            decoded[name] = np.take(stored[f"{name}.palette"], values)
        elif encoding == "integers":
            per_channel = (-1, *[1] * (values.ndim - 1))
            decoded[name] = values.astype(np.float32) * stored[f"{name}.scale"].reshape(per_channel)
        elif encoding not in ("palette", "scale"):
            decoded[key] = values
    return {name: torch.from_numpy(values) for name, values in decoded.items()}


def _read_keras(path: Path) -> Parameters:
    """A Keras HDF5 file: a group per layer, kernels (rows, columns, in, out).

    Raises:
        MissingExtraError: h5py isn't installed.
    """
    extras.require("weights", str(path))
    import h5py  # noqa: PLC0415 (an optional package)

    parameters: Parameters = {}
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        for name in (*CONVOLUTION_NAMES, *TOP_NAMES):
            if name not in root:
                continue
            for array in _datasets(root[name]):
                tensor = torch.from_numpy(array).float()
                if tensor.ndim == 1:
                    parameters[f"{name}.bias"] = tensor
                elif tensor.ndim == 2:
                    parameters[f"{name}.weight"] = tensor.T.contiguous()
                else:
                    parameters[f"{name}.weight"] = tensor.permute(3, 2, 0, 1).contiguous()
    if "fc1.weight" in parameters:
        parameters["fc1.weight"] = _channels_first(parameters, side=TOP_SIDE)
    return parameters


def _read_torchvision(path: Path) -> Parameters:
    """A torchvision state dict: convolutions and linear layers numbered by their place."""
    archive = _torch_archive(path)

    def numbered(prefix: str) -> Iterator[str]:
        keys = (key for key in archive if key.startswith(prefix) and key.endswith(".weight"))
        return iter(sorted(keys, key=lambda key: int(key.split(".")[1])))

    parameters: Parameters = {}
    for names, prefix in ((CONVOLUTION_NAMES, "features."), (TOP_NAMES, "classifier.")):
        for name, key in zip(names, numbered(prefix), strict=False):
            parameters[f"{name}.weight"] = archive[key].float()
            parameters[f"{name}.bias"] = archive[key.replace("weight", "bias")].float()
    return parameters


READERS: dict[Format, Callable[[Path], Parameters]] = {
    "safetensors": read_safetensors,
    "keras": _read_keras,
    "torchvision": _read_torchvision,
}


def _torch_archive(path: Path) -> dict[str, Tensor]:
    archive = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(archive, dict):
        raise ValueError("not a dictionary of tensors")
    return archive


def _datasets(group: Any) -> list[Any]:
    """Every array below an HDF5 group, however deep: the nesting differs between Keras versions."""
    import h5py  # noqa: PLC0415 (an optional package)

    arrays: list[Any] = []
    group.visititems(
        lambda _, item: arrays.append(item[()]) if isinstance(item, h5py.Dataset) else None
    )
    return arrays


def _channels_first(parameters: Parameters, side: int) -> Tensor:
    """Reorder the inputs of ``fc1``: Keras flattens (row, column, channel), torch channel first."""
    weight = parameters["fc1.weight"]  # (out, side·side·channels)
    by_place = weight.reshape(weight.shape[0], side, side, -1)
    return by_place.permute(0, 3, 1, 2).flatten(1).contiguous()
