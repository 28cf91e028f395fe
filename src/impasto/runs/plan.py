"""Scales, memory and time of a run, planned before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.runs.memory import Need, Plan


@dataclass(frozen=True)
class Scale:
    """One size to work at, px, and the number of updates there. ``polish``: of updates that look at
    shifted views of the picture.
    """

    height: int
    width: int
    steps: int
    polish: bool = False

    @property
    def long_side(self) -> int:
        return max(self.height, self.width)

    @property
    def work(self) -> int:
        return self.steps * self.height * self.width


@dataclass(frozen=True)
class RunPlan:
    """The plan of an optimisation, made once, before it starts.

    ``height`` and ``width`` are those of the result, px. ``available_mb`` is the memory that the
    run may take, and ``memory`` how the largest of ``scales`` is kept within it.
    """

    height: int
    width: int
    scales: tuple[Scale, ...]
    available_mb: float
    memory: Plan


@dataclass(frozen=True)
class Estimate:
    """``scales`` with their sizes and steps, the ``memory`` at the peak, ``seconds`` without
    start-up.
    """

    scales: tuple[Scale, ...]
    memory: Need
    seconds: float
