"""Steps on pixels: nothing in here knows about style."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor


class Solver(Protocol):
    """Minimises a function of an image whose pixels stay within [0, 1]."""

    def step(self, image: Tensor, loss: float, gradient: Tensor) -> Tensor:
        """The image to look at next, a new tensor, from the one just looked at."""
        ...

    def restart(self) -> None:
        """Forget the past, and take steps of half the length from now on."""
        ...

    def state(self) -> dict[str, Any]:
        """All that ``step`` depends on, as tensors and plain values."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a ``state``, bit for bit."""
        ...
