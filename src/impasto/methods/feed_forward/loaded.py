"""Styles of feed-forward methods that are loaded once for many photos."""

from __future__ import annotations

from collections.abc import Iterator

from impasto.images.limits import Limits
from impasto.methods.base import Batches
from impasto.methods.feed_forward.batches import BatchPainter
from impasto.methods.feed_forward.brushes import BrushMaker
from impasto.methods.feed_forward.run import paint
from impasto.runs.job import Job
from impasto.runs.progress import Progress

PHOTO_DEPENDENT_COLORS = ("match", "histogram")
"""Values of the setting ``color`` for which the style image is recoloured for every photo."""


def load_style(method: BrushMaker, job: Job, limits: Limits | None) -> LoadedBrushes | None:
    """Return the style of a job for many photos; None if masks or colours depend on the photo."""
    recipe = job.recipe
    if recipe.color in PHOTO_DEPENDENT_COLORS or recipe.mask or recipe.region:
        return None
    return LoadedBrushes(method, job, limits)


class LoadedBrushes:
    """The brushes of a job, and a painter of batches on a GPU."""

    def __init__(self, method: BrushMaker, job: Job, limits: Limits | None) -> None:
        self.method = method
        self.brushes = None if method.depends_on_photo(job) else method.brushes(job)
        self.batches: Batches | None = None
        if (
            self.brushes is not None and job.device.device.type != "cpu"
        ):  # on a CPU, a batch is no faster
            self.batches = BatchPainter(job, self.brushes, limits)

    def run(self, job: Job) -> Iterator[Progress]:
        """Stylize the content of a job."""
        return paint(job, self.brushes or self.method.brushes(job))
