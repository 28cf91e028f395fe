"""One pass of a feed-forward network (Ghiasi et al. 2017) at every size, from coarse to fine.

The network's strokes have one size in pixels, whatever the picture's. So the picture is painted at
about 512 px first, then at each doubling up to its own size, and every size adds only what is finer
than the one before: a Laplacian pyramid (Burt & Adelson 1983) of paintings. Strokes keep their size
relative to the picture, and the finest detail is painted too, not enlarged.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil, log2

import torch
from torch import Tensor
from torch.nn import functional

from impasto.base.errors import DeviceError
from impasto.images.limits import MIN_SIDE_PX
from impasto.images.masks import split, visible
from impasto.images.picture import Picture
from impasto.images.sizes import fit_long_side, resize
from impasto.networks.grid import has_flat_areas, remove_grid
from impasto.networks.kernels import speeds
from impasto.networks.load import load_magenta, load_multistyle
from impasto.networks.tiles import paint_in_bands
from impasto.networks.transformer import Statistics, StyleTransformer
from impasto.runs import memory
from impasto.runs.memory import Need
from impasto.runs.plan import Estimate, Scale
from impasto.runs.result import Job, Progress, Snapshot
from impasto.settings.recipe import Recipe

COARSEST_PX = 512
"""Long side that the picture is painted at first, at style scale 1."""
LEAST_STEP = 1.25
"""A picture that is less than so many times larger is painted in its own size alone."""
PROBE_PX = 512
"""Side of what a run's time is told from."""
WHOLE_PIXELS = 4e6
"""Up to here a picture is painted in one piece."""
ROWS = 512
"""How many are resized at once, to take little memory."""
STEPS = 100
"""What a run is counted in, for fronts: per cent of its work."""

START_UP_MB = 450
BYTES_PER_PIXEL = 52
"""The photo, the picture, and features at a quarter of the size. See benchmarks/poster.py."""
BATCH_PIXELS = 17_000_000
"""Largest batch on a GPU: eight pictures of 1920×1080. It keeps any GPU busy."""
BATCH_BYTES_PER_PIXEL = 200
"""Peak memory of a batch: 134 in float32, measured on a CPU, and work space for cuDNN."""


@dataclass(frozen=True)
class Brush:
    """A network with a style (1, P), and how much it covers of the photo below."""

    network: StyleTransformer
    style: Tensor
    cover: float = 1.0


@dataclass
class Memory:
    """What the pictures of a film share: the statistics of each brush at each size, so that what
    comes into view changes nothing elsewhere. Every picture mixes in ``own_share`` of its own.
    """

    own_share: float = 0.0
    known: dict[tuple[int, int, int], Statistics] = field(default_factory=dict)


def instant(
    job: Job,
    snapshot: Snapshot | None = None,
    tools: Sequence[Brush] | None = None,
    memory: Memory | None = None,
) -> Iterator[Progress]:
    """Paint ``job``; a Progress as each size is done, and now and then while large ones last.
    ``tools`` are the job's brushes, if they are at hand; ``memory`` is that of its film.
    """
    return _Run(job, tools, memory).events()


def check(job: Job) -> None:
    """Raises DeviceError: there is not enough memory."""
    check_size(job.recipe, job.device.device, job.content.height, job.content.width)


def check_size(recipe: Recipe, device: torch.device, height: int, width: int) -> None:
    """``check``, for a picture that isn't there yet."""
    available = memory.limit_mb(recipe, device)
    needed = memory_mb(height, width)
    if needed > available:
        share = max(0.0, (available - START_UP_MB) / (needed - START_UP_MB))
        fits = int(max(height, width) * share**0.5) // 32 * 32
        advice = f"; size {fits} would fit" if fits >= MIN_SIDE_PX else ""
        raise DeviceError(
            f"{width}×{height} px need {needed / 1000:.1f} GB of memory, and"
            f" {available / 1000:.1f} GB may be used{advice}"
        )


def batch_size(recipe: Recipe, device: torch.device, height: int, width: int) -> int:
    """Return how many pictures of this size to paint at once on this device.

    A CPU takes pictures one by one, because a batch is no faster there. Pictures that are painted
    in bands are taken one by one as well.

    Raises:
        DeviceError: There is not enough memory for a single picture.
    """
    check_size(recipe, device, height, width)
    pixels = height * width
    if device.type == "cpu" or pixels > WHOLE_PIXELS:
        return 1
    available_mb = memory.limit_mb(recipe, device) - START_UP_MB
    most = min(BATCH_PIXELS, available_mb * 1e6 / BATCH_BYTES_PER_PIXEL)
    return max(1, int(most / pixels))


def memory_mb(height: int, width: int) -> float:
    """What a run takes at its peak, MB."""
    return START_UP_MB + height * width * BYTES_PER_PIXEL / 1e6


def estimate(job: Job) -> Estimate:
    """Estimate a run: its time grows with the pixels, and their time is measured once."""
    height, width = job.content.height, job.content.width
    sizes = level_sizes(height, width, job.recipe.style_scale)
    network = "multistyle" if job.styles[0].built_in else "magenta"
    name = f"{speeds.STEP}{job.device.device.type} {job.device.precision} {network}"
    per_pixel = speeds.stored(name)
    if per_pixel is None:
        per_pixel = _measured_seconds_per_pixel(job)
        speeds.store(name, per_pixel)
    scales = tuple(Scale(*size, steps=1) for size in sizes)
    work = sum(scale.work for scale in scales) * (1 + len(job.regions))
    return Estimate(scales, Need(memory_mb(height, width)), per_pixel * work)


def _measured_seconds_per_pixel(job: Job) -> float:
    """Return the time that the network takes for a pixel."""
    probe = torch.full((1, 3, PROBE_PX, PROBE_PX), 0.5, device=job.device.device)
    brush = brushes(job)[0]
    brush.network(probe, brush.style).cpu()  # warms up
    started = time.perf_counter()
    brush.network(probe, brush.style).cpu()  # which waits for a GPU
    return (time.perf_counter() - started) / PROBE_PX**2


def level_sizes(height: int, width: int, style_scale: float) -> list[tuple[int, int]]:
    """The sizes to paint at, coarse to fine: halves of the picture, and the first one exact."""
    coarsest = COARSEST_PX / style_scale
    sizes = [(height, width)]
    while max(sizes[0]) > LEAST_STEP * coarsest:
        size = ceil(sizes[0][0] / 2), ceil(sizes[0][1] / 2)
        if max(size) < coarsest:
            size = fit_long_side(height, width, round(coarsest), "antialias")
        if min(size) < MIN_SIDE_PX:
            break
        sizes.insert(0, size)
    return sizes


def glance(job: Job, height: int, width: int) -> Tensor:
    """The picture, (1, 3, height, width), as an optimisation may start from: painted at the size
    that the network knows.
    """
    run = _Run(job)
    painted = _drained(run.at(*run.sizes[0]))
    return resize(painted.cpu(), height, width, "antialias")


def carried_up(job: Job, picture: Tensor) -> Iterator[Tensor]:
    """``picture`` (1, 3, h, w), and then it at each doubling up to the job's size, with what is
    finer painted by the network.
    """
    run, sizes = _Run(job), [(job.content.height, job.content.width)]
    while max(sizes[0]) > 2 * LEAST_STEP * max(picture.shape[-2:]):
        sizes.insert(0, (ceil(sizes[0][0] / 2), ceil(sizes[0][1] / 2)))
    for height, width in sizes:
        if (height, width) != tuple(picture.shape[-2:]):
            picture = with_coarser(_drained(run.at(height, width)), picture)
            yield picture


def _drained(events: Generator[Progress, None, Tensor]) -> Tensor:
    """What a generator returns."""
    while True:
        try:
            next(events)
        except StopIteration as finished:
            painted: Tensor = finished.value
            return painted


class _Run:
    """``painted`` is the picture at the last size that is done; before the first one, the photo."""

    def __init__(
        self, job: Job, tools: Sequence[Brush] | None = None, memory: Memory | None = None
    ) -> None:
        self.job, self.memory = job, memory
        self.photo = job.content.rgb.to(job.device.device)
        self.brushes = tools or brushes(job)
        self.sizes = level_sizes(job.content.height, job.content.width, job.recipe.style_scale)
        self.painted = self._photo_at(*self.sizes[0])
        self.statistics: list[Statistics | None] = [None] * len(self.brushes)
        self.started = time.perf_counter()
        self.done = 0.0  # pixels

    def events(self) -> Iterator[Progress]:
        yield self._progress()
        for height, width in self.sizes:
            finer = yield from self.at(height, width)
            coarser = None if (height, width) == self.sizes[0] else self.painted
            self.painted = finer if coarser is None else with_coarser(finer, coarser)
            yield self._progress()

    def _progress(self) -> Progress:
        seconds = time.perf_counter() - self.started
        total = sum(height * width for height, width in self.sizes)
        share = min(1.0, self.done / total)
        return Progress(
            step=round(STEPS * share),
            steps=STEPS,
            scale=max(self.painted.shape[-2:]),
            losses=None,
            seconds=seconds,
            eta=seconds * (1 - share) / share if share else float("inf"),
            message=None,
            job=self.job,
            pixels=self.painted,
            snapshot=None,
        )

    def at(self, height: int, width: int) -> Generator[Progress, None, Tensor]:
        """The picture painted at one size."""
        photo = self._photo_at(height, width)
        shares = self._shares(height, width)
        picture: Tensor | None = None
        for index, (brush, share) in enumerate(zip(self.brushes, shares, strict=True)):
            painted = yield from self._painted(index, photo)
            painted = painted if brush.cover == 1 else torch.lerp(photo, painted, brush.cover)
            if share is not None:
                painted *= share.to(painted)
            picture = painted if picture is None else picture.add_(painted)
        assert picture is not None
        # Whether it is needed, only a CPU is asked: the answer would keep a GPU waiting.
        if photo.device.type != "cpu" or has_flat_areas(photo):
            remove_grid(picture)
        return picture

    def _painted(self, index: int, photo: Tensor) -> Generator[Progress, None, Tensor]:
        """The picture painted with one brush."""
        brush = self.brushes[index]
        pixels = photo.shape[-2] * photo.shape[-1]
        work = pixels / len(self.brushes)
        if self.memory is not None:
            self.done += work
            return self._remembered(index, photo, self.memory)
        if pixels <= WHOLE_PIXELS:
            painted, statistics = brush.network.painted(photo, brush.style, self.statistics[index])
            if self.job.recipe.statistics == "thumbnail":
                self.statistics[index] = statistics
            self.done += work
            return painted.float()
        picture = torch.empty_like(photo)
        before, known = self.done, self.statistics[index]
        for share in paint_in_bands(brush.network, photo, brush.style, picture, statistics=known):
            self.done = before + share * work
            yield self._progress()
        return picture

    def _remembered(self, index: int, photo: Tensor, memory: Memory) -> Tensor:
        """A picture of a film, painted with one brush."""
        brush, size = self.brushes[index], (index, *photo.shape[-2:])
        painted, memory.known[size] = brush.network.painted(
            photo, brush.style, memory.known.get(size), own_share=memory.own_share
        )
        return painted.float()

    def _photo_at(self, height: int, width: int) -> Tensor:
        photo = self.photo
        factor = 2 ** round(log2(photo.shape[-1] / width))
        if (ceil(photo.shape[-2] / factor), ceil(photo.shape[-1] / factor)) == (height, width):
            return halved(photo, factor)
        return resize(photo, height, width, "antialias")

    def _shares(self, height: int, width: int) -> list[Tensor | None]:
        """How much each brush counts where: what regions leave, then the regions."""
        if not self.job.regions:
            return [None]
        masks = [resize(mask, height, width, "antialias") for mask, _ in self.job.regions]
        parts, left = split(masks)
        return [left, *parts]


def brushes(job: Job) -> list[Brush]:
    """One for the paintings, blended, and one for each region's."""
    every = list(zip(job.styles, job.style_weights, strict=True))
    return [_blended(job, every), *(_blended(job, [(style, 1.0)]) for _, style in job.regions)]


def _blended(job: Job, weighted: list[tuple[Picture, float]]) -> Brush:
    device, dtype = job.device.device, job.device.dtype
    strength = job.recipe.strength
    if weighted[0][0].built_in:
        fixed = load_multistyle(device, dtype)
        style = sum_of((fixed.style(picture.name), weight) for picture, weight in weighted)
        return Brush(fixed.transformer, style.to(device), cover=strength)
    arbitrary = load_magenta(device, dtype)
    style = sum_of((arbitrary.style(_opaque(picture)), weight) for picture, weight in weighted)
    if strength != 1:  # beyond 1, further away from the photo's own style
        style = torch.lerp(arbitrary.style(job.content.rgb), style, strength)
    return Brush(arbitrary.transformer, style.to(device))


def sum_of(weighted: Iterator[tuple[Tensor, float]]) -> Tensor:
    """Σ weight · tensor."""
    return torch.stack([tensor * weight for tensor, weight in weighted]).sum(0)


def _opaque(painting: Picture) -> Tensor:
    """The painting, its transparent parts filled with the mean of the others."""
    shown = visible(painting)
    if shown is None:
        return painting.rgb
    mean = (painting.rgb * shown).sum((2, 3), keepdim=True) / shown.sum()
    return torch.lerp(mean.expand_as(painting.rgb), painting.rgb, shown)


def with_coarser(finer: Tensor, coarser: Tensor) -> Tensor:
    """``finer``, in place, with what is as coarse as ``coarser`` taken from that."""
    height, width = coarser.shape[-2:]
    if (height, width) == (ceil(finer.shape[-2] / 2), ceil(finer.shape[-1] / 2)):
        _add_doubled(finer, coarser - halved(finer, 2))
    else:
        difference = coarser - resize(finer, height, width, "antialias")
        finer += functional.interpolate(difference, size=finer.shape[-2:], mode="bilinear")
    return finer.clamp_(0, 1)


def halved(image: Tensor, factor: int) -> Tensor:
    """The mean of every 2² pixels, at the end of fewer, until it is ``factor`` times smaller: a
    power of two.
    """
    if factor == 1:
        return image
    height, width = image.shape[-2:]
    half = image.new_empty(*image.shape[:2], ceil(height / 2), ceil(width / 2))
    for top in range(0, height, ROWS):
        band = image[..., top : top + ROWS, :].contiguous()
        odd = (0, width % 2, 0, band.shape[-2] % 2)
        band = functional.pad(band, odd, "replicate") if any(odd) else band
        # As average pooling, several times quicker.
        small = functional.interpolate(band, scale_factor=0.5, mode="bilinear")
        half[..., top // 2 : top // 2 + small.shape[-2], :] = small
    return halved(half, factor // 2)


def _add_doubled(image: Tensor, small: Tensor, rows: int = ROWS // 2) -> None:
    """Add ``small``, enlarged by two, to ``image``, in bands of rows."""
    height, width = image.shape[-2:]
    for top in range(0, small.shape[-2], rows):
        above = min(1, top)
        band = small[..., top - above : top + rows + 1, :]
        large = functional.interpolate(band, scale_factor=2, mode="bilinear")
        bottom = min(height, 2 * (top + rows))
        image[..., 2 * top : bottom, :] += large[
            ..., 2 * above : 2 * above + bottom - 2 * top, :width
        ]
