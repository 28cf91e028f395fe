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
"""Long side to begin with, about, where the recipe doesn't say how many scales there are: as much
as the encoder's highest layers see at once, so that a painting's shapes come in one size relative
to the picture, whatever that is enlarged to.
"""
ENLARGED_BYTES_PER_PIXEL = 125
"""The photo, its underpainting and the picture at the size that it is enlarged to."""
POLISHED_PX = 512
"""Long side up to which ``recipe.polish`` holds. A larger picture needs fewer such steps: 9 of 18
look the same at 1024 px.
"""


@dataclass(frozen=True)
class OptimizePlan(RunPlan):
    """``available_mb`` is the memory that the run may take, and ``memory`` how the largest of
    ``scales`` is kept within it.
    """

    memory: memory.MemoryPlan
    available_mb: float


def plan_run(recipe: OptimizeSettings, device: Device, height: int, width: int) -> OptimizePlan:
    """Plan a run for a result of (height, width) px.

    Raises:
        DeviceError: No plan keeps it within the memory.
        WeightsError: The encoder's weights are missing or damaged.
    """
    weights.verified_path(weights.find_encoder(recipe.weights))  # sooner rather than later
    available_mb = _available_mb(recipe, device.device, height, width)
    demand = memory.Demand.of(recipe, *_painted_size(recipe, height, width), device)
    scales = tuple(plan_scales(recipe, height, width))
    keep_all = device.kernel == "autograd"
    plan = memory.plan(demand, available_mb, keep_all=keep_all)
    return OptimizePlan(height, width, scales, plan, available_mb)


def plan_of(job: Job) -> OptimizePlan:
    """Return the plan of a job, or a new one if it is for another size. Raises as ``plan_run``."""
    height, width, plan = job.content.height, job.content.width, job.plan
    if isinstance(plan, OptimizePlan) and (plan.height, plan.width) == (height, width):
        return plan
    return plan_run(OptimizeSettings.of(job.recipe), job.device, height, width)


def _painted_size(recipe: OptimizeSettings, height: int, width: int) -> tuple[int, int]:
    """Return the largest size to work at for a result of (height, width) px."""
    short, long = sorted((height, width))
    work_size = long if recipe.work_size is None else recipe.work_size
    work_size = max(work_size, math.ceil(MIN_SIDE_PX * long / short))
    if work_size >= long or recipe.keeps_photo:
        return height, width
    return fit_long_side(height, width, work_size, "antialias")


def plan_scales(recipe: OptimizeSettings, height: int, width: int) -> list[Scale]:
    """Return the sizes to go through for a result of (height, width) px, coarse to fine.

    Scales too small for the network, or that would get no update, are left out.
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
    counts[-1] += 1  # however few there are, the last one is at the full size
    scales = [Scale(*size, count) for size, count in zip(sizes, counts, strict=True) if count]
    return [*scales, Scale(height, width, polish, polish=True)] if polish else scales


def _available_mb(recipe: OptimizeSettings, device: torch.device, height: int, width: int) -> float:
    """Return how much of the memory for a result of (height, width) px can be used to optimise."""
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
