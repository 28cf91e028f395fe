"""Scales, memory and time of a run, planned before it starts."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from impasto.base.devices import memory_available_mb
from impasto.settings.recipe import Recipe


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
        """The larger of height and width, px."""
        return max(self.height, self.width)

    @property
    def work(self) -> int:
        """Pixels updated at this scale: what its time is proportional to."""
        return self.steps * self.height * self.width


@dataclass(frozen=True, kw_only=True)
class Need:
    """``needed_mb`` is what a run takes at its peak; ``stays`` tells whether the process that runs
    it should keep freed memory for the next step, see ``base/own_process.py``.
    """

    needed_mb: float
    stays: bool = False

    def __str__(self) -> str:
        return f"about {self.needed_mb / 1000:.1f} GB"


@dataclass(frozen=True)
class RunPlan:
    """How a run goes, planned once, before it starts: the size of its result, px, the scales that
    it goes through, and its memory.
    """

    height: int
    width: int
    scales: tuple[Scale, ...]
    memory: Need


@dataclass(frozen=True)
class Estimate:
    """``scales`` with their sizes and steps, the ``memory`` at the peak, ``seconds`` without
    start-up.
    """

    scales: tuple[Scale, ...]
    memory: Need
    seconds: float


def limit_mb(recipe: Recipe, device: torch.device) -> float:
    """Return how much memory a run may take, MB: what there is, or the recipe's ``max_memory`` if
    less.
    """
    available = memory_available_mb(device)
    return available if recipe.max_memory is None else min(available, recipe.max_memory * 1000)
