"""L-BFGS (Nocedal & Wright 2006, algorithm 7.4), projected onto the pixels' range."""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakSet

import numpy as np
import torch
from torch import Tensor

from impasto.solvers import State

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

    descends = True

    def __init__(self, lr: float = 1.0, history: int = 20) -> None:
        self.lr = lr
        self.pairs = Pairs(history)
        self.last: tuple[Tensor, float, Tensor] | None = None  # the last good image, loss, gradient
        self.backtracks = 0
        self.reach = 1.0
        """Of the first step, once a step of its whole length was too far."""

    def step(self, image: Tensor, loss: float, gradient: Tensor) -> Tensor:
        pair = None
        if self.last is not None:
            last_image, last_loss, last_gradient = self.last
            if loss > last_loss and self.backtracks < MAX_BACKTRACKS:
                self.backtracks += 1
                return torch.lerp(last_image, image, 0.5)
            if loss > last_loss:  # the direction was no good at any length
                if not self.pairs.order:  # not even the gradient's: it is tried nearer by
                    self.reach /= 2 ** (MAX_BACKTRACKS + 1)
                self.pairs.forget()
                image, loss, gradient = self.last
            else:
                pair = (image, last_image, gradient, last_gradient)
                self.reach = 1.0
        self.backtracks = 0
        self.last = (image, loss, gradient)
        free = ~(((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0)))
        masked = gradient * free
        newton = self.pairs.direction(masked, pair)
        if newton is not None and newton.slope < 0:
            direction = newton.direction.mul_(free)
        else:
            self.pairs.forget()
            size = masked.abs().mean().clamp(min=1e-30)
            direction = -masked * (self.reach * FIRST_STEP / size)
        return direction.mul_(self.lr).add_(image).clamp_(0, 1)

    def result(self, image: Tensor) -> Tensor:
        return image

    def restart(self) -> None:
        self.lr /= 2
        self.pairs.forget()
        self.last, self.backtracks, self.reach = None, 0, 1.0

    def limit_history(self, history: int) -> None:
        """Keep at most so many pairs from now on, and release the memory of the others."""
        if history < self.pairs.slots - 1:
            self.pairs = Pairs(history)

    def state(self) -> State:
        now = {
            "lr": self.lr,
            "last": self.last,
            "backtracks": self.backtracks,
            "reach": self.reach,
        }
        pairs = self.pairs.state()
        return lambda: {**now, **pairs()}

    def load(self, state: dict[str, Any]) -> None:
        self.lr, self.backtracks, self.last = state["lr"], state["backtracks"], state["last"]
        self.reach = state.get("reach", 1.0)
        self.pairs.load(state)


class Newton(NamedTuple):
    """A quasi-Newton direction, and its product with the gradient, which is negative if the loss
    falls along it.
    """

    direction: Tensor
    slope: float


class Pairs:
    """The last steps s and changes of the gradient y, and what they tell of the inverse Hessian.

    They lie in one buffer that is reused in place. The algorithm's two loops run over their inner
    products, small numbers in float64, so that a step reads the buffer twice, however long the
    history is (Chen et al. 2014, "Large-scale L-BFGS using MapReduce").
    """

    def __init__(self, history: int) -> None:
        self.slots = history + 1  # one is free for the next pair
        self.vectors: Tensor | None = None  # (slots, 2, n): s and y, float32
        self.order: list[int] = []  # the slots in use, the oldest first
        self.sy = torch.zeros(self.slots, self.slots, dtype=torch.float64)  # s_i · y_j
        self.yy = torch.zeros(self.slots, self.slots, dtype=torch.float64)  # y_i · y_j
        self.states: WeakSet[PairsState] = WeakSet()  # those that somebody may call yet

    def forget(self) -> None:
        self.order = []

    def direction(self, gradient: Tensor, pair: tuple[Tensor, ...] | None) -> Newton | None:
        """Return −H·g, H the inverse Hessian as far as the pairs know it, once ``pair`` (image, the
        last one, gradient, the last one) is among them; None if there is no pair.
        """
        g = gradient.flatten()
        columns = [g]
        if pair is not None:
            columns += self._write(*pair)
        if self.vectors is None:
            return None
        products, square = self._products(torch.stack(columns))
        if pair is not None:
            self._accept(products[..., 1:])
        if not self.order:
            return None
        weights, gradient_weight = self._two_loops(products[..., 0])
        flat = torch.mv(self.vectors.flatten(0, 1).T, weights.flatten().to(g))
        direction = flat.sub_(g, alpha=gradient_weight).view_as(gradient)
        slope = float((weights * products[..., 0]).sum()) - gradient_weight * square
        return Newton(direction, slope)

    def _write(self, image: Tensor, last: Tensor, gradient: Tensor, before: Tensor) -> list[Tensor]:
        """Put the pair into the free slot. Returns s and y."""
        if self.vectors is None:
            self.vectors = image.new_zeros(self.slots, 2, image.numel())
        slot = self._free()
        self._save(slot)
        s, y = self.vectors[slot].unbind()
        torch.sub(image.flatten(), last.flatten(), out=s)
        torch.sub(gradient.flatten(), before.flatten(), out=y)
        return [s, y]

    def _save(self, slot: int) -> None:
        """Copy what is in a slot for the states that need it."""
        assert self.vectors is not None
        states = [state for state in self.states if state.needs(slot)]
        if states:
            pair = self.vectors[slot].clone()
            for state in states:
                state.saved[slot] = pair

    def _accept(self, products: Tensor) -> None:
        """Take the pair in the free slot, if there is curvature in it.

        ``products`` (slots, 2, 2) are those of each s and y with the pair's s and y.
        """
        slot = self._free()
        assert self.vectors is not None
        (ss, sy), (_, yy) = products[slot].tolist()
        if not sy > MIN_CURVATURE * (ss * yy) ** 0.5:
            self.vectors[slot] = 0  # it may not even be finite
            return
        self.sy[:, slot], self.yy[:, slot] = products[:, 0, 1], products[:, 1, 1]
        self.yy[slot] = products[:, 1, 1]
        self.order = [*self.order, slot][-(self.slots - 1) :]

    def _free(self) -> int:
        return next(slot for slot in range(self.slots) if slot not in self.order)

    def _products(self, vectors: Tensor) -> tuple[Tensor, float]:
        """Return the inner products of each s and y with each row of (k, n): (slots, 2, k), and of
        the first row with itself, in float64. One copy brings all of them from the device.
        """
        assert self.vectors is not None
        products = self.vectors.flatten(0, 1) @ vectors.T
        square = torch.dot(vectors[0], vectors[0])
        numbers = torch.cat([products.flatten(), square[None]]).cpu().double()
        return numbers[:-1].view(self.slots, 2, -1), float(numbers[-1])

    def _two_loops(self, products: Tensor) -> tuple[Tensor, float]:
        """−H·g as a sum: the weights of each s and y (slots, 2), and that of −g."""
        # In NumPy, whose calls take a third of PyTorch's time on such small vectors.
        sg, yg = products.T.numpy()
        sy, yy = self.sy.numpy(), self.yy.numpy()
        alpha, beta = np.zeros((2, self.slots))
        for i in reversed(self.order):
            alpha[i] = (sg[i] - alpha @ sy[i]) / sy[i, i]
        newest = self.order[-1]
        gamma = sy[newest, newest] / yy[newest, newest]
        for i in self.order:
            # beta holds α − β of the pairs older than this one
            beta[i] = alpha[i] - (gamma * (yg[i] - alpha @ yy[i]) + beta @ sy[:, i]) / sy[i, i]
        return torch.from_numpy(np.stack([-beta, gamma * alpha], axis=1)), float(gamma)

    def state(self) -> PairsState:
        state = PairsState(self)
        self.states.add(state)
        return state

    def load(self, state: dict[str, Any]) -> None:
        self.vectors, self.order = state["vectors"], state["order"]
        self.sy, self.yy = state["sy"], state["yy"]
        self.slots = len(self.sy)  # as it was, even where less memory is planned for them now


class PairsState:
    """The pairs as they are now, whenever it is called.

    The buffer goes on being reused; ``saved`` has what was overwritten since. In most runs that is
    nothing, because nobody holds a state for longer than two steps.
    """

    def __init__(self, pairs: Pairs) -> None:
        self.pairs, self.is_empty = pairs, pairs.vectors is None
        self.order, self.sy, self.yy = list(pairs.order), pairs.sy.clone(), pairs.yy.clone()
        self.saved: dict[int, Tensor] = {}

    def needs(self, slot: int) -> bool:
        """Return whether what is in a slot of the buffer has to be saved from being overwritten."""
        return slot in self.order and slot not in self.saved

    def __call__(self) -> dict[str, Any]:
        vectors = None
        if self.pairs.vectors is not None and not self.is_empty:
            vectors = self.pairs.vectors.clone()
            for slot, pair in self.saved.items():
                vectors[slot] = pair
        return {"vectors": vectors, "order": list(self.order), "sy": self.sy, "yy": self.yy}
