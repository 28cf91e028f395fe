"""The run of the method ``optimize``: gradient descent on the pixels (Gatys et al. 2016).

A run goes from coarse to fine. A small image is optimised quickly and forms large shapes; a large
one forms the detail. Each scale starts from the result of the previous one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from impasto.base import devices
from impasto.base.errors import DivergenceError
from impasto.images.seam import resize_wrapped
from impasto.images.sizes import resize
from impasto.losses.objective import Losses, Objective
from impasto.methods.feed_forward.run import enlarged_steps
from impasto.methods.instant.brushes import make_brushes
from impasto.methods.optimize import memory, speed
from impasto.methods.optimize.plan import OptimizePlan, plan_of
from impasto.methods.optimize.regions import (
    MIN_CONTRAST,
    in_palettes,
    plain_places,
    regions_at,
    suited,
    underpainted,
)
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.methods.optimize.setup import initial_image, make_engine, make_solver
from impasto.methods.optimize.snapshot import OptimizeSnapshot
from impasto.runs.job import Job
from impasto.runs.plan import Scale
from impasto.runs.progress import Progress, Snapshot
from impasto.runs.result import Row
from impasto.solvers import Solver

T = TypeVar("T")
Best = tuple[Tensor, float]
"""An image and the total of its losses."""
RETRY_SHARE = 0.6
"""Share of the planned memory, without that of start-up, for which a run plans after it ran out of
memory."""
MAX_LOSS_RATIO = 10.0
"""Ratio of a total to the lowest total so far above which the run rolls back."""
SHIFTS = ((0, 0), (3, 5), (-5, 2), (6, -3), (-2, -6), (4, 7))
"""Shifts of the views in a polish, px down and right, in all phases of the first pooling layers."""
WINDOW = 20
"""Steps over which the decrease of the loss is judged."""


def optimize(job: Job, resume: Snapshot | None = None) -> Iterator[Progress]:
    """Run a job; yield a Progress for the initial image and after every update.

    Args:
        job: The job.
        resume: The snapshot to continue from, as if the run had never stopped.

    Raises:
        DivergenceError: The loss of the initial image isn't finite.
    """
    if resume is not None and not isinstance(resume, OptimizeSnapshot):
        raise TypeError(f"a {type(resume).__name__} isn't a snapshot of the method optimize")
    plan = plan_of(job)
    run = Optimization(job, plan, resume)
    for index in range(run.first_scale, len(run.scales)):
        for progress in run.at_scale(index):
            yield progress
    run.store_speed()
    if OptimizeSettings.of(job.recipe).enlarge == "instant":
        for pixels in enlarged_steps(job, make_brushes(job), progress.pixels):
            yield replace(progress, pixels=pixels, scale=max(pixels.shape[-2:]))


@dataclass
class ScaleState:
    """The state that changes while one scale is optimised.

    Attributes:
        index: The index of the scale.
        scale: The scale.
        objective: The objective at this scale.
        solver: The solver.
        step: The number of updates at this scale.
        best: The image with the lowest total so far, and that total.
        lowest_totals: The lowest total up to each of the last steps.
        message: A sentence for the user about the last step, or None.
    """

    index: int
    scale: Scale
    objective: Objective
    solver: Solver
    step: int = 0
    best: Best | None = None
    lowest_totals: list[float] = field(default_factory=list)
    message: str | None = None

    def judge(self, image: Tensor, losses: Losses) -> None:
        """Keep an image if it is the best one so far."""
        if self.best is None or losses.total <= self.best[1]:
            self.best = (image, losses.total)

    def note_total(self, total: float) -> None:
        """Append to the list of the lowest totals."""
        lowest = min([total, *self.lowest_totals[-1:]])
        self.lowest_totals = [*self.lowest_totals, lowest][-WINDOW - 1 :]

    def is_converged(self, tolerance: float) -> bool:
        """Return whether the loss fell by less than ``tolerance`` of itself in the last steps."""
        totals = self.lowest_totals
        return len(totals) > WINDOW and totals[-1] > (1 - tolerance) * totals[0]


class Optimization:
    """One run: the state that its scales share."""

    def __init__(self, job: Job, plan: OptimizePlan, resume: OptimizeSnapshot | None) -> None:
        self.job, self.device = job, job.device.device
        self.planned, self.available_mb = plan.scales, plan.available_mb
        self.expected_seconds_per_pixel = speed.expected_seconds_per_pixel(job)
        self.scales = list(self.planned)  # finished ones with the number of steps taken
        self.resume = resume
        self.first_scale = 0 if resume is None else resume.scale_index
        if resume is not None:
            for index, steps in enumerate(resume.steps_before):
                self.scales[index] = replace(self.scales[index], steps=steps)
        self.step = resume.step if resume else 0
        self.rows = list(resume.rows) if resume else []
        self.seconds_before = resume.seconds if resume else 0.0
        self.photo = underpainted(job)
        self.image = (
            resume.image.to(self.device)
            if resume
            else initial_image(job, self.photo, self.scales[0])
        )
        self.engine = make_engine(job)
        self.plain = plain_places(job, self.engine.encoder)
        self.recipe = suited(OptimizeSettings.of(job.recipe), self.plain)
        self.started = time.perf_counter()
        self.last_seconds = 0.0
        self.work_done_before = self._work_done()

    def at_scale(self, index: int) -> Iterator[Progress]:
        """Optimise at one scale and yield its events; the next scale starts from its best image."""
        state = self._begin_scale(index)
        is_first_step = True
        while True:
            # Evaluate the losses of the image and their gradient.
            state.objective.begin_step(state.step)
            losses, gradient = self._evaluate(state)
            if is_first_step:
                _check_size(gradient)
                is_first_step = False
            state.note_total(losses.total)

            # The scale ends after its steps, or earlier where it has converged or run out of time.
            is_finished = state.step == state.scale.steps or self._should_end(state)
            current = self.image  # a run with more steps continues from it
            if is_finished:
                losses = self._finish_scale(state, losses)
                if index < len(self.scales) - 1:
                    return  # the next scale shows the image
                self.image = self._in_palettes(self.image)  # the losses are those before that

            # Yield the event. The time that the caller takes isn't counted.
            self._record(losses, state.scale, final=is_finished)
            shown = self.image if is_finished else state.solver.result(self.image)
            event = self._progress(state, current, shown, losses)
            paused = time.perf_counter()
            yield event
            self.started += time.perf_counter() - paused
            if is_finished:
                return

            # Take a step.
            take_step = partial(state.solver.step, self.image, losses.total, gradient)
            self.image, state.message = self._within_memory(
                state.objective, state.solver, take_step
            )
            state.step += 1
            self.step += 1

    def _begin_scale(self, index: int) -> ScaleState:
        """Set up a scale, from its start or from the snapshot of a resumed run."""
        scale = self.scales[index]
        message = self._fit_memory(scale)
        objective = self._objective(scale)
        solver = make_solver(self.recipe, self.plan.history, scale)
        state = ScaleState(index, scale, objective, solver, message=message)
        if self.resume is not None and index == self.resume.scale_index:
            state.step, state.best = self.resume.step_in_scale, self.resume.best
            # The first evaluation appends the last total again.
            state.lowest_totals = list(self.resume.lowest_totals[:-1])
            solver.load(self.resume.solver())
        elif self.image.shape[-2:] != (scale.height, scale.width):
            self.image = self._enlarged(scale)
        self.last_seconds = self._seconds()
        return state

    def _evaluate(self, state: ScaleState) -> tuple[Losses, Tensor]:
        """Return the losses and the gradient of the image.

        If the loss is out of bounds, the run rolls back, and they are those of the best image.
        """
        objective, known_failure = state.objective, state.objective.graph_failure
        (losses, gradient), message = self._within_memory(
            objective, state.solver, partial(objective.losses_and_gradient, self.image)
        )
        if objective.graph_failure != known_failure:
            message = (
                "the steps run without a CUDA graph, and therefore more slowly:"
                f" {objective.graph_failure}"
            )
        state.message = state.message or message
        if not losses.finite or (state.best and losses.total > MAX_LOSS_RATIO * state.best[1]):
            return self._roll_back(state)
        state.judge(self.image, losses)
        return losses, gradient

    def _roll_back(self, state: ScaleState) -> tuple[Losses, Tensor]:
        """Go back to the best image so far, with steps of half the length from now on."""
        if state.best is None:
            raise DivergenceError(
                "the loss of the initial image is not a finite number; are the losses' weights"
                " sensible?"
            )
        state.solver.restart()
        self.image = state.best[0]
        state.message = (
            f"the loss went out of bounds at step {self.step}: back to the best image so far, with"
            " steps of half the length"
        )
        return state.objective.losses_and_gradient(self.image)

    def _should_end(self, state: ScaleState) -> bool:
        """Return whether a scale ends early, because it has converged or its time is up."""
        recipe, budget = self.recipe, self.recipe.time_budget
        if recipe.until == "converged" and state.is_converged(recipe.tolerance):
            return True
        if budget is None:
            return False
        # The share of each scale in the time is its share in the work.
        work = [scale.work for scale in self.planned]
        end = budget * sum(work[: state.index + 1]) / sum(work)
        now = self._seconds()
        step_seconds, self.last_seconds = now - self.last_seconds, now
        return now + step_seconds > end

    def _finish_scale(self, state: ScaleState, losses: Losses) -> Losses:
        """Keep the result of a scale: the best image, or the average of a polish."""
        self.scales[state.index] = replace(state.scale, steps=state.step)
        best = state.best
        if state.solver.descends and best is not None and losses.total > best[1]:
            self.image = best[0]
        elif state.scale.polish:
            self.image = state.solver.result(self.image)
        else:
            return losses
        return state.objective.losses(self.image)

    def _within_memory(
        self, objective: Objective, solver: Solver, call: Callable[[], T]
    ) -> tuple[T, str | None]:
        """Return the result of a call, and a message if a smaller memory plan was necessary.

        The call is repeated with a smaller plan whenever memory runs out.
        """
        message = None
        while True:
            try:
                return call(), message
            except (RuntimeError, MemoryError) as error:
                if not devices.is_out_of_memory(error):
                    raise
            # Outside of the except clause, because its exception keeps the feature maps alive.
            objective.forget_graph()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            fixed_mb = memory.start_up_mb(self.device, self.job.device.dtype)
            self.available_mb = fixed_mb + RETRY_SHARE * (self.plan.needed_mb - fixed_mb)
            message = f"out of memory at step {self.step}; {self._fit_memory(self.scale)}"
            solver.limit_history(self.plan.history)

    def _fit_memory(self, scale: Scale) -> str | None:
        """Plan the memory for a scale; return a sentence for the user if the plan is reduced."""
        self.scale = scale
        demand = memory.Demand.of(self.recipe, scale.height, scale.width, self.job.device)
        keep_all = self.job.device.kernel == "autograd"
        self.plan = memory.plan(demand, self.available_mb, keep_all=keep_all)
        self.engine.bands = self.plan.bands
        if self.plan.plain and self.plan.history == demand.history:
            return None
        pairs = f"; L-BFGS keeps {self.plan.history} pairs instead of {demand.history}"
        fewer = pairs if self.plan.history < demand.history else ""
        return f"memory at {scale.long_side} px: {self.plan}{fewer}"

    def _objective(self, scale: Scale) -> Objective:
        photo = resize(self.photo, scale.height, scale.width, "antialias").to(self.device)
        regions = regions_at(self.job, scale.height, scale.width, self.plain)
        shifts = SHIFTS if scale.polish else SHIFTS[:1]
        return Objective(self.engine, self.recipe, photo, regions, self.job.anchor, shifts)

    def _enlarged(self, scale: Scale) -> Tensor:
        """Return the image at a scale, plus ``recipe.detail`` of the photo's finer detail."""
        height, width = self.image.shape[-2:]
        if self.recipe.seamless:
            image = resize_wrapped(self.image, scale.height, scale.width)
        else:
            image = resize(self.image, scale.height, scale.width, "antialias")
        if not self.recipe.detail:
            return image
        photo = resize(self.photo, scale.height, scale.width, "antialias").to(image)
        coarse = resize(photo, height, width, "antialias")
        fine = photo - resize(coarse, scale.height, scale.width, "antialias")
        return (image + self.recipe.detail * fine).clamp(0, 1)

    def _in_palettes(self, image: Tensor) -> Tensor:
        share = self.recipe.palette
        if not share:
            return image
        recolored = in_palettes(self.job, image.cpu(), share, contrast=MIN_CONTRAST)
        return recolored.clamp(0, 1).to(image)

    def _record(self, losses: Losses, scale: Scale, *, final: bool) -> None:
        if self.rows and self.rows[-1]["step"] >= self.step:
            return  # the snapshot of the resumed run has this row already
        if final or self.step % self.recipe.trace_every == 0:
            self.rows.append(Row(step=self.step, scale=scale.long_side, **losses.as_dict()))  # type: ignore[typeddict-item]

    def _progress(
        self, state: ScaleState, current: Tensor, shown: Tensor, losses: Losses
    ) -> Progress:
        """Return the event of a step.

        Args:
            state: The state of the scale.
            current: The image from which a resumed run continues.
            shown: The picture of the event.
            losses: The losses of the image.
        """
        snapshot = OptimizeSnapshot(
            step=self.step,
            scale_index=state.index,
            step_in_scale=state.step,
            steps_before=tuple(done.steps for done in self.scales[: state.index]),
            image=current,
            solver=state.solver.state(),
            best=state.best,
            lowest_totals=tuple(state.lowest_totals),
            rows=tuple(self.rows),
            seconds=self._seconds(),
        )
        return Progress(
            step=self.step,
            steps=sum(scale.steps for scale in self.scales),
            scale=state.scale.long_side,
            losses=losses,
            seconds=snapshot.seconds,
            eta=self._remaining_seconds(snapshot.seconds),
            message=state.message,
            job=self.job,
            pixels=shown,
            snapshot=snapshot,
            rows=snapshot.rows,
        )

    def _remaining_seconds(self, seconds: float) -> float:
        """Return the estimated remaining time, ``seconds`` after the start."""
        done = self._work_done() - self.work_done_before
        remaining = sum(scale.work for scale in self.scales) - self._work_done()
        elapsed = seconds - self.seconds_before
        seconds_per_pixel = elapsed / done if done else self.expected_seconds_per_pixel
        eta = remaining * seconds_per_pixel if remaining else 0.0
        if self.recipe.time_budget is not None:
            eta = min(eta, max(0.0, self.recipe.time_budget - seconds))
        return eta

    def store_speed(self) -> None:
        """Store the speed of a finished run, for estimates of later ones."""
        work = self._work_done() - self.work_done_before
        is_large = self.planned[-1].long_side >= speed.PROBE_PX
        is_plain = self.plan.plain and not self.job.regions and self.job.anchor is None
        if is_large and is_plain and self.step >= speed.MIN_TIMED_STEPS and work:
            speed.store_speed(self.job, self._seconds() - self.seconds_before, work)

    def _work_done(self) -> float:
        """Return the number of pixels updated so far, to which the time is proportional."""
        done, steps = 0, self.step
        for scale in self.scales:
            taken = min(steps, scale.steps)
            done += taken * scale.height * scale.width
            steps -= taken
        return done

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started


def _check_size(gradient: Tensor) -> None:
    """Raise DivergenceError if the squares of a gradient overflow float32 in the solvers.

    The image would then hardly change, or not at all.
    """
    if not torch.linalg.vector_norm(gradient.float()).isfinite():
        raise DivergenceError(
            "the gradient of the loss is too large for 32-bit numbers; are the losses' weights"
            " sensible? Smaller ones in the same proportion give the same picture"
        )
