"""The method ``instant``: one pass of a feed-forward network (Ghiasi et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from impasto.methods.base import FilmStyles, FramePainter, LoadedStyle, Method
from impasto.methods.instant.settings import InstantSettings
from impasto.settings.methods import Accepts

if TYPE_CHECKING:
    import numpy as np

    from impasto.base.devices import Device
    from impasto.images.limits import Limits
    from impasto.runs.job import Job
    from impasto.runs.plan import Estimate, RunPlan
    from impasto.runs.progress import Progress, Snapshot
    from impasto.settings.recipe import Recipe

STYLE_SIDE_PX = 512
"""Long side at which style images are read; the network sees them at 256 px."""


class Instant(Method):
    """A network that knows many styles, applied once at each size, from coarse to fine."""

    name = "instant"
    summary = "one pass of a network that knows many styles: a picture at once"
    settings = InstantSettings
    accepts = Accepts(built_in_styles=True)
    unit = "percent"
    typical_seconds = 1.0

    def style_side(self, recipe: Recipe, size: int) -> int:
        return STYLE_SIDE_PX

    def plan(self, recipe: Recipe, device: Device, height: int, width: int) -> RunPlan:
        from impasto.methods.instant import plan

        return plan.plan_run(recipe, device, height, width)

    def prepare(self, job: Job, limits: Limits | None) -> Job:
        from impasto.methods.instant import brushes

        brushes.check_styles(job)
        return job

    def run(self, job: Job, snapshot: Snapshot | None = None) -> Iterator[Progress]:
        from impasto.methods.instant import run

        return run.paint(job)

    def estimate(self, job: Job) -> Estimate:
        from impasto.methods.instant import run

        return run.estimate(job)

    def loaded(self, job: Job, limits: Limits | None) -> LoadedStyle | None:
        from impasto.methods.instant import loaded

        return loaded.load_style(job, limits)

    def frame_painter(self, styles: FilmStyles, first: np.ndarray, *, steady: bool) -> FramePainter:
        from impasto.methods.instant.frames import InstantPainter

        return InstantPainter(styles, first, steady=steady)


INSTANT = Instant()
