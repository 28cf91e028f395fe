"""Checkpoints of trainings: files from which a training continues."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor

from impasto.base import files
from impasto.base.errors import CheckpointError, ImpastoError
from impasto.learning.pairs import AlignedPair
from impasto.learning.photos import training_photos
from impasto.learning.settings import LearnSettings
from impasto.learning.training import Mean, TrainingJob, TrainingState, shape_of
from impasto.methods.base import method_of
from impasto.runs.job import Job
from impasto.runs.tensors import Count, Number, StoredPicture, StrictRecord, read_archive
from impasto.settings.build import validate

VERSION_KEY = "impasto training"
"""Key of the version in a checkpoint. It also marks the file as one of a training."""
FORMAT_VERSION = 1
MIN_PAIR_PX = 32
"""Shortest side of the images of a pair, px."""


class _Mean(StrictRecord):
    """The fields of a ``Mean``."""

    step: Count
    seconds: Number
    content: Number
    style: Number
    total: Number
    steadiness: Number


class _StoredPair(StrictRecord):
    """The fields of an ``AlignedPair``."""

    photo: Tensor
    artwork: Tensor
    trust: Tensor

    @model_validator(mode="after")
    def _is_consistent(self) -> _StoredPair:
        tensors = self.photo, self.artwork, self.trust
        size = tuple(self.photo.shape[1:])
        if [tuple(tensor.shape) for tensor in tensors] != [(3, *size), (3, *size), (1, *size)]:
            raise ValueError("the images of a pair have different sizes")
        if not all(tensor.dtype == torch.uint8 for tensor in tensors) or min(size) < MIN_PAIR_PX:
            raise ValueError("the images of a pair have the wrong type or are too small")
        return self


class _StoredTraining(StrictRecord):
    """The contents of a checkpoint, as ``save`` writes them."""

    settings: dict[str, Any]
    recipe: dict[str, Any]
    content: StoredPicture
    styles: list[StoredPicture]
    style_weights: list[Number]
    folder: str | None
    name: str
    author: str | None
    licence: str | None
    parameters: dict[str, Tensor]
    averaged: dict[str, Tensor]
    first_moments: dict[str, Tensor]
    second_moments: dict[str, Tensor]
    step: Count
    seconds: Number
    history: list[_Mean]
    pairs: list[_StoredPair] = Field(default_factory=list)

    @model_validator(mode="after")
    def _is_consistent(self) -> _StoredTraining:
        if not self.styles or len(self.styles) != len(self.style_weights):
            raise ValueError("the number of weights isn't that of the styles")
        network = LearnSettings.model_validate(self.settings).network
        shape = shape_of(network, has_pairs=bool(self.pairs))
        for tensors in (self.parameters, self.averaged, self.first_moments, self.second_moments):
            sizes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
            if sizes != dict(shape.tensors):
                raise ValueError("the parameters aren't those of the network")
            if not all(t.dtype == torch.float32 and t.isfinite().all() for t in tensors.values()):
                raise ValueError("a parameter has the wrong type or isn't finite")
        return self


def save(training_job: TrainingJob, state: TrainingState, path: Path) -> None:
    """Write a checkpoint of a training atomically.

    Args:
        training_job: The inputs of the training.
        state: The state to save.
        path: The file. It is replaced if it exists.

    Raises:
        OutputError: The file can't be written.
    """

    def on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.cpu() for name, tensor in tensors.items()}

    buffer = io.BytesIO()
    torch.save(
        {
            VERSION_KEY: FORMAT_VERSION,
            "settings": training_job.settings.model_dump(mode="json"),
            "recipe": training_job.look.recipe.model_dump(mode="json"),
            "content": asdict(training_job.look.content),
            "styles": [asdict(style) for style in training_job.look.styles],
            "style_weights": list(training_job.look.style_weights),
            "folder": training_job.folder,
            "name": training_job.name,
            "author": training_job.author,
            "licence": training_job.licence,
            "parameters": on_cpu(state.parameters),
            "averaged": on_cpu(state.averaged),
            "first_moments": on_cpu({name: m for name, (m, _) in state.moments.items()}),
            "second_moments": on_cpu({name: m for name, (_, m) in state.moments.items()}),
            "step": state.step,
            "seconds": state.seconds,
            "history": [asdict(mean) for mean in state.history],
            "pairs": [asdict(pair) for pair in training_job.pairs],
        },
        buffer,
    )
    files.write_atomically(path, buffer.getvalue())
    files.remove_abandoned(path)


def load(path: Path, **changed: Any) -> tuple[TrainingJob, TrainingState]:
    """Read a checkpoint of a training.

    Args:
        path: The checkpoint.
        changed: ``time`` or ``steps``, which replace the length of the training.

    Returns:
        The inputs of the training, and the state to continue from.

    Raises:
        CheckpointError: The file doesn't exist, is damaged, or isn't a checkpoint of a training.
        ImageError: The folder of photos doesn't exist any more.
        DeviceError: This machine doesn't have the device.
    """
    content = _read(path)
    values = dict(content.settings)
    if changed:
        values |= {"time": None, "steps": None, **changed}
    settings = LearnSettings.model_validate(values)
    recipe = validate(content.recipe)
    device = method_of(recipe).device(recipe)
    job = Job(
        recipe=recipe,
        content=content.content.restored(),
        styles=tuple(style.restored() for style in content.styles),
        style_weights=tuple(content.style_weights),
        device=device,
    )
    training_job = TrainingJob(
        settings,
        job,
        training_photos(content.folder),
        content.folder,
        content.name,
        content.author,
        content.licence,
        pairs=tuple(AlignedPair(**dict(pair)) for pair in content.pairs),
    )

    def on_device(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(device.device) for name, tensor in tensors.items()}

    first, second = on_device(content.first_moments), on_device(content.second_moments)
    state = TrainingState(
        parameters=on_device(content.parameters),
        averaged=on_device(content.averaged),
        moments={name: (first[name], second[name]) for name in first},
        step=content.step,
        seconds=content.seconds,
        history=[Mean(**mean.model_dump()) for mean in content.history],
    )
    return training_job, state


def _read(path: Path) -> _StoredTraining:
    """Read and validate the contents of a checkpoint.

    Raises:
        CheckpointError: The file isn't a valid checkpoint of a training.
    """
    content = read_archive(path, "a checkpoint of a training")
    version = content.pop(VERSION_KEY, None) if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(f"{path} isn't a checkpoint of a training by this version of impasto")
    try:
        return _StoredTraining.model_validate(content)
    except (ValidationError, ImpastoError) as error:
        raise CheckpointError(
            f"{path} is damaged, or was written by another version of impasto"
        ) from error
