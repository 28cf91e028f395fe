"""Estimates of a run's time, from the speed of earlier runs or of a few steps on a small image."""

from __future__ import annotations

import math
import time

import torch

from impasto.losses.objective import Objective
from impasto.losses.style import Region, Style
from impasto.methods.optimize.plan import plan_of
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.methods.optimize.setup import make_engine
from impasto.networks.kernels import speeds
from impasto.runs.job import Job
from impasto.runs.plan import Estimate

PROBE_PX = 256
"""Side of the image whose steps are timed if no speed is stored. Smaller images take longer for
each pixel."""
PROBE_STEPS = 4
"""Number of these steps. The last one is timed; on CUDA, the second one captures the graph."""
MIN_TIMED_STEPS = 20
"""Smallest number of steps of a run that stores its speed. In shorter runs the start takes too
large a share of the time."""


def estimate(job: Job) -> Estimate:
    """Return the time and memory of a run."""
    plan = plan_of(job)
    per_pixel = speeds.stored(_kind_of_step(job))
    if per_pixel is None:
        per_pixel = _measured_seconds_per_pixel(job)
        speeds.store(_kind_of_step(job), per_pixel)
    seconds = per_pixel * sum(scale.work for scale in plan.scales) * plan.memory.slowdown
    budget = OptimizeSettings.of(job.recipe).time_budget or math.inf
    return Estimate(plan.scales, plan.memory, min(seconds, budget))


def expected_seconds_per_pixel(job: Job) -> float:
    """Return the stored time of a step per pixel, seconds; infinity if none is stored."""
    return speeds.stored(_kind_of_step(job)) or math.inf


def store_speed(job: Job, seconds: float, work: float) -> None:
    """Store the speed of a run that updated ``work`` pixels in ``seconds``."""
    speeds.store(_kind_of_step(job), seconds / work)


def _kind_of_step(job: Job) -> str:
    """Return the name under which the speed of a job's steps is stored.

    It consists of the properties on which the time depends most, besides the number of pixels.
    """
    recipe, device = OptimizeSettings.of(job.recipe), job.device
    highest = max((*recipe.style_layers, *recipe.content_layers))
    losses = "+".join(sorted(kind for kind, share in recipe.style_loss.items() if share))
    words = [device.device.type, device.precision, device.kernel, recipe.solver, losses, highest]
    return speeds.STEP + " ".join([*words, *(["seamless"] if recipe.seamless else [])])


def _measured_seconds_per_pixel(job: Job) -> float:
    """Return the time of a step per pixel, measured on grey images, since no value changes it."""
    probe = torch.full((1, 3, PROBE_PX, PROBE_PX), 0.5, device=job.device.device)
    recipe = OptimizeSettings.of(job.recipe)
    objective = Objective(make_engine(job), recipe, probe, [Region([Style(probe)])])
    for _ in range(PROBE_STEPS):
        started = time.perf_counter()
        objective.losses_and_gradient(probe)
    return (time.perf_counter() - started) / PROBE_PX**2
