"""One pass of a feed-forward network (Johnson et al. 2016) at every size, from coarse to fine.

The network's strokes have a fixed size in pixels. Therefore the picture is painted at about 512 px
first, and then at each doubling up to its own size. Each size adds only the detail that is finer
than the size before, as in a Laplacian pyramid (Burt & Adelson 1983). Strokes keep their size
relative to the picture, and the finest detail is painted instead of enlarged.
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
from impasto.methods.feed_forward.brushes import Brush
from impasto.methods.feed_forward.plan import (
    MAX_WHOLE_PIXELS,
    MIN_LEVEL_RATIO,
    level_sizes,
    plan_run,
)
from impasto.methods.feed_forward.pyramid import halved, with_coarser
from impasto.methods.feed_forward.settings import FeedForwardSettings
from impasto.networks.grid import has_flat_areas, remove_grid
from impasto.networks.kernels import speeds
from impasto.networks.tiles import paint_in_bands
from impasto.networks.transformer import Statistics
from impasto.runs.job import Job
from impasto.runs.plan import Estimate
from impasto.runs.progress import Progress

PROBE_PX = 512
"""Side of the picture from which the time of a run is estimated, px."""
PERCENT = 100
"""Number of steps of a ``Progress``, each of which is 1 % of the work."""


@dataclass
class ShotStatistics:
    """The statistics that the frames of a shot share.

    With shared statistics, an object that comes into view changes nothing elsewhere.

    Attributes:
        own_share: The share of its own statistics that every frame mixes in, 0 to 1.
        by_size: The statistics by slot of the brush, height and width.
    """

    own_share: float = 0.0
    by_size: dict[tuple[int, int, int], Statistics] = field(default_factory=dict)


def paint(
    job: Job, brushes: Sequence[Brush], shot_statistics: ShotStatistics | None = None
) -> Iterator[Progress]:
    """Paint a job; yield a Progress after each size, and several during a large one.

    Args:
        job: The job, whose photo may be a batch.
        brushes: The brushes of the job.
        shot_statistics: The statistics of the shot, if the photo is a frame of a film.
    """
    return Painting(job, brushes, shot_statistics).events()


def estimate(job: Job, brushes: Sequence[Brush]) -> Estimate:
    """Estimate a run from its pixels, and from the time of one pixel, which is measured once."""
    plan = job.plan or plan_run(job.recipe, job.device, job.content.height, job.content.width)
    per_pixel = sum(_seconds_per_pixel(job, brush) for brush in brushes)
    work = sum(scale.work for scale in plan.scales)
    return Estimate(plan.scales, plan.memory, per_pixel * work)


def _seconds_per_pixel(job: Job, brush: Brush) -> float:
    """Return the time of a brush's network for one pixel, seconds; it is measured only once."""
    network = brush.network
    size = f"{len(network.layers)} {max(network.channels.values())}"
    name = f"{speeds.STEP}{job.device.device.type} {job.device.precision} network {size}"
    seconds = speeds.stored(name)
    if seconds is None:
        seconds = _measured_seconds_per_pixel(job, brush)
        speeds.store(name, seconds)
    return seconds


def _measured_seconds_per_pixel(job: Job, brush: Brush) -> float:
    """Return the measured time of a brush's network for one pixel, seconds."""
    probe = torch.full((1, 3, PROBE_PX, PROBE_PX), 0.5, device=job.device.device)
    brush.network(probe, brush.style).cpu()  # warms up
    started = time.perf_counter()
    brush.network(probe, brush.style).cpu()  # waits for a GPU
    return (time.perf_counter() - started) / PROBE_PX**2


def quick_picture(job: Job, brushes: Sequence[Brush], height: int, width: int) -> Tensor:
    """Return a picture (1, 3, height, width) from which an optimisation can start.

    It is painted only at the coarsest size, and then resized.
    """
    run = Painting(job, brushes)
    painted = _return_value(run.painted_at(*run.sizes[0]))
    return resize(painted.cpu(), height, width, "antialias")


def enlarged_steps(job: Job, brushes: Sequence[Brush], picture: Tensor) -> Iterator[Tensor]:
    """Enlarge a picture to the size of a job; the network paints the finer detail.

    Args:
        job: The job, whose photo guides the network.
        brushes: The brushes of the job.
        picture: The picture, (1, 3, h, w).

    Yields:
        The picture at each doubling, and at last at the size of the job.
    """
    run, sizes = Painting(job, brushes), [(job.content.height, job.content.width)]
    while max(sizes[0]) > 2 * MIN_LEVEL_RATIO * max(picture.shape[-2:]):
        sizes.insert(0, (ceil(sizes[0][0] / 2), ceil(sizes[0][1] / 2)))
    for height, width in sizes:
        if (height, width) != tuple(picture.shape[-2:]):
            picture = with_coarser(_return_value(run.painted_at(height, width)), picture)
            yield picture


def _return_value(events: Generator[Progress, None, Tensor]) -> Tensor:
    """Run a generator to its end and return its value."""
    while True:
        try:
            next(events)
        except StopIteration as finished:
            painted: Tensor = finished.value
            return painted


class Painting:
    """One run of the method. The arguments are those of ``paint``.

    Attributes:
        painted: The picture at the last finished size; before the first one, the photo.
        pixels_done: The number of pixels painted so far.
    """

    def __init__(
        self,
        job: Job,
        brushes: Sequence[Brush],
        shot_statistics: ShotStatistics | None = None,
    ) -> None:
        self.job, self.brushes, self.shot_statistics = job, brushes, shot_statistics
        self.photo = job.content.rgb.to(job.device.device)
        self.sizes = level_sizes(job.content.height, job.content.width, job.recipe.style_scale)
        self.painted = self._photo_at(*self.sizes[0])
        recipe = job.recipe  # a recipe of another method, if that method calls this one
        self.shares_statistics = (
            isinstance(recipe, FeedForwardSettings) and recipe.statistics == "thumbnail"
        )
        self.statistics: list[Statistics | None] = [None] * len(self.brushes)
        self.started = time.perf_counter()
        self.pixels_done = 0.0

    def events(self) -> Iterator[Progress]:
        """Paint all sizes from coarse to fine, and yield the progress."""
        yield self._progress()
        for height, width in self.sizes:
            finer = yield from self.painted_at(height, width)
            coarser = None if (height, width) == self.sizes[0] else self.painted
            self.painted = finer if coarser is None else with_coarser(finer, coarser)
            yield self._progress()

    def _progress(self) -> Progress:
        seconds = time.perf_counter() - self.started
        total = sum(height * width for height, width in self.sizes)
        share = min(1.0, self.pixels_done / total)
        return Progress(
            step=round(PERCENT * share),
            steps=PERCENT,
            scale=max(self.painted.shape[-2:]),
            losses=None,
            seconds=seconds,
            eta=seconds * (1 - share) / share if share else float("inf"),
            message=None,
            job=self.job,
            pixels=self.painted,
            snapshot=None,
        )

    def painted_at(self, height: int, width: int) -> Generator[Progress, None, Tensor]:
        """Paint the picture at one size, yield the progress, and return (N, 3, height, width)."""
        photo = self._photo_at(height, width)
        shares = self._area_shares(height, width)
        picture: Tensor | None = None
        for index, brush in enumerate(self.brushes):
            painted = yield from self._painted(index, photo)
            painted = painted if brush.cover == 1 else torch.lerp(photo, painted, brush.cover)
            if brush.weight != 1:
                painted *= brush.weight
            share = shares[brush.area]
            if share is not None:
                painted *= share.to(painted)
            picture = painted if picture is None else picture.add_(painted)
        assert picture is not None
        # A GPU removes the grid in any case, because it would have to wait for the check.
        has_grid = any(brush.has_grid for brush in self.brushes)
        if has_grid and (photo.device.type != "cpu" or has_flat_areas(photo)):
            remove_grid(picture)
        return picture

    def _painted(self, index: int, photo: Tensor) -> Generator[Progress, None, Tensor]:
        """Paint the picture with one brush, yield the progress, and return the picture."""
        brush = self.brushes[index]
        pixels = photo.shape[-2] * photo.shape[-1]
        work = pixels / len(self.brushes)
        if self.shot_statistics is not None:
            self.pixels_done += work
            return self._painted_frame(brush, photo, self.shot_statistics)
        if pixels <= MAX_WHOLE_PIXELS:
            painted, statistics = brush.network.painted(photo, brush.style, self.statistics[index])
            if self.shares_statistics:
                self.statistics[index] = statistics
            self.pixels_done += work
            return painted.float()
        picture = torch.empty_like(photo)
        before, known = self.pixels_done, self.statistics[index]
        for share in paint_in_bands(brush.network, photo, brush.style, picture, statistics=known):
            self.pixels_done = before + share * work
            yield self._progress()
        return picture

    @staticmethod
    def _painted_frame(brush: Brush, photo: Tensor, shot: ShotStatistics) -> Tensor:
        """Paint a frame of a film with one brush and the statistics of its shot."""
        size = (brush.slot, *photo.shape[-2:])
        painted, shot.by_size[size] = brush.network.painted(
            photo, brush.style, shot.by_size.get(size), own_share=shot.own_share
        )
        return painted.float()

    def _photo_at(self, height: int, width: int) -> Tensor:
        photo = self.photo
        factor = 2 ** round(log2(photo.shape[-1] / width))
        if (ceil(photo.shape[-2] / factor), ceil(photo.shape[-1] / factor)) == (height, width):
            return halved(photo, factor)
        return resize(photo, height, width, "antialias")

    def _area_shares(self, height: int, width: int) -> list[Tensor | None]:
        """Return the share of each area at each place: first outside of the regions, then in them.

        None stands for the whole picture.
        """
        if not self.job.regions:
            return [None]
        masks = [resize(mask, height, width, "antialias") for mask, _ in self.job.regions]
        parts, remaining = split(masks)
        return [remaining, *parts]
