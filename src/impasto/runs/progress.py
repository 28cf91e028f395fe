"""The events of a run: the picture so far, and what it takes to go on from there."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.images import write
from impasto.images.enlarge import enlarge
from impasto.losses.objective import Losses
from impasto.runs.job import Job
from impasto.runs.result import Result, Row, Trace


class Snapshot(Protocol):
    """Everything that changes during a run: what it takes to go on from ``step``, bit for bit."""

    @property
    def step(self) -> int:
        """The number of updates so far."""
        ...

    def state(self) -> dict[str, Any]:
        """Return it as tensors, numbers, text, lists, tuples and dictionaries, for a checkpoint.
        The method's ``restore`` makes a snapshot of them again.
        """
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Progress:
    """One event of a run: the image after ``step`` of ``steps`` updates.

    For a method that makes no updates, they are per cent of the work.

    ``scale`` is the long side that is being worked at, px; ``seconds`` and ``eta`` count without
    start-up; ``message`` is a sentence when something happened that a person should know.
    ``pixels`` (1, 3, h, w) is the image. ``losses`` are None for a method without; ``rows`` are
    those recorded so far. ``snapshot`` is None where a run can't be gone on with.

    A Progress stays valid when the run goes on: its picture, and as a checkpoint. While an old one
    is held, L-BFGS keeps the vectors that it needs, up to 24 bytes a pixel for each pair.
    """

    step: int
    steps: int
    scale: int
    job: Job = field(repr=False)
    pixels: Tensor = field(repr=False)
    losses: Losses | None = None
    seconds: float = 0.0
    eta: float = float("inf")
    message: str | None = None
    snapshot: Snapshot | None = field(default=None, repr=False)
    rows: tuple[Row, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.shape[1] != 3:
            raise ValueError(f"pixels should be (1, 3, H, W), not {tuple(self.pixels.shape)}")
        if not self.pixels.is_floating_point():
            raise ValueError(f"pixels should be from 0 to 1, not {self.pixels.dtype}")

    @property
    def image(self) -> Image.Image:
        """The picture so far, at the size being worked at."""
        pixels = self.job.finished(self.pixels)
        return Image.fromarray(write.quantize(_as_array(pixels, None), 8))

    def result(self) -> Result:
        """The picture so far as a Result at its final size: what a stopped run leaves."""
        job, pixels = self.job, self.pixels
        if pixels.shape[-2:] != job.content.rgb.shape[-2:]:
            small, seamless = pixels.float().cpu(), job.recipe.is_seamless
            pixels = enlarge(small, job.content.rgb, seamless=seamless)
        pixels = job.finished(pixels)
        return Result(
            array=_as_array(pixels, job.content.alpha),
            losses=self._trace(),
            seconds=self.seconds,
            steps=self.step,
            job=job,
        )

    def _trace(self) -> Trace | None:
        if self.losses is None:
            return None
        rows = self.rows
        if not rows or rows[-1]["step"] != self.step:
            row = Row(step=self.step, scale=self.scale, **self.losses.as_dict())  # type: ignore[typeddict-item]
            rows = (*rows, row)
        return Trace(rows)


def last(events: Iterable[Progress]) -> Progress:
    """Return the last event of a run.

    ``*_, last = events`` would hold all of them, and with each its picture and the state of the
    solver: 7 GB for 1,000 steps at 512 px.
    """
    (event,) = deque(events, maxlen=1)
    return event


def _as_array(pixels: Tensor, alpha: Tensor | None) -> np.ndarray:
    channels = pixels if alpha is None else torch.cat([pixels.cpu(), alpha], dim=1)
    array: np.ndarray = channels[0].permute(1, 2, 0).float().cpu().contiguous().numpy()
    return array
