"""The style file: a network that has learned a style, and its description.

It is a safetensors file. The tensors are the parameters of the network in float16. The metadata has
one entry, the description as JSON. Style files may come from an untrusted source, so sizes, names
and types are checked before tensors are allocated. This module doesn't import torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from impasto.base.errors import StyleFileError, reason
from impasto.networks.network_shape import NetworkShape

if TYPE_CHECKING:
    import numpy as np

SUFFIX = ".style"
METADATA_KEY = "impasto_style"
"""Key of the description in the metadata of the file."""
FORMAT_VERSION: Literal[1] = 1
LENGTH_BYTES = 8
"""Bytes at the start of a safetensors file that hold the length of its header."""
HEAD_BYTES = 16
"""Bytes at the start of a file by which a style file is recognised."""
MAX_HEADER_BYTES = 1_000_000
MAX_FILE_BYTES = 16_000_000
"""Largest style file that is read. The largest network of ``SHAPES`` takes 2 MB."""
MAX_HISTORY = 500
"""Largest number of points in the loss history."""
DTYPES = {"F16": 2, "F32": 4}
"""The data types that a tensor may have → bytes of a value."""

Kind = Literal["painting", "pair", "keyframes"]
Text = Annotated[str, Field(max_length=200)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class StyleSource(BaseModel):
    """An image from which a style was learned.

    Attributes:
        name: The name of the file, without its folder.
        sha256: The SHA-256 of the file, or None for pixels that came from memory.
        weight: The weight of the image. The weights of all images sum to 1.
    """

    name: Text
    sha256: Sha256 | None = None
    weight: float = Field(default=1.0, ge=0, le=1)


class LossPoint(BaseModel):
    """The mean losses around one step of a training.

    Attributes:
        step: The number of updates.
        seconds: The time of the training so far.
        content: The weighted content loss.
        style: The weighted style loss.
        total: The sum of the weighted losses.
    """

    step: int = Field(ge=0)
    seconds: FiniteFloat
    content: FiniteFloat
    style: FiniteFloat
    total: FiniteFloat


class StyleDescription(BaseModel):
    """The description of a learned style.

    Attributes:
        format_version: The version of this description.
        name: The name of the style.
        kind: The kind of images from which the style was learned.
        author: The author of the style.
        licence: The terms under which the file may be used.
        shape: The shape of the network.
        size: The long side of the pictures for which the strokes are meant, px.
        sources: The style images.
        recipe: The settings of the objective.
        training: The settings of the training, its length and its device.
        history: The losses over time.
        versions: The versions of impasto and PyTorch.
        thumbnail: A reduced copy of the style image, as a WebP file.
    """

    model_config = ConfigDict(frozen=True)

    format_version: Literal[1] = FORMAT_VERSION
    name: Text
    kind: Kind = "painting"
    author: Text | None = None
    licence: Text | None = None
    shape: NetworkShape
    size: int = Field(ge=64, le=4096)
    sources: tuple[StyleSource, ...] = Field(default=(), max_length=64)
    recipe: dict[str, Any] = {}
    training: dict[str, Any] = {}
    history: tuple[LossPoint, ...] = Field(default=(), max_length=MAX_HISTORY)
    versions: dict[str, Text] = {}
    thumbnail: Base64Bytes


def is_style_file(head: bytes) -> bool:
    """Return whether a file that begins with these bytes may be a safetensors file."""
    length = int.from_bytes(head[:LENGTH_BYTES], "little")
    return head[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{" and 2 <= length <= MAX_HEADER_BYTES


def encode(info: StyleDescription, parameters: Mapping[str, np.ndarray]) -> bytes:
    """Return the bytes of a style file.

    Args:
        info: The description.
        parameters: The parameters by name. They are stored in float16.
    """
    import numpy as np
    from safetensors.numpy import save

    stored = {name: values.astype(np.float16) for name, values in parameters.items()}
    return save(stored, metadata={METADATA_KEY: info.model_dump_json(exclude_none=True)})


def read_bytes(path: Path) -> bytes:
    """Read a style file, but at most one byte more than ``MAX_FILE_BYTES``.

    ``read_parameters`` refuses a file that is too large.

    Raises:
        StyleFileError: The file can't be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise StyleFileError(f"{path} can't be read: {reason(error)}") from error
    return data


def read_info(data: bytes, name: str) -> StyleDescription:
    """Validate the header of a style file, and return the description in it.

    Args:
        data: The bytes of the file. The tensors may be missing.
        name: The name of the file for error messages.

    Raises:
        StyleFileError: The file isn't a style file, is damaged, or has another version.
    """
    if not is_style_file(data):
        raise StyleFileError(f"{name} isn't a style file")
    end = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
    if len(data) < end:
        raise StyleFileError(f"{name} is cut short")
    try:
        header = json.loads(data[LENGTH_BYTES:end])
        text = header.pop("__metadata__")[METADATA_KEY]
        values = json.loads(text)
        version = values.get("format_version")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise StyleFileError(f"{name} isn't a style file of impasto") from error
    if version != FORMAT_VERSION:
        raise StyleFileError(
            f"{name} is a style file of version {str(version)[:20]}; this impasto reads version"
            f" {FORMAT_VERSION}"
        )
    try:
        info = StyleDescription.model_validate(values)
    except (ValidationError, OverflowError) as error:
        raise StyleFileError(f"{name} is damaged: {_first_error(error)}") from error
    _check_tensors(header, info.shape, name)
    return info


def read_parameters(data: bytes, name: str) -> tuple[StyleDescription, dict[str, np.ndarray]]:
    """Validate a style file, and return its description and its parameters.

    Args:
        data: The bytes of the file.
        name: The name of the file for error messages.

    Returns:
        The description, and the parameters by name, float32.

    Raises:
        StyleFileError: The file isn't a style file, is damaged or too large, or of another version.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if len(data) > MAX_FILE_BYTES:
        raise StyleFileError(f"{name} is too large for a style file")
    info = read_info(data, name)
    try:
        parameters = {key: values.astype(np.float32) for key, values in load(data).items()}
    except (SafetensorError, ValueError) as error:
        raise StyleFileError(f"{name} is damaged or cut short") from error
    if not all(np.isfinite(values).all() for values in parameters.values()):
        raise StyleFileError(f"{name} is damaged: a parameter isn't a finite number")
    return info, parameters


def _check_tensors(header: Any, shape: NetworkShape, name: str) -> None:
    """Check that a header lists exactly the tensors of a network.

    Args:
        header: The header of the safetensors file, without its metadata.
        shape: The shape of the network.
        name: The name of the file for error messages.

    Raises:
        StyleFileError: A tensor is missing, unknown, or has the wrong shape, type or length.
    """
    expected = shape.tensors
    if not isinstance(header, dict) or header.keys() != expected.keys():
        raise StyleFileError(f"{name} is damaged: its tensors aren't those of its network")
    for key, size in expected.items():
        entry = header[key]
        is_entry = isinstance(entry, dict) and entry.get("dtype") in DTYPES
        if not is_entry or entry.get("shape") != list(size):
            raise StyleFileError(f"{name} is damaged: {key} has the wrong shape or type")
        offsets = entry.get("data_offsets")
        length = math.prod(size) * DTYPES[entry["dtype"]]
        if not (
            isinstance(offsets, list)
            and len(offsets) == 2
            and all(isinstance(offset, int) for offset in offsets)
            and offsets[0] >= 0
            and offsets[1] - offsets[0] == length
        ):
            raise StyleFileError(f"{name} is damaged: {key} has the wrong position or length")


def _first_error(error: Exception) -> str:
    """Return the first error of a validation as a short text."""
    if not isinstance(error, ValidationError):
        return "a number is too large"
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])} {first['msg'][:80]}"
