"""A style that is loaded once for many photos."""

from __future__ import annotations

from collections.abc import Iterator

from impasto.images.limits import Limits
from impasto.methods.base import Batches
from impasto.methods.instant.batches import BatchPainter
from impasto.methods.instant.brushes import brushes, depends_on_photo
from impasto.methods.instant.run import paint
from impasto.runs.job import Job
from impasto.runs.progress import Progress

BY_PHOTO = ("match", "histogram")
"""Colour modes that make something else of a style image for every photo."""


def load_style(job: Job, limits: Limits | None) -> LoadedBrushes | None:
    """Return the style of a job for many photos; None if its masks or colours are made for one."""
    recipe = job.recipe
    if recipe.color in BY_PHOTO or recipe.mask or recipe.region:
        return None
    return LoadedBrushes(job, limits)


class LoadedBrushes:
    """The brushes of a job, and on a GPU a painter of batches."""

    def __init__(self, job: Job, limits: Limits | None) -> None:
        self.brushes = None if depends_on_photo(job) else brushes(job)
        self.batches: Batches | None = None
        if self.brushes is not None and job.device.device.type != "cpu":  # no faster on a CPU
            self.batches = BatchPainter(job, self.brushes, limits)

    def run(self, job: Job) -> Iterator[Progress]:
        """Stylize the content of a job."""
        return paint(job, tools=self.brushes)
