"""The memory of a run, and the plan that keeps it within the available memory.

Feature maps take most of the memory. A block of the encoder is kept for the backward pass, or
computed again there (Chen et al. 2016, "Training deep nets with sublinear memory cost"), in bands
of rows if necessary. The gradient stays the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

import torch

from impasto.base.devices import BYTES_PER_MB, Device, memory_available_mb
from impasto.base.errors import DeviceError
from impasto.images.limits import MIN_SIDE_PX
from impasto.images.seam import WRAP_PX
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.networks.kernels.engine import KEEP
from impasto.networks.layers import CONVOLUTIONS_PER_BLOCK, LAYER_NAMES, canonical
from impasto.runs.plan import Need

CHANNELS = (64, 128, 256, 512, 512)
"""Channels of the five blocks (Simonyan & Zisserman 2014, table 1)."""
MIN_BAND_ROWS = 8
MAX_HALVINGS = 8
"""Logarithm of the largest number of bands, 256."""
MIN_HISTORY = 3
"""Smallest number of pairs with which L-BFGS is worthwhile."""

# The following values were measured on CPUs, see benchmarks/memory.py.
START_UP_MB = {4: 560, 2: 450}
"""Memory of Python and PyTorch with the weights loaded, by the bytes of a feature."""
GPU_START_UP_MB = {4: 350, 2: 250}
"""Memory of the weights, for both passes, and the workspace of cuDNN, by the bytes of a feature."""
IMAGES = 6
"""Number of tensors of the picture's size: images, those of the solver, intermediate results."""
FRAGMENTATION = 0.5
"""Additional memory, as a share of all that isn't taken at start-up, if freed memory stays with the
process. It is in holes between feature maps into which none of them fits.
"""
MAX_KEPT_MB = 2_000
"""Largest plan with which freed memory stays; above, the holes would take too much."""
WINOGRAD_FACTOR = 64 / 36
"""Relative size of a transformed feature map: tiles of 8×8 for results of 6×6."""


@dataclass(frozen=True, kw_only=True)
class MemoryPlan(Need):
    """The way in which a run is kept within the memory.

    Attributes:
        bands: The number of bands of each block, for the engine.
        history: The number of pairs of vectors that L-BFGS keeps.
        slowdown: The arithmetic relative to that of a run that keeps everything.
    """

    bands: tuple[int, ...]
    history: int
    slowdown: float

    @property
    def plain(self) -> bool:
        """Whether all features are kept."""
        return set(self.bands) == {KEEP}

    def __str__(self) -> str:
        recomputed = [block for block, bands in enumerate(self.bands, start=1) if bands != KEEP]
        if not recomputed:
            return f"{super().__str__()}, all features kept"
        pieces = (
            "" if set(self.bands) <= {KEEP, 1} else f" in up to {max(self.bands)} bands of rows"
        )
        blocks = "block 1" if recomputed == [1] else f"blocks 1 to {recomputed[-1]}"
        return f"{super().__str__()}, features of {blocks} computed twice{pieces}"


@dataclass(frozen=True)
class Demand:
    """The properties of a run that determine its memory.

    Attributes:
        height: The height of the picture, px.
        width: The width of the picture, px.
        top_layer: The highest layer.
        itemsize: The bytes of a feature.
        history: The number of pairs of vectors that the solver keeps.
        start_up_mb: The memory that doesn't depend on the size, MB.
        margin: The rows and columns that the network sees around the picture, px.
        always_stays: Whether freed memory always stays with the process, as on a GPU.
    """

    height: int
    width: int
    top_layer: str
    itemsize: int
    history: int
    start_up_mb: float
    margin: int = 0
    always_stays: bool = False

    @classmethod
    def of(cls, recipe: OptimizeSettings, height: int, width: int, device: Device) -> Demand:
        """Return the demand of a recipe for a result of (height, width) px."""
        layers = [
            canonical(layer)
            for layer in (*recipe.style_layers, *recipe.plain_style_layers, *recipe.content_layers)
        ]
        return cls(
            height,
            width,
            max(layers, key=LAYER_NAMES.index),
            device.dtype.itemsize,
            recipe.lbfgs_history if recipe.solver == "lbfgs" else 0,
            start_up_mb(device.device, device.dtype),
            WRAP_PX if recipe.seamless else 0,
            device.device.type == "cuda",
        )

    def blocks(self) -> list[_Block]:
        """Return the blocks up to the highest layer."""
        top = int(self.top_layer[5]) - 1
        last = CONVOLUTIONS_PER_BLOCK[top]
        height, width = self.height + 2 * self.margin, self.width + 2 * self.margin
        if "conv" in self.top_layer:
            last = int(self.top_layer[-1])
        return [
            _Block(
                convolutions=CONVOLUTIONS_PER_BLOCK[index] if index < top else last,
                channels=CHANNELS[index],
                channels_in=CHANNELS[index - 1] if index else 3,
                rows=max(1, height >> index),
                row_bytes=CHANNELS[index] * max(1, width >> index) * self.itemsize,
                itemsize=self.itemsize,
            )
            for index in range(top + 1)
        ]


def plan(demand: Demand, available_mb: float, *, keep_all: bool = False) -> MemoryPlan:
    """Return the fastest plan that fits into the memory.

    If no plan fits, L-BFGS keeps fewer pairs.

    Args:
        demand: The properties of the run.
        available_mb: The memory that the run may take, MB.
        keep_all: Whether to consider only plans that compute nothing twice.

    Raises:
        DeviceError: No plan fits, even with fewer pairs.
    """
    plans = _allowed(demand, keep_all)
    plans.sort(key=lambda each: (each.slowdown, not each.stays))
    for candidate in plans:
        if candidate.needed_mb <= available_mb:
            return candidate
    least = min(plans, key=lambda plan: plan.needed_mb)
    missing = ceil((least.needed_mb - available_mb) / _pair_mb(demand))
    if demand.history - missing >= MIN_HISTORY:
        fewer_pairs = replace(demand, history=demand.history - missing)
        return plan(fewer_pairs, available_mb, keep_all=keep_all)
    if demand.history > MIN_HISTORY:
        shortest = replace(demand, history=MIN_HISTORY)
        least = min(_allowed(shortest, keep_all), key=lambda each: each.needed_mb)
    raise _too_large(least, demand, available_mb)


def _allowed(demand: Demand, keep_all: bool) -> list[MemoryPlan]:
    """Return all plans, or those that compute nothing twice."""
    return [each for each in plans_for(demand) if each.plain or not keep_all]


def _too_large(least: MemoryPlan, demand: Demand, available_mb: float) -> DeviceError:
    fixed_mb = demand.start_up_mb
    share = max(0.0, available_mb - fixed_mb) / (least.needed_mb - fixed_mb)
    fits = int(max(demand.height, demand.width) * share**0.5 * 0.9) // 32 * 32  # 0.9: bands overlap
    advice = f"; size {fits} would fit" if fits >= MIN_SIDE_PX else ""
    return DeviceError(
        f"{demand.width}×{demand.height} px need at least {least.needed_mb / 1000:.1f} GB of"
        f" memory, and {available_mb / 1000:.1f} GB may be used{advice}"
    )


def check_kept(height: int, width: int, top_layer: str) -> None:
    """Check that all float32 features of an image of (height, width) px fit into the memory.

    Raises:
        DeviceError: They don't fit.
    """
    fixed_mb = start_up_mb(torch.device("cpu"), torch.float32)
    demand = Demand(height, width, top_layer, itemsize=4, history=0, start_up_mb=fixed_mb)
    everything = min((p for p in plans_for(demand) if p.plain), key=lambda p: p.needed_mb)
    available = memory_available_mb(torch.device("cpu"))
    if everything.needed_mb > available:
        raise _too_large(everything, demand, available)


def start_up_mb(device: torch.device, dtype: torch.dtype) -> float:
    """Return the memory of a run that doesn't depend on the size of the image, MB.

    It is that of the weights, and on a CPU also that of Python and PyTorch.
    """
    table = GPU_START_UP_MB if device.type == "cuda" else START_UP_MB
    return table[dtype.itemsize]


def check_style_image(height: int, width: int, device: Device, available_mb: float) -> None:
    """Check that a style image of (height, width) px can be measured, with no features kept.

    Raises:
        DeviceError: There is not enough memory.
    """
    output = CHANNELS[0] * height * width * device.dtype.itemsize
    held = 12 * 3 * height * width + (2 + 2 * WINOGRAD_FACTOR) * output
    needed_mb = start_up_mb(device.device, device.dtype) + held / BYTES_PER_MB
    if needed_mb > available_mb:
        raise DeviceError(
            f"a painting of {width}×{height} px needs {needed_mb / 1000:.1f} GB of memory, and"
            f" {available_mb / 1000:.1f} GB may be used; choose a smaller style_scale"
        )


def plans_for(demand: Demand) -> Iterator[MemoryPlan]:
    """Yield all reasonable plans.

    In the first one, nothing is computed twice and freed memory stays. In the others, a number of
    blocks, beginning with block 1, is computed twice, in 1 to 256 bands.
    """
    blocks = demand.blocks()
    keeping_freed = _plan(demand, blocks, [KEEP] * len(blocks), stays=True)
    if keeping_freed.needed_mb < MAX_KEPT_MB:
        yield keeping_freed
    for recomputed in range(len(blocks) + 1):
        for halvings in range(MAX_HALVINGS + 1 if recomputed else 1):
            bands = [
                max(1, 2**halvings >> index) if index < recomputed else KEEP
                for index in range(len(blocks))
            ]
            if all(
                count <= 1 or block.rows // count >= MIN_BAND_ROWS
                for count, block in zip(bands, blocks, strict=True)
            ):
                yield _plan(demand, blocks, bands)


def _plan(
    demand: Demand, blocks: list[_Block], bands: list[int], *, stays: bool = False
) -> MemoryPlan:
    """Return a plan with the peak of its memory, which is reached in one of the blocks."""
    pixels = demand.height * demand.width
    fixed = IMAGES * 12 * pixels + demand.history * _pair_mb(demand) * BYTES_PER_MB
    fixed += blocks[-1].output  # the content target
    # The workspace of the largest convolution remains allocated.
    fixed += max(block.workspace(count) for block, count in zip(blocks, bands, strict=True))
    peak = kept = work = 0.0
    for block, count in zip(blocks, bands, strict=True):
        kept += block.kept if count == KEEP else 0
        peak = max(peak, kept + block.transient(count))
        kept += block.pooled if count != KEEP else 0
        work += block.work(count)
    return MemoryPlan(
        bands=(*bands, *[KEEP] * (len(CHANNELS) - len(bands))),
        history=demand.history,
        stays=stays,
        needed_mb=demand.start_up_mb
        + (fixed + peak) * (1 + FRAGMENTATION * (stays or demand.always_stays)) / BYTES_PER_MB,
        slowdown=work / sum(block.work(KEEP) for block in blocks),
    )


@dataclass(frozen=True)
class _Block:
    """One block of the encoder. Sizes are in bytes."""

    convolutions: int
    channels: int
    channels_in: int
    rows: int
    row_bytes: int  # of one row of one layer's output
    itemsize: int

    @property
    def output(self) -> float:
        """Size of the output of one layer."""
        return self.rows * self.row_bytes

    @property
    def pooled(self) -> float:
        """Size of the block's output, which is the input of the next block."""
        return self.output / 4

    @property
    def indices(self) -> float:
        """Size of the indices of the maxima, 8 bytes each."""
        return self.output / 4 * 8 / self.itemsize

    @property
    def kept(self) -> float:
        """Size of everything that is kept of the block for the backward pass."""
        return self.convolutions * self.output + self.pooled + self.indices

    @property
    def whole_gradient(self) -> float:
        """Size of the gradient of the block's input, which the bands fill in turn."""
        return self.output * self.channels_in / self.channels

    def workspace(self, count: int) -> float:
        """Return the workspace of a Winograd convolution; other convolutions need less."""
        share = self._share(count, 4 * self.convolutions)
        return share * self.output * (2 * WINOGRAD_FACTOR if self.itemsize == 4 else 0.5)

    def transient(self, count: int) -> float:
        """Return the temporary memory at the peak of either pass, besides what is kept.

        The peak has a gradient beside the whole block, or the gradients of a convolution's output
        and input beside the outputs of the convolutions.
        """
        everything = max(self.kept + self.output, (self.convolutions + 2) * self.output)
        if count == KEEP:
            return everything - self.kept
        band = self._share(count, 4 * self.convolutions) * (self.pooled + everything)
        return self.pooled + self.whole_gradient + band

    def work(self, count: int) -> float:
        """Return the arithmetic of both passes, in arbitrary units."""
        once = self.channels * self.convolutions * self.output
        if count == KEEP:
            return 2 * once
        forward = self._share(count, 2 * self.convolutions) * count
        backward = self._share(count, 4 * self.convolutions) * count
        return once * (forward + 2 * backward)

    def _share(self, count: int, margin: int) -> float:
        """Return the share of the block in one of ``count`` bands, plus ``margin`` rows."""
        if count == KEEP:
            return 1.0
        return min(1.0, (self.rows / count + (margin if count > 1 else 0)) / self.rows)


def _pair_mb(demand: Demand) -> float:
    """Return the memory of a pair of float32 vectors of the picture's size, MB."""
    return 2 * 12 * demand.height * demand.width / BYTES_PER_MB
