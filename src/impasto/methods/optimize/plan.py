"""The scales of an optimisation and its memory, planned once before it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from impasto.base.devices import Device
from impasto.base.errors import DeviceError
from impasto.images.limits import MIN_SIDE_PX
from impasto.images.sizes import fit_long_side
from impasto.methods.optimize import memory
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.networks import weights
from impasto.runs.job import Job
from impasto.runs.plan import RunPlan, Scale, limit_mb

COARSEST_PX = 128
"""Approximate long side of the first scale, if the recipe doesn't specify the number of scales. The
encoder's highest layers see about that much at once. Therefore the shapes of a style image have the
same size relative to the picture, whatever the size of the result.
"""
ENLARGED_BYTES_PER_PIXEL = 125
"""Memory of the photo, its underpainting and the picture, at the size of the result."""
POLISHED_PX = 512
"""Long side up to which all steps of ``recipe.polish`` are made. A larger picture needs fewer: at
1024 px, 9 steps look the same as 18.
"""


@dataclass(frozen=True)
class OptimizePlan(RunPlan):
    """The plan of an optimisation.

    Attributes:
        memory: How the largest of ``scales`` is kept within the available memory.
        available_mb: The memory that the run may take, MB.
    """

    memory: memory.MemoryPlan
    available_mb: float


def plan_run(recipe: OptimizeSettings, device: Device, height: int, width: int) -> OptimizePlan:
    """Plan a run for a result of (height, width) px.

    Raises:
        DeviceError: No plan keeps the run within the memory.
        WeightsError: The encoder's weights are missing or damaged.
    """
    weights.verified_path(weights.find_encoder(recipe.weights))  # raises before the work begins
    available_mb = _available_mb(recipe, device.device, height, width)
    demand = memory.Demand.of(recipe, *_painted_size(recipe, height, width), device)
    scales = tuple(plan_scales(recipe, height, width))
    keep_all = device.kernel == "autograd"
    plan = memory.plan(demand, available_mb, keep_all=keep_all)
    return OptimizePlan(height, width, scales, plan, available_mb)


def plan_of(job: Job) -> OptimizePlan:
    """Return the plan of a job, or a new plan if that one is for another size; see ``plan_run``."""
    height, width, plan = job.content.height, job.content.width, job.plan
    if isinstance(plan, OptimizePlan) and (plan.height, plan.width) == (height, width):
        return plan
    return plan_run(OptimizeSettings.of(job.recipe), job.device, height, width)


def _painted_size(recipe: OptimizeSettings, height: int, width: int) -> tuple[int, int]:
    """Return the largest size at which a result of (height, width) px is optimised."""
    short, long = sorted((height, width))
    work_size = long if recipe.work_size is None else recipe.work_size
    work_size = max(work_size, math.ceil(MIN_SIDE_PX * long / short))
    if work_size >= long or recipe.keeps_photo:
        return height, width
    return fit_long_side(height, width, work_size, "antialias")


def plan_scales(recipe: OptimizeSettings, height: int, width: int) -> list[Scale]:
    """Return the scales for a result of (height, width) px, from coarse to fine.

    Scales that are too small for the network, or that would get no update, are left out.
    """
    height, width = _painted_size(recipe, height, width)
    if recipe.keeps_photo:
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
    counts, remaining = [], recipe.steps - polish - 1
    for index, share in enumerate(shares):
        counts.append(round(remaining * share / sum(shares[index:])))
        remaining -= counts[-1]
    counts[-1] += 1  # at least one step is made at the full size
    scales = [Scale(*size, count) for size, count in zip(sizes, counts, strict=True) if count]
    return [*scales, Scale(height, width, polish, polish=True)] if polish else scales


def _available_mb(recipe: OptimizeSettings, device: torch.device, height: int, width: int) -> float:
    """Return the memory that remains for optimising a result of (height, width) px, MB."""
    limit = limit_mb(recipe, device)
    if _painted_size(recipe, height, width) == (height, width):
        return limit
    enlarged = ENLARGED_BYTES_PER_PIXEL * height * width / 1e6
    if enlarged >= limit:
        raise DeviceError(
            f"enlarging to {width}×{height} px takes {enlarged / 1000:.1f} GB of memory, and"
            f" {limit / 1000:.1f} GB may be used; choose a smaller size"
        )
    return limit - enlarged
