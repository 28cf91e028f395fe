"""How much memory a run takes, and how to make it fit: the plan.

What takes memory is feature maps. A block of the encoder that isn't kept for the way back is
computed again there (Chen et al. 2016, "Training deep nets with sublinear memory cost"), in bands
of rows if need be; the gradient stays the same.
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
"""Width of the five blocks (Simonyan & Zisserman 2014, table 1)."""
MIN_BAND_ROWS = 8
MAX_HALVINGS = 8
MIN_HISTORY = 3
"""Pairs that L-BFGS needs at least to be worth its while."""

# Measured on CPUs, see benchmarks/memory.py.
START_UP_MB = {4: 560, 2: 450}
"""Python and torch with a network's weights loaded, by the bytes of a feature."""
GPU_START_UP_MB = {4: 350, 2: 250}
"""A network's weights, forward and backward, and the work space of cuDNN."""
IMAGES = 6
"""Tensors of the picture's size: images, the solver's, and what is computed from them."""
HOLES = 0.5
"""Where freed memory stays, so much of it, of all that isn't there from the start, is between
feature maps, and none fits into it.
"""
ROOMY_MB = 2_000
"""Above that it doesn't stay: the holes would be too many."""
WINOGRAD_FACTOR = 64 / 36
"""Size of a transformed feature map, tiles of 8×8 for results of 6×6."""


@dataclass(frozen=True, kw_only=True)
class MemoryPlan(Need):
    """How a run is kept within the memory: ``bands`` for the engine, the pairs of vectors that
    L-BFGS keeps, and whether freed memory ``stays`` for the next step. ``slowdown``: its arithmetic
    over that of a run that keeps everything.
    """

    bands: tuple[int, ...]
    history: int
    slowdown: float

    @property
    def plain(self) -> bool:
        """Whether everything is kept."""
        return set(self.bands) == {KEEP}

    def __str__(self) -> str:
        again = [block for block, bands in enumerate(self.bands, start=1) if bands != KEEP]
        if not again:
            return f"{super().__str__()}, all features kept"
        pieces = (
            "" if set(self.bands) <= {KEEP, 1} else f" in up to {max(self.bands)} bands of rows"
        )
        blocks = "block 1" if again == [1] else f"blocks 1 to {again[-1]}"
        return f"{super().__str__()}, features of {blocks} computed twice{pieces}"


@dataclass(frozen=True)
class Demand:
    """What the memory of a run depends on: the picture's size, px; the highest layer; the bytes of
    a feature; the pairs of vectors of the picture's size that the solver keeps; what is taken
    whatever the size; the px that the network sees around the picture; whether freed memory always
    stays with the process, as on a GPU.
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
        """The blocks up to the highest layer."""
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
    """Return the fastest plan that fits into ``available_mb``; with ``keep_all``, of those that
    compute nothing twice.

    Where none fits, L-BFGS keeps fewer pairs. Raises DeviceError: not even that is enough.
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
    fits = int(max(demand.height, demand.width) * share**0.5 * 0.9) // 32 * 32  # bands have margins
    advice = f"; size {fits} would fit" if fits >= MIN_SIDE_PX else ""
    return DeviceError(
        f"{demand.width}×{demand.height} px need at least {least.needed_mb / 1000:.1f} GB of"
        f" memory, and {available_mb / 1000:.1f} GB may be used{advice}"
    )


def check_kept(height: int, width: int, top_layer: str) -> None:
    """Raise DeviceError if all features of (height, width) px in float32 don't fit at once."""
    fixed_mb = start_up_mb(torch.device("cpu"), torch.float32)
    demand = Demand(height, width, top_layer, itemsize=4, history=0, start_up_mb=fixed_mb)
    everything = min((p for p in plans_for(demand) if p.plain), key=lambda p: p.needed_mb)
    available = memory_available_mb(torch.device("cpu"))
    if everything.needed_mb > available:
        raise _too_large(everything, demand, available)


def start_up_mb(device: torch.device, dtype: torch.dtype) -> float:
    """Return what a network takes on a device whatever the image's size: its weights, and where
    the process counts too, Python and PyTorch.
    """
    table = GPU_START_UP_MB if device.type == "cuda" else START_UP_MB
    return table[dtype.itemsize]


def check_glance(height: int, width: int, device: Device, available_mb: float) -> None:
    """Raise DeviceError if a painting of (height, width) px is too large to be looked at once,
    with nothing kept.
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
    """Every plan worth a thought: blocks from the first on computed twice, in 1 to 256 bands; and
    nothing computed twice, with freed memory that stays.
    """
    blocks = demand.blocks()
    roomy = _plan(demand, blocks, [KEEP] * len(blocks), stays=True)
    if roomy.needed_mb < ROOMY_MB:
        yield roomy
    for twice in range(len(blocks) + 1):
        for halvings in range(MAX_HALVINGS + 1 if twice else 1):
            bands = [
                max(1, 2**halvings >> index) if index < twice else KEEP
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
    """The peak is in one of the blocks, on the way up or on the way back."""
    pixels = demand.height * demand.width
    fixed = IMAGES * 12 * pixels + demand.history * _pair_mb(demand) * BYTES_PER_MB
    fixed += blocks[-1].output  # the content target
    # The workspace of the largest convolution stays allocated.
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
        + (fixed + peak) * (1 + HOLES * (stays or demand.always_stays)) / BYTES_PER_MB,
        slowdown=work / sum(block.work(KEEP) for block in blocks),
    )


@dataclass(frozen=True)
class _Block:
    """One block of the encoder; sizes in bytes."""

    convolutions: int
    channels: int
    channels_in: int
    rows: int
    row_bytes: int  # of one row of one layer's output
    itemsize: int

    @property
    def output(self) -> float:
        """The output of one layer."""
        return self.rows * self.row_bytes

    @property
    def pooled(self) -> float:
        """The block's output, the next one's input."""
        return self.output / 4

    @property
    def indices(self) -> float:
        """Where the maxima came from, 8 bytes each."""
        return self.output / 4 * 8 / self.itemsize

    @property
    def kept(self) -> float:
        return self.convolutions * self.output + self.pooled + self.indices

    @property
    def whole_gradient(self) -> float:
        """The gradient of the block's input, which bands fill one after the other."""
        return self.output * self.channels_in / self.channels

    def workspace(self, count: int) -> float:
        """What a Winograd convolution needs besides its input and output; others need less."""
        share = self._share(count, 4 * self.convolutions)
        return share * self.output * (2 * WINOGRAD_FACTOR if self.itemsize == 4 else 0.5)

    def transient(self, count: int) -> float:
        """What is there on the way back, or up, besides what is kept: a gradient beside all of the
        block, or the gradients of a convolution's output and input beside the convolutions.
        """
        everything = max(self.kept + self.output, (self.convolutions + 2) * self.output)
        if count == KEEP:
            return everything - self.kept
        band = self._share(count, 4 * self.convolutions) * (self.pooled + everything)
        return self.pooled + self.whole_gradient + band

    def work(self, count: int) -> float:
        """Arithmetic of both ways."""
        once = self.channels * self.convolutions * self.output
        if count == KEEP:
            return 2 * once
        up = self._share(count, 2 * self.convolutions) * count
        back = self._share(count, 4 * self.convolutions) * count
        return once * (up + 2 * back)

    def _share(self, count: int, margin: int) -> float:
        """The share of the block that one of ``count`` bands is, with ``margin`` rows around it."""
        if count == KEEP:
            return 1.0
        return min(1.0, (self.rows / count + (margin if count > 1 else 0)) / self.rows)


def _pair_mb(demand: Demand) -> float:
    """Two float32 vectors of the picture's size."""
    return 2 * 12 * demand.height * demand.width / BYTES_PER_MB
