"""Steps on pixels: nothing in here knows about style."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

State = Callable[[], dict[str, Any]]
"""All that a solver's next step depended on when the State was made, as tensors and plain values.
It can be called at any time. L-BFGS, which reuses its memory, copies what an old State still needs.
"""


class Solver(Protocol):
    """Minimises a function of an image whose pixels stay within [0, 1]."""

    descends: bool
    """Whether a loss above the lowest so far means that the image is only tried out."""

    def step(self, image: Tensor, loss: float, gradient: Tensor) -> Tensor:
        """The image to look at next, a new tensor, from the one just looked at."""
        ...

    def result(self, image: Tensor) -> Tensor:
        """The picture to show for the image that ``step`` returned last."""
        ...

    def restart(self) -> None:
        """Forget the past, and take steps of half the length from now on."""
        ...

    def limit_history(self, history: int) -> None:
        """Keep at most so many pairs of vectors from now on."""
        ...

    def state(self) -> State:
        """What ``step`` depends on now."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what a State returned, bit for bit."""
        ...
