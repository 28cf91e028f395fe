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

from impasto.images.masks import split
from impasto.images.sizes import resize
from impasto.methods.instant.brushes import Brush, brushes
from impasto.methods.instant.plan import MIN_STEP, WHOLE_PIXELS, level_sizes, plan_run
from impasto.methods.instant.pyramid import halved, with_coarser
from impasto.methods.instant.settings import InstantSettings
from impasto.networks.grid import has_flat_areas, remove_grid
from impasto.networks.kernels import speeds
from impasto.networks.tiles import paint_in_bands
from impasto.networks.transformer import Statistics
from impasto.runs.job import Job
from impasto.runs.plan import Estimate
from impasto.runs.progress import Progress

PROBE_PX = 512
"""Side of the picture that a run's time is estimated from."""
STEPS = 100
"""What a Progress counts: per cent of the work."""


@dataclass
class Memory:
    """What the pictures of a film share: the statistics of each brush at each size, so that what
    comes into view changes nothing elsewhere. Every picture mixes in ``own_share`` of its own.
    """

    own_share: float = 0.0
    known: dict[tuple[int, int, int], Statistics] = field(default_factory=dict)


def paint(
    job: Job, tools: Sequence[Brush] | None = None, memory: Memory | None = None
) -> Iterator[Progress]:
    """Paint ``job``; yield a Progress as each size is done, and now and then while large ones last.

    Args:
        job: What to paint. The photo may be a batch.
        tools: The job's brushes, if they are at hand.
        memory: That of the film whose frame this is.
    """
    return Painting(job, tools, memory).events()


def estimate(job: Job) -> Estimate:
    """Estimate a run: its time grows with the pixels, and their time is measured once."""
    plan = job.plan or plan_run(job.recipe, job.device, job.content.height, job.content.width)
    network = "multistyle" if job.styles[0].built_in else "magenta"
    name = f"{speeds.STEP}{job.device.device.type} {job.device.precision} {network}"
    per_pixel = speeds.stored(name)
    if per_pixel is None:
        per_pixel = _measured_seconds_per_pixel(job)
        speeds.store(name, per_pixel)
    work = sum(scale.work for scale in plan.scales) * (1 + len(job.regions))
    return Estimate(plan.scales, plan.memory, per_pixel * work)


def _measured_seconds_per_pixel(job: Job) -> float:
    """Return the time that the network takes for a pixel."""
    probe = torch.full((1, 3, PROBE_PX, PROBE_PX), 0.5, device=job.device.device)
    brush = brushes(job)[0]
    brush.network(probe, brush.style).cpu()  # warms up
    started = time.perf_counter()
    brush.network(probe, brush.style).cpu()  # which waits for a GPU
    return (time.perf_counter() - started) / PROBE_PX**2


def glance(job: Job, height: int, width: int) -> Tensor:
    """Return the picture (1, 3, height, width) as an optimisation may start from it.

    It is painted at the size that the network knows, and resized.
    """
    run = Painting(job)
    painted = _drained(run.at(*run.sizes[0]))
    return resize(painted.cpu(), height, width, "antialias")


def carried_up(job: Job, picture: Tensor) -> Iterator[Tensor]:
    """Yield ``picture`` (1, 3, h, w) at each doubling up to the job's size, with what is
    finer painted by the network.
    """
    run, sizes = Painting(job), [(job.content.height, job.content.width)]
    while max(sizes[0]) > 2 * MIN_STEP * max(picture.shape[-2:]):
        sizes.insert(0, (ceil(sizes[0][0] / 2), ceil(sizes[0][1] / 2)))
    for height, width in sizes:
        if (height, width) != tuple(picture.shape[-2:]):
            picture = with_coarser(_drained(run.at(height, width)), picture)
            yield picture


def _drained(events: Generator[Progress, None, Tensor]) -> Tensor:
    """Return what a generator returns."""
    while True:
        try:
            next(events)
        except StopIteration as finished:
            painted: Tensor = finished.value
            return painted


class Painting:
    """``painted`` is the picture at the last size that is done; before the first one, the photo."""

    def __init__(
        self, job: Job, tools: Sequence[Brush] | None = None, memory: Memory | None = None
    ) -> None:
        self.job, self.memory = job, memory
        self.photo = job.content.rgb.to(job.device.device)
        self.brushes = tools or brushes(job)
        self.sizes = level_sizes(job.content.height, job.content.width, job.recipe.style_scale)
        self.painted = self._photo_at(*self.sizes[0])
        recipe = job.recipe  # of another method, where that one uses this as a tool
        self.shares_statistics = (
            isinstance(recipe, InstantSettings) and recipe.statistics == "thumbnail"
        )
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
            if self.shares_statistics:
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
