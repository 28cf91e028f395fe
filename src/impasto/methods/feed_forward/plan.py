"""The sizes that feed-forward methods paint at, and their memory."""

from __future__ import annotations

from math import ceil

import torch

from impasto.base.devices import Device
from impasto.images.limits import MIN_SIDE_PX
from impasto.images.sizes import fit_long_side
from impasto.methods.base import check_memory
from impasto.runs.plan import Need, RunPlan, Scale, limit_mb
from impasto.settings.recipe import Recipe

COARSEST_PX = 512
"""Long side of the coarsest level at style scale 1."""
MIN_LEVEL_RATIO = 1.25
"""A picture that exceeds the coarsest level by a smaller factor is painted at its own size only."""
MAX_WHOLE_PIXELS = 4e6
"""Largest picture that is painted in one piece instead of bands."""
START_UP_MB = 450
"""Memory of Python and PyTorch with the network, MB."""
BYTES_PER_PIXEL = 52
"""Memory of the photo, the picture, and features at a quarter of the size; benchmarks/poster.py."""
BATCH_PIXELS = 17_000_000
"""Largest batch on a GPU, eight pictures of 1920×1080, which keeps any GPU busy."""
BATCH_BYTES_PER_PIXEL = 200
"""Peak memory of a batch: 134 in float32, measured on a CPU, plus workspace for cuDNN."""


def plan_run(recipe: Recipe, device: Device, height: int, width: int) -> RunPlan:
    """Plan a run for a result of (height, width) px.

    Raises:
        DeviceError: There is not enough memory.
    """
    needed_mb = memory_mb(height, width)
    check_memory(recipe, device.device, height, width, needed_mb, START_UP_MB)
    sizes = level_sizes(height, width, recipe.style_scale)
    return RunPlan(
        height, width, tuple(Scale(*size, steps=1) for size in sizes), Need(needed_mb=needed_mb)
    )


def batch_size(recipe: Recipe, device: torch.device, height: int, width: int) -> int:
    """Return how many pictures of (height, width) px to paint at once on a device.

    Pictures are painted one by one on a CPU, where a batch is no faster, and where they are painted
    in bands.

    Raises:
        DeviceError: There is not enough memory for a single picture.
    """
    check_memory(recipe, device, height, width, memory_mb(height, width), START_UP_MB)
    pixels = height * width
    if device.type == "cpu" or pixels > MAX_WHOLE_PIXELS:
        return 1
    available_mb = limit_mb(recipe, device) - START_UP_MB
    max_pixels = min(BATCH_PIXELS, available_mb * 1e6 / BATCH_BYTES_PER_PIXEL)
    return max(1, int(max_pixels / pixels))


def memory_mb(height: int, width: int) -> float:
    """Return the peak memory of a run, MB."""
    return START_UP_MB + height * width * BYTES_PER_PIXEL / 1e6


def level_sizes(height: int, width: int, style_scale: float) -> list[tuple[int, int]]:
    """Return the sizes of the levels, (height, width) px, from coarse to fine.

    Each level is half as large as the next one. Only the first one may be larger than that, because
    it has the size that suits the network.
    """
    coarsest = COARSEST_PX / style_scale
    sizes = [(height, width)]
    while max(sizes[0]) > MIN_LEVEL_RATIO * coarsest:
        size = ceil(sizes[0][0] / 2), ceil(sizes[0][1] / 2)
        if max(size) < coarsest:
            size = fit_long_side(height, width, round(coarsest), "antialias")
        if min(size) < MIN_SIDE_PX:
            break
        sizes.insert(0, size)
    return sizes
