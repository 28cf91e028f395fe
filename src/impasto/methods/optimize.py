"""Optimise the pixels themselves (Gatys et al. 2016): gradient descent on an image until a network
sees the content of one image and the style of another in it.

Optionally from coarse to fine: a small image is quick and sees large shapes, a large one has the
detail. Each scale starts from the one before.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from impasto.base import devices
from impasto.base.devices import Device
from impasto.base.errors import DeviceError, DivergenceError
from impasto.images.limits import MIN_SIDE_PX
from impasto.images.seam import resize_wrapped
from impasto.images.sizes import fit_long_side, resize
from impasto.losses.objective import Losses, Objective
from impasto.losses.style import Region, Style
from impasto.methods import instant
from impasto.methods.regions import (
    LEAST_CONTRAST,
    in_palettes,
    plain_places,
    regions_at,
    suited,
    underpainted,
)
from impasto.networks.kernels import speeds
from impasto.networks.kernels.engine import AutogradEngine, Engine, FeatureEngine
from impasto.networks.load import load_encoder
from impasto.runs import memory
from impasto.runs.plan import Estimate, RunPlan, Scale
from impasto.runs.result import Job, Progress, Row, Snapshot
from impasto.settings.recipe import Recipe
from impasto.solvers import Solver
from impasto.solvers.adam import Adam, AveragedAdam
from impasto.solvers.lbfgs import LBFGS

T = TypeVar("T")
RETRY_SHARE = 0.6
"""Share of its plan, beyond what a network takes anyway, that a run may have after it ran out of
memory."""
DIVERGED = 10.0
"""A total this many times the lowest so far is a step too far, not a detour."""
COARSEST_PX = 128
"""Long side to begin with, about, where the recipe doesn't say how many scales there are: as much
as the encoder's highest layers see at once, so that a painting's shapes come in one size relative
to the picture, whatever that is enlarged to.
"""
ENLARGED_BYTES_PER_PIXEL = 125
"""The photo, its underpainting and the picture at the size that it is enlarged to."""
PROBE_PX = 256
"""Side of the image whose steps are timed where the speed is unknown; smaller images take longer
for each pixel."""
MIN_TIMED_STEPS = 20
"""Steps from which on a run stores its speed: the start takes too large a share of fewer."""
PROBE_STEPS = 4
"""The last one is timed; on CUDA, the second one captures the graph."""
POLISH_LR = (0.008, 0.001)
"""First and last step length of the polish."""
POLISH_DECAY = 0.9
SHIFTS = ((0, 0), (3, 5), (-5, 2), (6, -3), (-2, -6), (4, 7))
"""The views of the polish, px down and right: all phases of the first pooling layers."""
POLISHED_PX = 512
"""Long side up to which ``recipe.polish`` holds. A larger picture needs fewer such steps: 9 of 18
look the same at 1024 px.
"""
WINDOW = 20
"""Steps over which the decrease of the loss is judged."""


def optimize(job: Job, resume: Snapshot | None = None) -> Iterator[Progress]:
    """Yield a Progress for the initial image and after every update, the last one when finished.

    ``resume`` goes on from there as if nothing had happened. Raises DivergenceError if the loss is
    not finite from the start.
    """
    plan = plan_of(job)
    with devices.freed_memory(stays=plan.memory.stays):
        run = _Run(job, plan, resume)
        for index, scale in enumerate(run.scales):
            if resume is not None and index < resume.scale_index:
                continue
            for progress in run.at_scale(index, scale):
                yield progress
        run.store_speed()
    if job.recipe.enlarge == "instant":
        for pixels in instant.carried_up(job, progress.pixels):
            yield replace(progress, pixels=pixels, scale=max(pixels.shape[-2:]))


def painted_size(recipe: Recipe, height: int, width: int) -> tuple[int, int]:
    """The largest size to work at for a result of (height, width) px."""
    short, long = sorted((height, width))
    work_size = long if recipe.work_size is None else recipe.work_size
    work_size = max(work_size, math.ceil(MIN_SIDE_PX * long / short))
    if work_size >= long or _leaves_the_photo(recipe):
        return height, width
    return fit_long_side(height, width, work_size, "antialias")


def plan_scales(recipe: Recipe, height: int, width: int) -> list[Scale]:
    """The sizes to go through for a result of (height, width) px, coarse to fine.

    Scales too small for the network, or that would get no update, are left out.
    """
    height, width = painted_size(recipe, height, width)
    if _leaves_the_photo(recipe):
        return [Scale(height, width, steps=1)]
    long_side = max(height, width)
    count = recipe.scales or max(1, 1 + round(math.log2(long_side / COARSEST_PX)))
    sizes = [(height, width)]
    for halvings in range(1, count):
        size = fit_long_side(height, width, round(long_side / 2**halvings), "antialias")
        if min(size) >= MIN_SIDE_PX:
            sizes.insert(0, size)
    doublings = max(0.0, math.log2(long_side / POLISHED_PX))
    polish = min(round(recipe.polish * recipe.step_ratio**doublings), recipe.steps // 3)
    shares = [recipe.step_ratio**index for index in range(len(sizes))]
    counts, left = [], recipe.steps - polish - 1
    for index, share in enumerate(shares):
        counts.append(round(left * share / sum(shares[index:])))
        left -= counts[-1]
    counts[-1] += 1  # however few there are, the last one is at the full size
    scales = [Scale(*size, count) for size, count in zip(sizes, counts, strict=True) if count]
    return [*scales, Scale(height, width, polish, polish=True)] if polish else scales


def _leaves_the_photo(recipe: Recipe) -> bool:
    """Whether the result is the photo as it is, since nothing pulls it away from there."""
    return recipe.strength == 0 and recipe.init == "content"


class _Run:
    """The state that the scales of one run share."""

    def __init__(self, job: Job, plan: RunPlan, resume: Snapshot | None) -> None:
        self.job, self.recipe, self.device = job, job.recipe, job.device.device
        self.planned, self.available_mb = plan.scales, plan.available_mb
        self.expected_seconds_per_pixel = speeds.stored(_kind_of_step(job)) or math.inf
        self.scales = list(self.planned)  # with as many steps as were really taken
        self.resume = resume
        if resume is not None:
            for index, steps in enumerate(resume.steps_before):
                self.scales[index] = replace(self.scales[index], steps=steps)
        self.step = resume.step if resume else 0
        self.rows = list(resume.rows) if resume else []
        self.seconds_before = resume.seconds if resume else 0.0
        self.photo = underpainted(job)
        self.image = resume.image.to(self.device) if resume else self._initial_image()
        self.engine = make_engine(job)
        self.plain = plain_places(job, self.engine.encoder)
        self.recipe = suited(job.recipe, self.plain)
        self.started = time.perf_counter()
        self.last_seconds = 0.0
        self.work_done_before = self._work_done()

    def _initial_image(self) -> Tensor:
        """(1, 3, h, w) at the first scale."""
        scale, recipe = self.scales[0], self.recipe
        if recipe.init == "noise":
            generator = torch.Generator().manual_seed(recipe.seed)
            image = torch.rand(1, 3, scale.height, scale.width, generator=generator)
        elif recipe.init == "instant":
            image = instant.glance(self.job, scale.height, scale.width)
        elif self.job.init is not None:
            image = _covering(self.job.init.rgb, scale)
        elif recipe.init == "style":
            image = _covering(self.job.styles[0].rgb, scale)
        else:
            image = _covering(self.photo, scale)
        return image.to(self.device)

    def at_scale(self, index: int, scale: Scale) -> Iterator[Progress]:
        """Run one scale; its best image is where the next one starts."""
        message = self._fit_memory(scale)
        objective = self._objective(scale)
        solver = make_solver(self.recipe, self.plan.history, scale)
        start = 0
        best: tuple[Tensor, float] | None = None
        falls: list[float] = []  # the lowest total up to each step
        if self.resume is not None and index == self.resume.scale_index:
            start, best = self.resume.step_in_scale, self.resume.best
            falls = list(self.resume.falls[:-1])  # the last one comes again
            solver.load(self.resume.solver())
        elif self.image.shape[-2:] != (scale.height, scale.width):
            self.image = self._enlarged(scale)
        last_scale = index == len(self.scales) - 1
        self.last_seconds = self._seconds()
        for count in itertools.count(start):
            objective.begin_step(count)
            losses, gradient, trouble = self._evaluated(objective, solver)
            message = message or trouble
            if not _is_good(losses, best):
                losses, gradient, message = self._roll_back(objective, solver, best)
            elif best is None or losses.total <= best[1]:
                best = (self.image, losses.total)
            if count == start:
                _check_size(gradient)
            falls = [*falls, min([losses.total, *falls[-1:]])][-WINDOW - 1 :]
            finished = count == scale.steps or self._enough(index, falls)
            current = self.image  # where a run with more steps goes on
            if finished:
                self.scales[index] = replace(scale, steps=count)
                if solver.descends and best is not None and losses.total > best[1]:
                    self.image = best[0]
                    losses = objective.losses(self.image)
                elif scale.polish:
                    self.image = solver.result(self.image)
                    losses = objective.losses(self.image)
                if not last_scale:
                    return  # the next scale shows it
                self.image = self._in_palettes(self.image)  # the losses stay what was optimised
            self._record(losses, scale, final=finished)
            snapshot = Snapshot(
                step=self.step,
                scale_index=index,
                step_in_scale=count,
                steps_before=tuple(done.steps for done in self.scales[:index]),
                image=current,
                solver=solver.state(),
                best=best,
                falls=tuple(falls),
                rows=tuple(self.rows),
                seconds=self._seconds(),
            )
            shown = self.image if finished else solver.result(self.image)
            event = self._progress(snapshot, shown, scale, losses, message)
            paused = time.perf_counter()
            yield event
            self.started += time.perf_counter() - paused  # that was the caller's time
            if finished:
                return
            take_step = partial(solver.step, self.image, losses.total, gradient)
            self.image, message = self._within_memory(objective, solver, take_step)
            self.step += 1

    def _enough(self, index: int, falls: list[float]) -> bool:
        """Whether this scale ends before its steps are done: converged, or its time is up."""
        recipe, budget = self.recipe, self.recipe.time_budget
        hardly = len(falls) > WINDOW and falls[-1] > (1 - recipe.tolerance) * falls[0]
        if hardly and recipe.until == "converged":
            return True
        if budget is None:
            return False
        # Each scale has a share of the time, as much as it has of the work.
        work = [scale.work for scale in self.planned]
        until = budget * sum(work[: index + 1]) / sum(work)
        now = self._seconds()
        step, self.last_seconds = now - self.last_seconds, now
        return now + step > until

    def _evaluated(self, objective: Objective, solver: Solver) -> tuple[Losses, Tensor, str | None]:
        """Return the losses and the gradient of the image, and what there is to say."""
        known_failure = objective.graph_failure
        (losses, gradient), message = self._within_memory(
            objective, solver, partial(objective.losses_and_gradient, self.image)
        )
        if objective.graph_failure != known_failure:
            message = (
                "the steps run without a CUDA graph, and therefore more slowly:"
                f" {objective.graph_failure}"
            )
        return losses, gradient, message

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
        """Plan the memory for a scale. Returns what there is to say about it."""
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
        """The image at the next scale, with ``recipe.detail`` of what the photo has more there."""
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

    def _roll_back(
        self, objective: Objective, solver: Solver, best: tuple[Tensor, float] | None
    ) -> tuple[Losses, Tensor, str]:
        """Back to the best image so far, with steps of half the length from now on."""
        if best is None:
            raise DivergenceError(
                "the loss of the initial image is not a finite number; are the losses' weights"
                " sensible?"
            )
        solver.restart()
        self.image = best[0]
        message = (
            f"the loss went out of bounds at step {self.step}: back to the best image so far, with"
            " steps of half the length"
        )
        return *objective.losses_and_gradient(self.image), message

    def _record(self, losses: Losses, scale: Scale, *, final: bool) -> None:
        if self.rows and self.rows[-1]["step"] >= self.step:
            return  # resumed right here
        if final or self.step % self.recipe.trace_every == 0:
            self.rows.append(Row(step=self.step, scale=scale.long_side, **losses.as_dict()))  # type: ignore[typeddict-item]

    def _progress(
        self,
        snapshot: Snapshot,
        shown: Tensor,
        scale: Scale,
        losses: Losses,
        message: str | None,
    ) -> Progress:
        done = self._work_done() - self.work_done_before
        left = sum(scale.work for scale in self.scales) - self._work_done()
        here = snapshot.seconds - self.seconds_before
        seconds_per_pixel = here / done if done else self.expected_seconds_per_pixel
        eta = left * seconds_per_pixel if left else 0.0
        if self.recipe.time_budget is not None:
            eta = min(eta, max(0.0, self.recipe.time_budget - snapshot.seconds))
        return Progress(
            step=self.step,
            steps=sum(scale.steps for scale in self.scales),
            scale=scale.long_side,
            losses=losses,
            seconds=snapshot.seconds,
            eta=eta,
            message=message,
            job=self.job,
            pixels=shown,
            snapshot=snapshot,
        )

    def store_speed(self) -> None:
        """Store the speed of a finished run, for estimates of later ones."""
        work = self._work_done() - self.work_done_before
        is_large = self.planned[-1].long_side >= PROBE_PX
        is_plain = self.plan.plain and not self.job.regions and self.job.anchor is None
        if is_large and is_plain and self.step >= MIN_TIMED_STEPS and work:
            speeds.store(_kind_of_step(self.job), (self._seconds() - self.seconds_before) / work)

    def _work_done(self) -> float:
        """Pixels updated so far: what time is proportional to."""
        done, steps = 0, self.step
        for scale in self.scales:
            here = min(steps, scale.steps)
            done += here * scale.height * scale.width
            steps -= here
        return done

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started


def make_engine(job: Job) -> FeatureEngine:
    """The encoder of a recipe, ready to run on its device."""
    recipe = job.recipe
    encoder = load_encoder(
        recipe.weights,
        pooling=recipe.pooling,
        unit_activations=recipe.unit_activations,
        device=job.device.device,
        dtype=job.device.dtype,
    )
    style_layers = {**recipe.style_layers, **recipe.plain_style_layers}
    if job.device.kernel == "autograd":
        return AutogradEngine(encoder)
    return Engine(encoder, [*style_layers, *recipe.content_layers], kernel=job.device.kernel)


def plan_of(job: Job) -> RunPlan:
    """Return the job's plan, or a new one for a job without. Raises DeviceError: see plan_run."""
    height, width = job.content.height, job.content.width
    if job.plan is not None and (job.plan.height, job.plan.width) == (height, width):
        return job.plan
    return plan_run(job.recipe, job.device, height, width)


def plan_run(recipe: Recipe, device: Device, height: int, width: int) -> RunPlan:
    """Plan a run for a result of (height, width) px.

    Raises DeviceError: no plan keeps it within the memory.
    """
    available_mb = _available_mb(recipe, device.device, height, width)
    demand = memory.Demand.of(recipe, *painted_size(recipe, height, width), device)
    scales = tuple(plan_scales(recipe, height, width))
    keep_all = device.kernel == "autograd"
    plan = memory.plan(demand, available_mb, keep_all=keep_all)
    return RunPlan(height, width, scales, available_mb, plan)


def _available_mb(recipe: Recipe, device: torch.device, height: int, width: int) -> float:
    """Return how much of the memory for a result of (height, width) px is left for painting."""
    limit = memory.limit_mb(recipe, device)
    if painted_size(recipe, height, width) == (height, width):
        return limit
    enlarged = ENLARGED_BYTES_PER_PIXEL * height * width / 1e6
    if enlarged >= limit:
        raise DeviceError(
            f"enlarging to {width}×{height} px takes {enlarged / 1000:.1f} GB of memory, and"
            f" {limit / 1000:.1f} GB may be used; choose a smaller size"
        )
    return limit - enlarged


def estimate(job: Job) -> Estimate:
    """Estimate a run from the speed of earlier ones, or of a few steps in small."""
    plan = plan_of(job)
    per_pixel = speeds.stored(_kind_of_step(job))
    if per_pixel is None:
        per_pixel = _measured_seconds_per_pixel(job)
        speeds.store(_kind_of_step(job), per_pixel)
    seconds = per_pixel * sum(scale.work for scale in plan.scales) * plan.memory.slowdown
    return Estimate(plan.scales, plan.memory, min(seconds, job.recipe.time_budget or math.inf))


def _kind_of_step(job: Job) -> str:
    """Return the name under which the speed of a job's steps is stored: what their time depends on
    most, besides the number of pixels.
    """
    recipe, device = job.recipe, job.device
    highest = max((*recipe.style_layers, *recipe.content_layers))
    losses = "+".join(sorted(kind for kind, share in recipe.style_loss.items() if share))
    words = [device.device.type, device.precision, device.kernel, recipe.solver, losses, highest]
    return speeds.STEP + " ".join([*words, *(["seamless"] if recipe.seamless else [])])


def _measured_seconds_per_pixel(job: Job) -> float:
    """Return the time of a step for a pixel: grey images serve, since no value changes it."""
    probe = torch.full((1, 3, PROBE_PX, PROBE_PX), 0.5, device=job.device.device)
    objective = Objective(make_engine(job), job.recipe, probe, [Region([Style(probe)])])
    for _ in range(PROBE_STEPS):
        started = time.perf_counter()
        objective.losses_and_gradient(probe)
    return (time.perf_counter() - started) / PROBE_PX**2


def make_solver(recipe: Recipe, history: int, scale: Scale) -> Solver:
    """The solver for a scale; ``history``: the pairs that L-BFGS has memory for."""
    if scale.polish:
        return AveragedAdam(*POLISH_LR, scale.steps, decay=POLISH_DECAY)
    if recipe.solver == "adam":
        return Adam(
            recipe.learning_rate,
            recipe.adam_beta1,
            recipe.adam_beta2,
            recipe.adam_epsilon,
            recipe.adam_epsilon_form,
        )
    return LBFGS(recipe.learning_rate, history)


def _check_size(gradient: Tensor) -> None:
    """Raise DivergenceError where the solvers' squares of a gradient overflow float32: the image
    would hardly change, or not at all.
    """
    if not torch.linalg.vector_norm(gradient.float()).isfinite():
        raise DivergenceError(
            "the gradient of the loss is too large for 32-bit numbers; are the losses' weights"
            " sensible? Smaller ones in the same proportion give the same picture"
        )


def _is_good(losses: Losses, best: tuple[Tensor, float] | None) -> bool:
    return losses.finite and (best is None or losses.total <= DIVERGED * best[1])


def _covering(image: Tensor, scale: Scale) -> Tensor:
    """Resized to cover the scale's size with its aspect kept, the middle cut out."""
    height, width = image.shape[-2:]
    factor = max(scale.height / height, scale.width / width)
    covering = (max(scale.height, round(height * factor)), max(scale.width, round(width * factor)))
    resized = resize(image, *covering, "antialias")
    top, left = (covering[0] - scale.height) // 2, (covering[1] - scale.width) // 2
    return resized[..., top : top + scale.height, left : left + scale.width].contiguous()
