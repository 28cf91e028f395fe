"""The events of a run, each with the picture so far and the state to continue from."""

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
    """Everything that changes during a run: the state from which it continues, bit for bit."""

    @property
    def step(self) -> int:
        """The number of updates so far."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint, from which the method's ``restore`` makes a snapshot.

        It consists of tensors, numbers, text, lists, tuples and dictionaries.
        """
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Progress:
    """One event of a run: the image after ``step`` of ``steps`` updates.

    A Progress stays valid when the run continues, both its picture and its snapshot. While an old
    one is held, L-BFGS keeps the vectors that it needs, up to 24 bytes per pixel for each pair.

    Attributes:
        step: The number of updates so far; for a method without updates, the percentage done.
        steps: The number of updates in all, or 100.
        scale: The long side of the image in progress, px.
        job: The job of the run.
        pixels: The image, (1, 3, h, w).
        losses: The losses of the image, or None if the method has none.
        seconds: Time since the start, without start-up, seconds.
        eta: Estimated remaining time, seconds.
        message: A sentence for the user about an event, or None.
        snapshot: The state to continue from, or None if the run can't be continued.
        rows: The losses recorded so far.
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
        """The picture so far, at the current scale."""
        pixels = self.job.finished(self.pixels)
        return Image.fromarray(write.quantize(_as_array(pixels, None), 8))

    def result(self) -> Result:
        """Return the picture so far as a Result at its final size, as a stopped run leaves it."""
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
    """Return the last event of a run, holding only one event at a time.

    ``*_, last = events`` would hold all events, each with its picture and the state of the solver:
    7 GB for 1,000 steps at 512 px.
    """
    (event,) = deque(events, maxlen=1)
    return event


def _as_array(pixels: Tensor, alpha: Tensor | None) -> np.ndarray:
    channels = pixels if alpha is None else torch.cat([pixels.cpu(), alpha], dim=1)
    array: np.ndarray = channels[0].permute(1, 2, 0).float().cpu().contiguous().numpy()
    return array
