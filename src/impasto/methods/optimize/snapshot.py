"""The state from which an optimisation continues, and its validation in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from pydantic import Field, model_validator
from torch import Tensor

from impasto.base.errors import CheckpointError
from impasto.methods.optimize.plan import plan_scales
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.runs.job import Job
from impasto.runs.plan import Scale
from impasto.runs.result import Row
from impasto.runs.tensors import Count, Image, Number, Positive, StrictRecord
from impasto.solvers import State


@dataclass(frozen=True, eq=False)
class OptimizeSnapshot:
    """Everything that changes during an optimisation.

    Attributes:
        step: The number of updates so far.
        scale_index: The index of the current scale.
        step_in_scale: The number of updates at the current scale.
        steps_before: The number of updates at each earlier scale.
        image: The image, (1, 3, h, w), at the current scale.
        solver: The state of the solver.
        best: The image with the lowest total so far at this scale, and that total.
        lowest_totals: The lowest total up to each of the last steps.
        rows: The losses recorded so far.
        seconds: Time since the start, seconds.
    """

    step: int
    scale_index: int
    step_in_scale: int
    steps_before: tuple[int, ...]
    image: Tensor
    solver: State
    best: tuple[Tensor, float] | None
    lowest_totals: tuple[float, ...]
    rows: tuple[Row, ...]
    seconds: float

    def state(self) -> dict[str, Any]:
        """Return the values of a checkpoint, see ``Snapshot.state``."""
        values = {**vars(self), "solver": self.solver()}
        values["falls"] = values.pop("lowest_totals")  # the name in the file
        return values


def restore(job: Job, state: Mapping[str, Any], stored: OptimizeSettings) -> OptimizeSnapshot:
    """Return the snapshot of a checkpoint, see ``Method.restore``.

    Raises:
        CheckpointError: The snapshot doesn't fit the recipe, or its steps can't be changed.
        pydantic.ValidationError: The snapshot is damaged.
    """
    recipe = OptimizeSettings.of(job.recipe)
    scales = plan_scales(recipe, job.content.height, job.content.width)
    checked = _Snapshot.model_validate(state)
    snapshot = checked.restored()
    if snapshot.step > recipe.steps:
        raise CheckpointError(
            f"is at step {snapshot.step} already; step {recipe.steps} lies before that"
        )
    if recipe.steps != stored.steps:
        if len(scales) > 1:
            raise CheckpointError(
                "goes through several sizes; its number of steps can't be changed"
            )
        # The last row of a finished run may be irregular; a longer run doesn't have it.
        if snapshot.rows and snapshot.rows[-1]["step"] % recipe.trace_every:
            snapshot = replace(snapshot, rows=snapshot.rows[:-1])
    if not checked.fits(recipe, scales):
        raise CheckpointError("is damaged: what it holds doesn't fit its recipe")
    return snapshot


class _Row(StrictRecord):
    """The fields of a ``Row``."""

    step: Count
    scale: Count
    content: Number
    style: Number
    tv: Number
    total: Number


class _Lbfgs(StrictRecord):
    """The state of ``LBFGS``."""

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
            is_complete = not self.order
        else:
            is_complete = self.vectors.dtype == torch.float32 and self.vectors.shape[:2] == (
                slots,
                2,
            )
        if not is_complete or len(self.order) >= slots or not {*self.order} <= {*range(slots)}:
            raise ValueError("the pairs don't fit")
        return self

    def fits(self, size: torch.Size) -> bool:
        last = [] if self.last is None else [self.last[0], self.last[2]]
        numbers = size.numel()
        pairs_fit = self.vectors is None or self.vectors.shape[2:] == (numbers,)
        return pairs_fit and all(image.shape == size for image in last)


class _Adam(StrictRecord):
    """The state of ``Adam``."""

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
    """The state of ``AveragedAdam``."""

    average: Image | None
    lrs: tuple[Positive, Positive]


class _Snapshot(StrictRecord):
    """The fields of an ``OptimizeSnapshot``; ``solver`` has the values of its state."""

    step: Count
    scale_index: Count
    step_in_scale: Count
    steps_before: tuple[Count, ...]
    image: Image
    solver: _Lbfgs | _AveragedAdam | _Adam
    best: tuple[Image, Number] | None
    lowest_totals: Annotated[tuple[Number, ...], Field(alias="falls")]
    rows: tuple[_Row, ...]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    def restored(self) -> OptimizeSnapshot:
        rows, state = tuple(map(dict, self.rows)), dict(self.solver)
        return OptimizeSnapshot(**{**dict(self), "rows": rows, "solver": lambda: state})

    def fits(self, recipe: OptimizeSettings, scales: Sequence[Scale]) -> bool:
        """Return whether a run of the recipe through these scales can have this snapshot."""
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
