"""The base of the feed-forward methods, ``instant`` and ``learned``.

A subclass of ``FeedForward`` makes the brushes of a job, which are networks with a style. This
package does everything else: the pyramid of sizes, bands of rows for large pictures, batches, and
frames of films.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

from impasto.base.errors import RecipeError
from impasto.methods.base import FilmStyles, FramePainter, LoadedStyle, Method

if TYPE_CHECKING:
    import numpy as np

    from impasto.base.devices import Device
    from impasto.images.limits import Limits
    from impasto.methods.feed_forward.brushes import Brush
    from impasto.runs.job import Job
    from impasto.runs.plan import Estimate, RunPlan
    from impasto.runs.progress import Progress, Snapshot
    from impasto.settings.recipe import Recipe

STYLE_SIDE_PX = 512
"""Long side at which style images are read, px. The style network reduces them to 256 px."""


class FeedForward(Method):
    """A method that paints in one pass of a network at each size, from coarse to fine."""

    @abstractmethod
    def brushes(self, job: Job) -> list[Brush]:
        """Return the brushes of a job: those of the whole picture, then those of its regions."""
        ...

    def depends_on_photo(self, job: Job) -> bool:
        """Return whether the brushes of a job depend on its photo."""
        return False

    def style_side(self, recipe: Recipe, size: int) -> int:
        return STYLE_SIDE_PX

    def plan(self, recipe: Recipe, device: Device, height: int, width: int) -> RunPlan:
        from impasto.methods.feed_forward import plan

        return plan.plan_run(recipe, device, height, width)

    def prepare(self, job: Job, limits: Limits | None) -> Job:
        check_fixed_styles(job)
        return job

    def run(self, job: Job, snapshot: Snapshot | None = None) -> Iterator[Progress]:
        from impasto.methods.feed_forward import run

        return run.paint(job, self.brushes(job))

    def estimate(self, job: Job) -> Estimate:
        from impasto.methods.feed_forward import run

        return run.estimate(job, self.brushes(job))

    def loaded(self, job: Job, limits: Limits | None) -> LoadedStyle | None:
        from impasto.methods.feed_forward import loaded

        return loaded.load_style(self, job, limits)

    def frame_painter(self, styles: FilmStyles, first: np.ndarray, *, steady: bool) -> FramePainter:
        from impasto.methods.feed_forward.frames import FeedForwardPainter

        return FeedForwardPainter(self, styles, first, steady=steady)


def check_fixed_styles(job: Job) -> None:
    """Check that the settings of a job are possible for its built-in and learned styles.

    Raises:
        RecipeError: A setting needs the style image itself.
    """
    recipe = job.recipe
    for style in (*job.styles, *(style for _, style in job.regions)):
        if style.is_fixed and recipe.strength > 1:
            raise RecipeError(
                f"{style.name} is a style that a network has learned: its strength is at most 1,"
                f" not {recipe.strength:g}"
            )
        if style.is_fixed and recipe.color in ("match", "histogram"):
            raise RecipeError(
                f"{style.name} can't be recoloured; choose the color content, or a painting"
            )
