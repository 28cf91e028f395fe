"""The method ``optimize``: gradient descent on the pixels (Gatys et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from impasto.methods.base import FilmStyles, FramePainter, Method
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.settings.methods import Accepts
from impasto.settings.recipe_files import DEFAULT_PRESET

if TYPE_CHECKING:
    import numpy as np

    from impasto.base.devices import Device
    from impasto.images.limits import Limits
    from impasto.methods.optimize.plan import OptimizePlan
    from impasto.runs.job import Job
    from impasto.runs.plan import Estimate
    from impasto.runs.progress import Progress, Snapshot
    from impasto.settings.recipe import Recipe


class Optimize(Method):
    """Optimisation of the pixels towards the content of one image and the style of another."""

    name = "optimize"
    summary = "the pixels themselves optimised, step by step"
    settings = OptimizeSettings
    preset = DEFAULT_PRESET
    accepts = Accepts(blank_content=True, resume=True)
    unit = "step"
    typical_seconds = 60.0

    def device(self, recipe: Recipe, *, strict: bool = False) -> Device:
        from impasto.networks.kernels import selection

        kernel = OptimizeSettings.of(recipe).kernel
        return selection.choose(recipe.device, recipe.precision, kernel, strict=strict)

    def plan(self, recipe: Recipe, device: Device, height: int, width: int) -> OptimizePlan:
        from impasto.methods.optimize import plan

        return plan.plan_run(OptimizeSettings.of(recipe), device, height, width)

    def prepare(self, job: Job, limits: Limits | None) -> Job:
        from impasto.methods.optimize import prepare

        return prepare.prepare(job, limits)

    def run(self, job: Job, snapshot: Snapshot | None = None) -> Iterator[Progress]:
        from impasto.methods.optimize import run

        return run.optimize(job, snapshot)

    def estimate(self, job: Job) -> Estimate:
        from impasto.methods.optimize import speed

        return speed.estimate(job)

    def restore(self, job: Job, state: Mapping[str, Any], stored: Recipe) -> Snapshot:
        from impasto.methods.optimize import snapshot

        return snapshot.restore(job, state, OptimizeSettings.of(stored))

    def frame_painter(self, styles: FilmStyles, first: np.ndarray, *, steady: bool) -> FramePainter:
        from impasto.methods.optimize.frames import OptimizingPainter

        return OptimizingPainter(self, styles, first)


OPTIMIZE = Optimize()
