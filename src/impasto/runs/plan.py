"""Scales, memory and time of a run, planned before it starts."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from impasto.base.devices import memory_available_mb
from impasto.settings.recipe import Recipe


@dataclass(frozen=True)
class Scale:
    """One size of a run, and the number of updates at it.

    Attributes:
        height: The height of the image, px.
        width: The width of the image, px.
        steps: The number of updates.
        polish: Whether the updates see shifted views of the picture, to polish it.
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
        """The number of pixels updated at this scale; its time is proportional to it."""
        return self.steps * self.height * self.width


@dataclass(frozen=True, kw_only=True)
class Need:
    """The memory that a run needs.

    Attributes:
        needed_mb: The peak, MB.
        stays: Whether the process of the run should keep freed memory for the next step, see
            ``base/own_process.py``.
    """

    needed_mb: float
    stays: bool = False

    def __str__(self) -> str:
        return f"about {self.needed_mb / 1000:.1f} GB"


@dataclass(frozen=True)
class RunPlan:
    """The plan of a run, made once before it starts.

    Attributes:
        height: The height of the result, px.
        width: The width of the result, px.
        scales: The sizes that the run goes through.
        memory: The memory that it needs.
    """

    height: int
    width: int
    scales: tuple[Scale, ...]
    memory: Need


@dataclass(frozen=True)
class Estimate:
    """The estimated time and memory of a run.

    Attributes:
        scales: The sizes that the run goes through.
        memory: The memory that it needs.
        seconds: The time, without start-up, seconds.
    """

    scales: tuple[Scale, ...]
    memory: Need
    seconds: float


def limit_mb(recipe: Recipe, device: torch.device) -> float:
    """Return the memory that a run may take, MB.

    It is the available memory, or the recipe's ``max_memory`` if that is less.
    """
    available = memory_available_mb(device)
    return available if recipe.max_memory is None else min(available, recipe.max_memory * 1000)
