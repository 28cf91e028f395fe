"""The parameters in an ONNX file, without the package ``onnx`` (35 MB and 0.3 s of start-up).

An ONNX file is a protocol buffer: numbered fields, each a number or a run of bytes, which may be a
message again. Only what holds parameters is looked at (onnx.proto3: ``ModelProto.graph`` 7,
``GraphProto.node`` 1 and ``.initializer`` 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DATA_TYPES = {1: np.float32, 3: np.int8, 6: np.int32, 7: np.int64}


def read_onnx(path: Path) -> dict[str, Tensor]:
    """Every parameter by its name, in float32; what is quantised (``DequantizeLinear``) as its
    values: (integer - zero point) · scale, per output channel.

    Raises OSError; ValueError: not such a file.
    """
    initializers: dict[str, np.ndarray] = {}
    quantised: list[tuple[str, list[str]]] = []
    for number, graph in _fields(memoryview(path.read_bytes())):
        if number != 7:
            continue
        for kind, message in _messages(graph):
            if kind == 5:
                name, array = _tensor(message)
                initializers[name] = array
            elif kind == 1:
                operation, inputs, output = _node(message)
                if operation == "DequantizeLinear":
                    quantised.append((output.removesuffix("_dequant"), inputs))
    parameters = {
        name: array.astype(np.float32)
        for name, array in initializers.items()
        if array.dtype == np.float32
    }
    for name, (integers, scale, zero) in quantised:
        if integers in initializers:  # else it is a feature map
            column = (-1, *[1] * (initializers[integers].ndim - 1))
            steps = initializers[integers] - initializers[zero].reshape(column).astype(np.int32)
            parameters[name] = steps.astype(np.float32) * initializers[scale].reshape(column)
    return {name: torch.from_numpy(array) for name, array in parameters.items()}


def _node(message: memoryview) -> tuple[str, list[str], str]:
    """A NodeProto's operation, its inputs, and its last output."""
    operation, inputs, output = "", [], ""
    for number, value in _messages(message):
        if number == 1:
            inputs.append(str(value, "utf-8"))
        elif number == 2:
            output = str(value, "utf-8")
        elif number == 4:
            operation = str(value, "utf-8")
    return operation, inputs, output


def _tensor(message: memoryview) -> tuple[str, np.ndarray]:
    """A TensorProto's name and values."""
    shape: list[int] = []
    name, data, data_type = "", memoryview(b""), 0
    for number, value in _fields(message):
        if number == 1:
            shape += [value] if isinstance(value, int) else _packed(value)
        elif number == 2 and isinstance(value, int):
            data_type = value
        elif isinstance(value, memoryview):
            if number == 8:
                name = str(value, "utf-8")
            elif number == 9:
                data = value
    if data_type not in DATA_TYPES or not data:  # shapes of operations, and the like
        return name, np.zeros(0)
    return name, np.frombuffer(data, DATA_TYPES[data_type]).reshape(shape)


def _messages(data: memoryview | int) -> Iterator[tuple[int, memoryview]]:
    """The fields that are runs of bytes."""
    if isinstance(data, memoryview):
        for number, value in _fields(data):
            if isinstance(value, memoryview):
                yield number, value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: their numbers, and a number or the bytes of each."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            number, at = _varint(data, at)
            yield key >> 3, number
            continue
        if kind not in (1, 2, 5):
            raise ValueError("not a protocol buffer")
        length, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
        if at + length > len(data):
            raise ValueError("the file is cut off")
        yield key >> 3, data[at : at + length]
        at += length


def _packed(data: memoryview) -> list[int]:
    numbers, at = [], 0
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(number)
    return numbers


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number in as many bytes as it takes, and where the next field is."""
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("the file is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
