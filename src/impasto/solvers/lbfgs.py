"""L-BFGS (Nocedal & Wright 2006, algorithm 7.4), projected onto the pixels' range."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor

FIRST_STEP = 0.01
"""Mean change of a pixel in the very first step, when nothing is known about the curvature."""
MAX_BACKTRACKS = 4
MIN_CURVATURE = 1e-8
"""Pairs with sᵀy below this share of ‖s‖·‖y‖ carry no curvature, only noise."""


class LBFGS:
    """L-BFGS with one evaluation per step.

    A full quasi-Newton step is taken at once and nearly always lowers the loss; only where it
    doesn't, the next images lie half way back, and half again. Pixels at the end of their range
    that the gradient pushes outwards are left out of the step (Bertsekas 1982), the others clipped.
    """

    def __init__(self, lr: float = 1.0, history: int = 20) -> None:
        self.lr = lr
        self.pairs: deque[tuple[Tensor, Tensor]] = deque(maxlen=history)  # s and y, flat float32
        self.last: tuple[Tensor, float, Tensor] | None = None  # the last good image, loss, gradient
        self.backtracks = 0

    def step(self, image: Tensor, loss: float, gradient: Tensor) -> Tensor:
        if self.last is not None:
            last_image, last_loss, last_gradient = self.last
            if loss > last_loss and self.backtracks < MAX_BACKTRACKS:
                self.backtracks += 1
                return torch.lerp(last_image, image, 0.5)
            if loss > last_loss:  # the direction was no good at any length
                self.pairs.clear()
                image, loss, gradient = self.last
            else:
                self._remember((image - last_image).flatten(), (gradient - last_gradient).flatten())
        self.backtracks = 0
        self.last = (image, loss, gradient)
        free = ~(((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0)))
        masked = gradient * free
        direction = self._direction(masked) * free
        if torch.dot(direction.flatten(), masked.flatten()) >= 0:
            self.pairs.clear()
            direction = self._direction(masked)
        return (image + self.lr * direction).clamp(0, 1)

    def _remember(self, s: Tensor, y: Tensor) -> None:
        if torch.dot(s, y) > MIN_CURVATURE * s.norm() * y.norm():
            self.pairs.append((s, y))

    def _direction(self, gradient: Tensor) -> Tensor:
        """−H·g by the two-loop recursion, H the inverse Hessian as far as the pairs know it."""
        if not self.pairs:
            return -gradient * (FIRST_STEP / gradient.abs().mean().clamp(min=1e-30))
        q = gradient.flatten().clone()
        factors = []
        for s, y in reversed(self.pairs):
            rho = 1 / torch.dot(s, y)
            alpha = rho * torch.dot(s, q)
            q -= alpha * y
            factors.append((rho, alpha))
        s, y = self.pairs[-1]
        q *= torch.dot(s, y) / torch.dot(y, y)
        for (s, y), (rho, alpha) in zip(self.pairs, reversed(factors), strict=True):
            q += (alpha - rho * torch.dot(y, q)) * s
        return -q.view_as(gradient)

    def restart(self) -> None:
        self.lr /= 2
        self.pairs.clear()
        self.last, self.backtracks = None, 0

    def state(self) -> dict[str, Any]:
        return {
            "lr": self.lr,
            "pairs": list(self.pairs),
            "last": self.last,
            "backtracks": self.backtracks,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.lr, self.backtracks, self.last = state["lr"], state["backtracks"], state["last"]
        self.pairs.clear()
        self.pairs.extend(state["pairs"])
