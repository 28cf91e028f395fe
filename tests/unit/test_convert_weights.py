"""The script that made the bundled weights: its files are what the library reads, byte by byte."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from safetensors import safe_open
from safetensors.numpy import load_file

from impasto.networks import weights

SCRIPT = ROOT / "scripts/convert_weights.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("convert_weights", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["convert_weights"] = module  # where dataclasses look up their annotations
    spec.loader.exec_module(module)
    yield module
    del sys.modules["convert_weights"]


def message(*fields: tuple[int, int | bytes]) -> bytes:
    """A protocol buffer of numbers and of runs of bytes, with fields below 16."""

    def varint(number: int) -> bytes:
        head = bytes([number & 0x7F | (0x80 if number > 0x7F else 0)])
        return head + varint(number >> 7) if number > 0x7F else head

    return b"".join(
        varint(number << 3) + varint(value)
        if isinstance(value, int)
        else varint(number << 3 | 2) + varint(len(value)) + value
        for number, value in fields
    )


def tensor(name: str, array: np.ndarray, kind: int) -> bytes:
    shape = [(1, side) for side in array.shape]
    return message(*shape, (2, kind), (8, name.encode()), (9, array.tobytes()))


def graph(zero_points: list[int]) -> bytes:
    """A graph with 200 channels of integers, which are dequantized, and a float."""
    integers = np.arange(400, dtype=np.int32).reshape(200, 2)
    node = message(
        (1, b"w"), (1, b"s"), (1, b"z"), (2, b"weight_dequant"), (4, b"DequantizeLinear")
    )
    zeros = np.array(zero_points, np.int8).repeat(200 // len(zero_points))
    initializers = (
        tensor("w", integers, 6),
        tensor("s", np.linspace(0, 1, 200, dtype=np.float32), 1),
        tensor("z", zeros, 3),
    )
    parts = [(1, node), *((5, initializer) for initializer in initializers)]
    return message((1, 8), (7, message(*parts)))


def test_quantized_parameters_are_found_in_an_onnx_file(script, tmp_path):
    (tmp_path / "x.onnx").write_bytes(graph([0]))
    arrays = script.convert_quantized_onnx(tmp_path / "x.onnx")
    assert arrays.keys() == {"weight.integers", "weight.scale"}
    assert arrays["weight.integers"].tolist() == np.arange(400).reshape(200, 2).tolist()
    assert arrays["weight.scale"][-1] == 1
    assert list(script.convert_float_onnx(tmp_path / "x.onnx")) == ["s"]


def test_what_cannot_be_expressed_is_refused(script, tmp_path):
    (tmp_path / "x.onnx").write_bytes(graph([0, 1]))
    with pytest.raises(ValueError, match="zero points"):
        script.convert_quantized_onnx(tmp_path / "x.onnx")
    (tmp_path / "x.onnx").write_bytes(graph([0])[:-10])
    with pytest.raises(ValueError, match="cut off"):
        script.convert_quantized_onnx(tmp_path / "x.onnx")


def test_the_library_reads_what_the_script_writes(script, tmp_path):
    arrays: dict[str, np.ndarray] = {
        "b": np.arange(3, dtype=np.uint8),
        "a": np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3),
        "c": np.array([[-1, 2**30]], np.int32),
    }
    metadata = {"source": "a test"}
    encoded = script.encode_safetensors(arrays, metadata)
    assert encoded == script.encode_safetensors(dict(reversed(arrays.items())), metadata)
    (tmp_path / "x.safetensors").write_bytes(encoded)
    read = load_file(tmp_path / "x.safetensors")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
    with safe_open(tmp_path / "x.safetensors", "numpy") as file:
        assert file.metadata() == metadata


@pytest.mark.parametrize("name", [e.name for e in weights.CATALOGUE.values() if e.is_bundled])
def test_the_bundled_files_are_what_the_script_would_write(name, script):
    """Encoded again from what is in them, with what the script says about their source."""
    path = weights.find(name).path
    metadata = script.metadata_of(name, script.SOURCES[name])
    assert script.encode_safetensors(load_file(path), metadata) == path.read_bytes()


def test_a_source_that_is_something_else_is_refused(script, tmp_path):
    source = script.SOURCES[weights.DEFAULT]
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--into", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert f"install {source.package} there" in ran.stderr
    (tmp_path / source.path).parent.mkdir()
    (tmp_path / source.path).write_bytes(b"something else")
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "its SHA-256 differs" in ran.stderr
    assert not list(tmp_path.glob("*.safetensors"))
