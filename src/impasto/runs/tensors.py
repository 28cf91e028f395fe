"""Tensors and records that come from a file, checked by pydantic."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from torch import Tensor

from impasto.base.errors import CheckpointError, reason
from impasto.images.picture import Picture


def read_archive(path: Path, kind: str) -> Any:
    """Read a file that ``torch.save`` wrote, with its tensors on the CPU.

    Args:
        path: The file.
        kind: What the file should be, for error messages.

    Raises:
        CheckpointError: The file doesn't exist, or can't be read.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such checkpoint") from error
    except IsADirectoryError as error:
        raise CheckpointError(f"{path} is a folder, not a checkpoint") from error
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {reason(error)}") from error
    except Exception as error:  # unpickling a damaged file may raise anything
        raise CheckpointError(f"{path} is damaged, or isn't {kind}") from error


class StrictRecord(BaseModel):
    """A part of a checkpoint, validated without converting any type."""

    model_config = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)


def _image(tensor: Any, channels: int) -> Any:
    """Return an image (1, channels, H, W), float32, or None unchanged; else raise ValueError."""
    if tensor is None:
        return None
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32 or tensor.ndim != 4:
        raise ValueError("isn't an image")
    if tensor.shape[:2] != (1, channels) or min(tensor.shape[2:]) < 1:
        raise ValueError("isn't an image of the right shape")
    if not tensor.isfinite().all():
        raise ValueError("has pixels that aren't numbers")
    return tensor


Image = Annotated[Tensor, BeforeValidator(partial(_image, channels=3))]
Mask = Annotated[Tensor, BeforeValidator(partial(_image, channels=1))]
Count = Annotated[int, Field(ge=0)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class StoredPicture(StrictRecord):
    """The fields of a ``Picture`` in a checkpoint."""

    rgb: Image
    alpha: Mask | None
    name: str
    sha256: str | None
    blank: bool
    built_in: bool
    style_file: bytes | None = None
    full_size: tuple[Count, Count] | None = None
    notes: tuple[str, ...] = ()

    def restored(self) -> Picture:
        return Picture(**dict(self))
