"""Adam (Kingma & Ba 2015, algorithm 1), on the pixels of one image."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from impasto.solvers import State

EpsilonForm = Literal["tensorflow", "torch"]


class Adam:
    """Adam with each step clipped to [0, 1].

    ``epsilon_form``: TensorFlow adds epsilon to √v ("epsilon hat", the paper's remark before
    section 2.1); PyTorch to √v̂, which is corrected for its start. With the tutorial's large
    epsilon, 0.1, the two are different algorithms.
    """

    descends = False

    def __init__(
        self,
        lr: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        epsilon_form: EpsilonForm = "torch",
    ) -> None:
        self.lr, self.beta1, self.beta2 = lr, beta1, beta2
        self.epsilon, self.epsilon_form = epsilon, epsilon_form
        self.count = 0
        self.first: Tensor | None = None  # (1, 3, H, W), running mean of the gradient
        self.second: Tensor | None = None  # (1, 3, H, W), running mean of its square

    def step(self, image: Tensor, loss: float, gradient: Tensor) -> Tensor:
        if self.first is None or self.second is None:
            self.first, self.second = torch.zeros_like(gradient), torch.zeros_like(gradient)
        self.count += 1
        # New tensors, not in place: a State of the last step still needs the old ones.
        self.first = torch.lerp(self.first, gradient, 1 - self.beta1)
        self.second = torch.lerp(self.second, gradient.square(), 1 - self.beta2)
        correction1 = 1 - self.beta1**self.count
        correction2 = (1 - self.beta2**self.count) ** 0.5
        if self.epsilon_form == "tensorflow":
            root = self.second.sqrt().add_(self.epsilon)
            length = self.lr * correction2 / correction1
        else:
            root = self.second.sqrt().div_(correction2).add_(self.epsilon)
            length = self.lr / correction1
        return torch.addcdiv(image, self.first, root, value=-length).clamp_(0, 1)

    def restart(self) -> None:
        self.lr /= 2
        self.count, self.first, self.second = 0, None, None

    def state(self) -> State:
        state = {"lr": self.lr, "count": self.count, "first": self.first, "second": self.second}
        return lambda: state

    def load(self, state: dict[str, Any]) -> None:
        self.lr, self.count = state["lr"], state["count"]
        self.first, self.second = state["first"], state["second"]
