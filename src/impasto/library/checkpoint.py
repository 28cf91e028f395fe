"""A run in a file: everything needed to go on from one Progress, bit for bit."""

from __future__ import annotations

import io
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from torch import Tensor

from impasto.base import files
from impasto.base.errors import CheckpointError, reason
from impasto.images.picture import Picture
from impasto.methods.optimize import plan_scales
from impasto.networks.kernels import selection as kernels
from impasto.runs.plan import Scale
from impasto.runs.result import Job, Progress, Snapshot
from impasto.settings.recipe import ADDED_SETTINGS, Recipe, validate

FORMAT_VERSION = 3
VERSION_KEY = "impasto checkpoint"


def save(progress: Progress, path: Path) -> None:
    """Write the checkpoint of ``progress``, atomically, at once or later.

    Raises CheckpointError: the run can't be gone on with; OutputError.
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
            "snapshot": {**vars(snapshot), "solver": snapshot.solver()},
        },
        buffer,
    )
    files.write_atomically(path, buffer.getvalue())
    files.remove_abandoned(path)


def load(path: Path, *, steps: int | None = None) -> tuple[Job, Snapshot]:
    """The job and the snapshot to go on from; ``steps`` replaces the recipe's number of them.

    Raises CheckpointError: not there, damaged, or not a checkpoint; RecipeError, DeviceError.
    """
    content = _read(path)
    given = {} if steps is None else {"steps": steps}
    recipe = validate({**ADDED_SETTINGS, **content.recipe, **given})
    scales = plan_scales(recipe, *content.content.rgb.shape[-2:])
    snapshot = content.snapshot.restored()
    if snapshot.step > recipe.steps:
        raise CheckpointError(
            f"{path} is at step {snapshot.step} already; step {recipe.steps} lies before that"
        )
    if steps is not None and steps != content.recipe.get("steps"):
        if len(scales) > 1:
            raise CheckpointError(
                f"{path} goes through several sizes; its number of steps can't be changed"
            )
        # The last row of a finished run is off the grid; it isn't the last any more.
        if snapshot.rows and snapshot.rows[-1]["step"] % recipe.trace_every:
            snapshot = replace(snapshot, rows=snapshot.rows[:-1])
    if not content.snapshot.fits(recipe, scales):
        raise CheckpointError(f"{path} is damaged: what it holds doesn't fit its recipe")
    job = Job(
        recipe=recipe,
        content=content.content.restored(),
        styles=tuple(style.restored() for style in content.styles),
        style_weights=content.style_weights,
        mask=content.mask,
        regions=tuple((mask, style.restored()) for mask, style in content.regions),
        device=kernels.choose(recipe.device, content.precision, recipe.kernel, strict=False),
    )
    return job, snapshot


class _Strict(BaseModel):
    """A part of a checkpoint, validated without converting any type."""

    model_config = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)


def _image(tensor: Any, channels: int) -> Any:
    """Check that a tensor is an image (1, channels, H, W) in float32. Raises ValueError."""
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


class _Picture(_Strict):
    """A Picture."""

    rgb: Image
    alpha: Mask | None
    name: str
    sha256: str | None
    blank: bool
    built_in: bool
    full_size: tuple[Count, Count] | None = None
    notes: tuple[str, ...] = ()

    def restored(self) -> Picture:
        return Picture(**dict(self))


class _Row(_Strict):
    """A row of a Trace."""

    step: Count
    scale: Count
    content: Number
    style: Number
    tv: Number
    total: Number


class _Lbfgs(_Strict):
    """The state of LBFGS."""

    lr: Positive
    last: tuple[Image, Number, Image] | None
    backtracks: Count
    reach: Positive = 1.0
    vectors: Tensor | None
    order: list[Count]
    sy: Tensor
    yy: Tensor

    @model_validator(mode="after")
    def _belongs_together(self) -> _Lbfgs:
        slots = len(self.sy) if self.sy.ndim else 0
        tables_fit = self.sy.shape == self.yy.shape == (slots, slots)
        if not tables_fit or self.sy.dtype != torch.float64 or self.yy.dtype != torch.float64:
            raise ValueError("the inner products of the pairs don't fit")
        if self.vectors is None:
            are_there = not self.order
        else:
            are_there = self.vectors.dtype == torch.float32 and self.vectors.shape[:2] == (slots, 2)
        if not are_there or len(self.order) >= slots or not {*self.order} <= {*range(slots)}:
            raise ValueError("the pairs don't fit")
        return self

    def fits(self, size: torch.Size) -> bool:
        last = [] if self.last is None else [self.last[0], self.last[2]]
        numbers = size.numel()
        pairs_fit = self.vectors is None or self.vectors.shape[2:] == (numbers,)
        return pairs_fit and all(image.shape == size for image in last)


class _Adam(_Strict):
    """The state of Adam."""

    lr: Positive
    count: Count
    first: Image | None
    second: Image | None

    @model_validator(mode="after")
    def _belongs_together(self) -> _Adam:
        if (self.first is None) != (self.second is None) or (self.first is None) != (
            not self.count
        ):
            raise ValueError("the moments don't fit")
        return self

    def fits(self, size: torch.Size) -> bool:
        return all(image.shape == size for image in vars(self).values() if torch.is_tensor(image))


class _AveragedAdam(_Adam):
    """The state of AveragedAdam."""

    average: Image | None
    lrs: tuple[Positive, Positive]


class _Snapshot(_Strict):
    """A Snapshot; ``solver`` is what its State returns."""

    step: Count
    scale_index: Count
    step_in_scale: Count
    steps_before: tuple[Count, ...]
    image: Image
    solver: _Lbfgs | _AveragedAdam | _Adam
    best: tuple[Image, Number] | None
    falls: tuple[Number, ...]
    rows: tuple[_Row, ...]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    def restored(self) -> Snapshot:
        rows, state = tuple(map(dict, self.rows)), dict(self.solver)
        return Snapshot(**{**dict(self), "rows": rows, "solver": lambda: state})

    def fits(self, recipe: Recipe, scales: list[Scale]) -> bool:
        """Return whether it can be one of a run of the recipe, through these scales."""
        if self.scale_index >= len(scales) or len(self.steps_before) != self.scale_index:
            return False
        scale = scales[self.scale_index]
        size = torch.Size((1, 3, scale.height, scale.width))
        kind = _AveragedAdam if scale.polish else _Adam if recipe.solver == "adam" else _Lbfgs
        images = [self.image, *([] if self.best is None else [self.best[0]])]
        return (
            self.step_in_scale <= scale.steps
            and type(self.solver) is kind
            and self.solver.fits(size)
            and all(image.shape == size for image in images)
        )


class _Content(_Strict):
    """The contents of a checkpoint, as ``save`` writes them."""

    recipe: dict[str, Any]
    content: _Picture
    styles: list[_Picture]
    style_weights: tuple[Number, ...]
    mask: Mask | None
    regions: list[tuple[Mask, _Picture]]
    precision: str
    snapshot: _Snapshot

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
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such checkpoint") from error
    except IsADirectoryError as error:
        raise CheckpointError(f"{path} is a folder, not a checkpoint") from error
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {reason(error)}") from error
    except Exception as error:  # whatever unpickling thinks of
        raise CheckpointError(f"{path} is damaged, or isn't a checkpoint") from error
    version = content.pop(VERSION_KEY, None) if isinstance(content, dict) else None
    if not isinstance(version, int) or version != FORMAT_VERSION:
        raise CheckpointError(f"{path} isn't a checkpoint of this version of impasto")
    try:
        return _Content.model_validate(content)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise CheckpointError(
            f"{path} is damaged, or a checkpoint of another version of impasto: {place} is wrong"
        ) from error
