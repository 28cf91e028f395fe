"""The training of a network that paints in one style (Johnson et al. 2016).

At each step the network stylizes a crop of a photo. A task returns the losses of the stylized crop,
and their gradient with respect to its pixels. For style images the task uses the objective of the
method ``optimize``. The gradient is propagated back through the network. A second loss penalises
changes of the picture if the crop is shifted by a few pixels, a little brighter, or noisy (Ruder et
al. 2018), which reduces flicker in films.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from impasto.learning.crops import MARGIN, Crop
from impasto.learning.pairs import AlignedPair, PairTask
from impasto.learning.settings import LearnSettings
from impasto.learning.tasks import StyleTask, Task
from impasto.losses.objective import Losses
from impasto.networks.learned import initial_parameters, layers_of, paint_to_train
from impasto.networks.network_shape import SHAPES, NetworkShape, NetworkSize
from impasto.networks.transformer import Parameters
from impasto.runs.job import Job

BETAS = (0.9, 0.99)
"""Decay rates of Adam. The second is lower than usual, because a training has few steps."""
WARM_UP_STEPS = 20
"""Steps in which the learning rate rises linearly."""
FINAL_SHARE = 0.01
"""Learning rate at the end of a training, relative to the setting."""
AVERAGED_STEPS = 20
"""Approximate number of steps over which the parameters in the style file are averaged."""
NOISE = 0.02
"""Standard deviation of the noise in the second view of a crop, in [0, 1]."""
BRIGHTNESS = 0.05
"""Standard deviation of the logarithm of the gain in the second view of a crop."""
LOSS_WINDOW = 50
"""Number of draws over which reported losses are averaged."""
HISTORY_POINTS = 200
"""Approximate number of points in the loss history of a training."""


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """Everything that stays the same during a training.

    Attributes:
        settings: The settings of the training.
        look: The style images, the recipe of the objective, and the device. Its content image is a
            placeholder; its size is the picture size for which the strokes are meant.
        photos: The photos, (3, H, W), uint8.
        folder: The user's folder of photos, or None.
        name: The name of the style.
        author: The author of the style.
        licence: The terms under which the style file may be used.
        start: The parameters from which the training starts; None for random ones.
        pairs: The pairs of a photo and an artwork; empty if only style images are used.
        notes: Sentences for the user about the images.
    """

    settings: LearnSettings
    look: Job
    photos: Sequence[Tensor]
    folder: str | None = None
    name: str = "style"
    author: str | None = None
    licence: str | None = None
    start: Parameters | None = None
    pairs: tuple[AlignedPair, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> NetworkShape:
        """The shape of the network."""
        return shape_of(self.settings.network, has_pairs=bool(self.pairs))

    @property
    def device(self) -> torch.device:
        return self.look.device.device


@dataclass(frozen=True)
class Mean:
    """The mean losses over the last draws at one point of a training.

    Attributes:
        step: The number of updates.
        seconds: The time of the training so far.
        content: The weighted content loss.
        style: The weighted style loss.
        total: The sum of the weighted losses of the task.
        steadiness: The weighted steadiness loss, which isn't part of the total.
    """

    step: int
    seconds: float
    content: float
    style: float
    total: float
    steadiness: float


@dataclass
class TrainingState:
    """Everything that changes during a training.

    Attributes:
        parameters: The parameters of the network.
        averaged: The moving average of the parameters, which the style file contains.
        moments: The first and second moments of Adam, by name of the parameter.
        step: The number of updates.
        seconds: The time of the training so far.
        history: The mean losses over time, about ``HISTORY_POINTS`` points.
    """

    parameters: Parameters
    averaged: Parameters
    moments: dict[str, tuple[Tensor, Tensor]]
    step: int = 0
    seconds: float = 0.0
    history: list[Mean] = field(default_factory=list)

    @classmethod
    def initial(cls, job: TrainingJob) -> TrainingState:
        """Return the state before the first step."""
        start = job.start or initial_parameters(job.shape, job.settings.seed)
        parameters = {name: value.to(job.device).clone() for name, value in start.items()}
        return cls(
            parameters=parameters,
            averaged={name: value.clone() for name, value in parameters.items()},
            moments={
                name: (torch.zeros_like(value), torch.zeros_like(value))
                for name, value in parameters.items()
            },
        )


@dataclass(frozen=True, eq=False)
class LearnProgress:
    """One event of a training: the network after ``step`` updates.

    Attributes:
        step: The number of updates.
        share: The share of the training that is done, 0 to 1.
        seconds: The time of the training so far.
        eta: The estimated remaining time, seconds.
        losses: The mean losses of the last draws, or None before the first step.
        state: The state of the training. It is changed in place when the training continues.
        job: The inputs of the training.
    """

    step: int
    share: float
    seconds: float
    eta: float
    losses: Mean | None
    state: TrainingState
    job: TrainingJob


def train(job: TrainingJob, state: TrainingState | None = None) -> Iterator[LearnProgress]:
    """Train a network; yield the progress before the first step and after every step.

    Time that the caller spends between two events doesn't count as training.

    Args:
        job: The inputs of the training.
        state: The state to continue from. By default, the training starts anew.
    """
    return Training(job, state or TrainingState.initial(job)).events()


class Training:
    """A training in progress. The arguments are those of ``train``."""

    def __init__(self, job: TrainingJob, state: TrainingState) -> None:
        self.job, self.state, self.settings = job, state, job.settings
        self.layers = layers_of(job.shape)
        self.task = make_task(job)
        self.batch = self.settings.batch_size(job.device.type)
        self.recent: deque[tuple[Losses, float]] = deque(maxlen=LOSS_WINDOW)
        self.budget = self.settings.budget(job.device.type)

    def events(self) -> Iterator[LearnProgress]:
        """Train until the time or the steps are used up; yield the progress."""
        yield self._progress()
        while self._share() < 1:
            started = time.perf_counter()
            self._step()
            self.state.seconds += time.perf_counter() - started
            self._record()
            yield self._progress()

    def _share(self) -> float:
        """Return the share of the training that is done, 0 to 1."""
        shares = [
            done / whole
            for done, whole in (
                (self.state.seconds, self.budget),
                (self.state.step, self.settings.steps),
            )
            if whole is not None
        ]
        return min(1.0, max(shares))

    def _step(self) -> None:
        """Take one step: add up the gradients of a batch of crops, and update the parameters."""
        parameters = {
            name: value.detach().requires_grad_() for name, value in self.state.parameters.items()
        }
        for draw in range(self.batch):
            self.recent.append(self._backpropagate(parameters, self.state.step * self.batch + draw))
        gradients = {
            name: value.grad / self.batch
            for name, value in parameters.items()
            if value.grad is not None
        }
        self._update(gradients)

    def _backpropagate(self, parameters: Parameters, draw: int) -> tuple[Losses, float]:
        """Add the gradient of one crop to the gradients of the parameters.

        Returns:
            The losses of the task, and the weighted steadiness loss.
        """
        crop = self.task.crop(draw)
        picture = paint_to_train(self.layers, parameters, crop.inner)
        pixels = picture.detach().contiguous()
        losses, gradient = self.task.losses_and_gradient(crop, pixels, draw)
        if not self.settings.steadiness:
            picture.backward(gradient)  # type: ignore[no-untyped-call]
            return losses, 0.0
        steadiness = self.settings.steadiness * self._unsteadiness(parameters, crop, picture, draw)
        torch.autograd.backward([picture, steadiness], [gradient, None])
        return losses, float(steadiness.detach())

    def _unsteadiness(
        self, parameters: Parameters, crop: Crop, picture: Tensor, draw: int
    ) -> Tensor:
        """Return the mean squared difference between the pictures of a crop and a second view."""
        generator = torch.Generator().manual_seed(draw)
        down, right = (
            int(torch.randint(-MARGIN, MARGIN + 1, (), generator=generator)) for _ in range(2)
        )
        brightness = math.exp(BRIGHTNESS * float(torch.randn((), generator=generator)))
        noise = NOISE * torch.randn(crop.inner.shape, generator=generator)
        view = (crop.shifted(down, right) * brightness + noise.to(crop.image)).clamp(0, 1)
        second = paint_to_train(self.layers, parameters, view)
        return (_overlap(picture, down, right) - _overlap(second, -down, -right)).square().mean()

    @torch.no_grad()
    def _update(self, gradients: Mapping[str, Tensor]) -> None:
        """Take a step of Adam (Kingma & Ba 2015, algorithm 1), and update the moving average."""
        state, count = self.state, self.state.step + 1
        rate = self.settings.learning_rate * self._schedule()
        for name, gradient in gradients.items():
            first, second = state.moments[name]
            first.lerp_(gradient, 1 - BETAS[0])
            second.lerp_(gradient.square(), 1 - BETAS[1])
            corrected = first / (1 - BETAS[0] ** count)
            scale = (second / (1 - BETAS[1] ** count)).sqrt_().add_(1e-8)
            state.parameters[name] = state.parameters[name] - rate * corrected / scale
            share = max(1 / (1 + AVERAGED_STEPS), 1 / (1 + count))
            state.averaged[name] = torch.lerp(state.averaged[name], state.parameters[name], share)
        state.step = count

    def _schedule(self) -> float:
        """Return the factor of the learning rate: a linear warm-up, then cosine annealing."""
        cosine = 0.5 * (1 + math.cos(math.pi * self._share()))
        rise = min(1.0, (self.state.step + 1) / WARM_UP_STEPS)
        return rise * (FINAL_SHARE + (1 - FINAL_SHARE) * cosine)

    def _record(self) -> None:
        """Append the mean losses to the history, about ``HISTORY_POINTS`` times in a training."""
        history = self.state.history
        if self._share() * HISTORY_POINTS >= len(history) + 1 or self._share() == 1:
            history.append(self._mean())

    def _mean(self) -> Mean:
        """Return the mean losses of the last draws."""
        count = len(self.recent)

        def mean(name: str) -> float:
            return sum(float(getattr(losses, name)) for losses, _ in self.recent) / count

        return Mean(
            step=self.state.step,
            seconds=self.state.seconds,
            content=mean("content"),
            style=mean("style"),
            total=mean("total"),
            steadiness=sum(steadiness for _, steadiness in self.recent) / count,
        )

    def _progress(self) -> LearnProgress:
        share, seconds = self._share(), self.state.seconds
        eta = seconds * (1 - share) / share if share else self.budget or math.inf
        losses = self._mean() if self.recent else None
        return LearnProgress(self.state.step, share, seconds, eta, losses, self.state, self.job)


def shape_of(network: NetworkSize, *, has_pairs: bool) -> NetworkShape:
    """Return the shape of the network of a training.

    A training with pairs uses a network without normalisation. Normalisation would remove the
    brightness of a photo, on which an artist's choice of tones depends.

    Args:
        network: The size of the network.
        has_pairs: Whether the training has pairs.
    """
    return SHAPES[network].model_copy(update={"normalised": not has_pairs})


def make_task(job: TrainingJob) -> Task:
    """Return the task of a training: from pairs, or from style images."""
    if job.pairs:
        return PairTask(job.settings, job.look, job.photos, job.pairs)
    return StyleTask(job.settings, job.look, job.photos)


def _overlap(picture: Tensor, down: int, right: int) -> Tensor:
    """Return the part of a picture that a view shifted by ``down`` and ``right`` px also shows."""
    height, width = picture.shape[-2:]
    rows = slice(max(0, down), height + min(0, down))
    columns = slice(max(0, right), width + min(0, right))
    return picture[..., rows, columns]
