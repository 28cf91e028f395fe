"""What a run would take, before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.memory import Need


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
class Estimate:
    """``scales`` with their sizes and steps, the ``memory`` at the peak, ``seconds`` without
    start-up.
    """

    scales: tuple[Scale, ...]
    memory: Need
    seconds: float
