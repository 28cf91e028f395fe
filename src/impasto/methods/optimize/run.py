"""Optimise the pixels themselves (Gatys et al. 2016): gradient descent on an image until a network
sees the content of one image and the style of another in it.

From coarse to fine: a small image is quick and sees large shapes, a large one has the detail. Each
scale starts from the result of the one before.
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
from impasto.methods.instant.run import enlarged_steps
from impasto.methods.optimize import memory, speed
from impasto.methods.optimize.plan import OptimizePlan, plan_of
from impasto.methods.optimize.regions import (
    LEAST_CONTRAST,
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
"""Share of its plan, beyond what a network takes anyway, that a run may have after it ran out of
memory."""
DIVERGED = 10.0
"""A total this many times the lowest so far is a step too far, not a detour."""
SHIFTS = ((0, 0), (3, 5), (-5, 2), (6, -3), (-2, -6), (4, 7))
"""The views of the polish, px down and right: all phases of the first pooling layers."""
WINDOW = 20
"""Steps over which the decrease of the loss is judged."""


def optimize(job: Job, resume: Snapshot | None = None) -> Iterator[Progress]:
    """Yield a Progress for the initial image and after every update, the last one when finished.

    ``resume`` goes on from there as if nothing had happened. Raises DivergenceError if the loss is
    not finite from the start.
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
        for pixels in enlarged_steps(job, progress.pixels):
            yield replace(progress, pixels=pixels, scale=max(pixels.shape[-2:]))


@dataclass
class ScaleState:
    """What changes while one scale is optimised.

    ``best`` is the image with the lowest total so far, and that total. ``lowest`` are the lowest
    totals up to each of the last steps.
    """

    index: int
    scale: Scale
    objective: Objective
    solver: Solver
    step: int = 0
    best: Best | None = None
    lowest: list[float] = field(default_factory=list)
    message: str | None = None

    def judge(self, image: Tensor, losses: Losses) -> None:
        """Remember an image if it is the best so far."""
        if self.best is None or losses.total <= self.best[1]:
            self.best = (image, losses.total)

    def note_total(self, total: float) -> None:
        """Continue the list of the lowest totals."""
        self.lowest = [*self.lowest, min([total, *self.lowest[-1:]])][-WINDOW - 1 :]

    def hardly_falls(self, tolerance: float) -> bool:
        """Return whether the loss fell by less than ``tolerance`` of itself in the last steps."""
        return len(self.lowest) > WINDOW and self.lowest[-1] > (1 - tolerance) * self.lowest[0]


class Optimization:
    """One run: the state that its scales share."""

    def __init__(self, job: Job, plan: OptimizePlan, resume: OptimizeSnapshot | None) -> None:
        self.job, self.device = job, job.device.device
        self.planned, self.available_mb = plan.scales, plan.available_mb
        self.expected_seconds_per_pixel = speed.expected_seconds_per_pixel(job)
        self.scales = list(self.planned)  # with as many steps as were really taken
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
        """Optimise at one scale; its best image is where the next one starts."""
        state = self._begin_scale(index)
        is_first_step = True
        while True:
            # How good is the image, and where would the loss fall?
            state.objective.begin_step(state.step)
            losses, gradient = self._evaluate(state)
            if is_first_step:
                _check_size(gradient)
                is_first_step = False
            state.note_total(losses.total)

            # The scale ends after its steps, or earlier where it has converged or run out of time.
            is_finished = state.step == state.scale.steps or self._should_end(state)
            current = self.image  # where a run with more steps goes on
            if is_finished:
                losses = self._finish_scale(state, losses)
                if index < len(self.scales) - 1:
                    return  # the next scale shows the image
                self.image = self._in_palettes(self.image)  # the losses stay what was optimised

            # Tell the caller. Its time isn't the run's.
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
        """Set up a scale, from its start or from where the resumed run was."""
        scale = self.scales[index]
        message = self._fit_memory(scale)
        objective = self._objective(scale)
        solver = make_solver(self.recipe, self.plan.history, scale)
        state = ScaleState(index, scale, objective, solver, message=message)
        if self.resume is not None and index == self.resume.scale_index:
            state.step, state.best = self.resume.step_in_scale, self.resume.best
            state.lowest = list(self.resume.falls[:-1])  # the last one comes again
            solver.load(self.resume.solver())
        elif self.image.shape[-2:] != (scale.height, scale.width):
            self.image = self._enlarged(scale)
        self.last_seconds = self._seconds()
        return state

    def _evaluate(self, state: ScaleState) -> tuple[Losses, Tensor]:
        """Return the losses and the gradient of the image, or of the best one so far where the
        loss went out of bounds.
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
        if not losses.finite or (state.best and losses.total > DIVERGED * state.best[1]):
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
        """Return whether a scale ends before its steps are done: converged, or its time is up."""
        recipe, budget = self.recipe, self.recipe.time_budget
        if recipe.until == "converged" and state.hardly_falls(recipe.tolerance):
            return True
        if budget is None:
            return False
        # Each scale has a share of the time, as much as it has of the work.
        work = [scale.work for scale in self.planned]
        until = budget * sum(work[: state.index + 1]) / sum(work)
        now = self._seconds()
        step, self.last_seconds = now - self.last_seconds, now
        return now + step > until

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
        """Return a call's result; whenever memory runs out, try again with a smaller plan."""
        message = None
        while True:
            try:
                return call(), message
            except (RuntimeError, MemoryError) as error:
                if not devices.is_out_of_memory(error):
                    raise
            # Outside of the except clause, which would hold on to the feature maps.
            objective.forget_graph()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            fixed_mb = memory.start_up_mb(self.device, self.job.device.dtype)
            self.available_mb = fixed_mb + RETRY_SHARE * (self.plan.needed_mb - fixed_mb)
            message = f"out of memory at step {self.step}; {self._fit_memory(self.scale)}"
            solver.limit_history(self.plan.history)

    def _fit_memory(self, scale: Scale) -> str | None:
        """Plan the memory for a scale. Returns a sentence about it if the user should know."""
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
        """Return the image at the next scale, with ``recipe.detail`` of what the photo has more
        there.
        """
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
        recolored = in_palettes(self.job, image.cpu(), share, contrast=LEAST_CONTRAST)
        return recolored.clamp(0, 1).to(image)

    def _record(self, losses: Losses, scale: Scale, *, final: bool) -> None:
        if self.rows and self.rows[-1]["step"] >= self.step:
            return  # resumed right here
        if final or self.step % self.recipe.trace_every == 0:
            self.rows.append(Row(step=self.step, scale=scale.long_side, **losses.as_dict()))  # type: ignore[typeddict-item]

    def _progress(
        self, state: ScaleState, current: Tensor, shown: Tensor, losses: Losses
    ) -> Progress:
        """Return the event of a step: ``shown`` is its picture, ``current`` where a resumed run
        goes on.
        """
        snapshot = OptimizeSnapshot(
            step=self.step,
            scale_index=state.index,
            step_in_scale=state.step,
            steps_before=tuple(done.steps for done in self.scales[: state.index]),
            image=current,
            solver=state.solver.state(),
            best=state.best,
            falls=tuple(state.lowest),
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
        """Return how long the run still takes, ``seconds`` after its start."""
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
        """Return the pixels updated so far: what time is proportional to."""
        done, steps = 0, self.step
        for scale in self.scales:
            taken = min(steps, scale.steps)
            done += taken * scale.height * scale.width
            steps -= taken
        return done

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started


def _check_size(gradient: Tensor) -> None:
    """Raise DivergenceError where the solvers' squares of a gradient overflow float32: the image
    would hardly change, or not at all.
    """
    if not torch.linalg.vector_norm(gradient.float()).isfinite():
        raise DivergenceError(
            "the gradient of the loss is too large for 32-bit numbers; are the losses' weights"
            " sensible? Smaller ones in the same proportion give the same picture"
        )
