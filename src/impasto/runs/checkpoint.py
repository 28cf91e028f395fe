"""Checkpoints: files from which a run continues after one Progress, bit for bit."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from pydantic import ValidationError, field_validator, model_validator

from impasto.base import files
from impasto.base.devices import Device
from impasto.base.errors import CheckpointError
from impasto.runs.job import Job
from impasto.runs.progress import Progress, Snapshot
from impasto.runs.tensors import Mask, Number, StoredPicture, StrictRecord, read_archive
from impasto.settings.build import validate, without_other_methods
from impasto.settings.methods import METHODS
from impasto.settings.recipe import Recipe

FORMAT_VERSION = 3
VERSION_KEY = "impasto checkpoint"


class ResumableMethod(Protocol):
    """The part of a method that continues a checkpoint, see ``methods/base.py``."""

    def device(self, recipe: Recipe, *, strict: bool = False) -> Device:
        """Select the device for a recipe."""
        ...

    def restore(self, job: Job, state: Mapping[str, Any], stored: Recipe) -> Snapshot:
        """Return the snapshot of a checkpoint."""
        ...


def save(progress: Progress, path: Path) -> None:
    """Write a checkpoint atomically.

    Args:
        progress: The event from which the run is to continue, the current one or an earlier one.
        path: The file, which is replaced if it exists.

    Raises:
        CheckpointError: The method can't continue a run.
        OutputError: The file can't be written.
    """
    job, snapshot = progress.job, progress.snapshot
    if snapshot is None:
        raise CheckpointError(f"a run of the method {job.recipe.method} can't be gone on with")
    buffer = io.BytesIO()
    torch.save(
        {
            VERSION_KEY: FORMAT_VERSION,
            "recipe": job.recipe.model_dump(mode="json"),
            "content": asdict(job.content),
            "styles": [asdict(style) for style in job.styles],
            "style_weights": list(job.style_weights),
            "mask": job.mask,
            "regions": [(mask, asdict(style)) for mask, style in job.regions],
            "precision": job.device.precision,
            "snapshot": snapshot.state(),
        },
        buffer,
    )
    files.write_atomically(path, buffer.getvalue())
    files.remove_abandoned(path)


def load(path: Path, *, steps: int | None = None) -> tuple[Job, Snapshot]:
    """Return the job and the snapshot to continue from.

    Args:
        path: The checkpoint.
        steps: Replaces the recipe's number of steps.

    Raises:
        CheckpointError: The file isn't there, is damaged, or isn't a checkpoint.
        RecipeError: The recipe in it, or the number of steps, isn't valid.
        DeviceError: This machine doesn't have the device.
    """
    content = _read(path)
    stored = _recipe(content.recipe)
    recipe = stored if steps is None else validate({**stored.model_dump(), "steps": steps})
    method = cast(ResumableMethod, METHODS[recipe.method])
    as_computed = recipe.model_copy(update={"precision": content.precision})
    job = Job(
        recipe=recipe,
        content=content.content.restored(),
        styles=tuple(style.restored() for style in content.styles),
        style_weights=content.style_weights,
        mask=content.mask,
        regions=tuple((mask, style.restored()) for mask, style in content.regions),
        device=method.device(as_computed),
    )
    try:
        return job, method.restore(job, content.snapshot, stored)
    except ValidationError as error:
        raise _damaged(path, error, "snapshot") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path} {error}") from error


def _recipe(values: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a checkpoint.

    An older checkpoint may contain the settings of all methods, or lack newer settings.
    """
    method = METHODS[str(values.get("method"))]
    return validate({**method.settings.values_before, **without_other_methods(values)})


class _Content(StrictRecord):
    """The contents of a checkpoint, as ``save`` writes them."""

    recipe: dict[str, Any]
    content: StoredPicture
    styles: list[StoredPicture]
    style_weights: tuple[Number, ...]
    mask: Mask | None
    regions: list[tuple[Mask, StoredPicture]]
    precision: str
    snapshot: dict[str, Any]

    @field_validator("style_weights", mode="before")
    @classmethod
    def _as_tuple(cls, weights: Any) -> Any:
        return tuple(weights) if isinstance(weights, list) else weights

    @model_validator(mode="after")
    def _belongs_together(self) -> _Content:
        if not self.styles or len(self.styles) != len(self.style_weights):
            raise ValueError("there is not one weight for each style")
        return self


def _read(path: Path) -> _Content:
    content = read_archive(path, "a checkpoint")
    version = content.pop(VERSION_KEY, None) if isinstance(content, dict) else None
    if not isinstance(version, int) or version != FORMAT_VERSION:
        raise CheckpointError(f"{path} isn't a checkpoint of this version of impasto")
    try:
        return _Content.model_validate(content)
    except ValidationError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: ValidationError, *within: str) -> CheckpointError:
    place = ".".join(str(part) for part in (*within, *error.errors(include_input=False)[0]["loc"]))
    return CheckpointError(
        f"{path} is damaged, or a checkpoint of another version of impasto: {place} is wrong"
    )
