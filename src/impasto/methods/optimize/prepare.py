"""Checks of a job of the method ``optimize``, and its initial image."""

from __future__ import annotations

from dataclasses import replace

from impasto.base.errors import ImageError, RecipeError
from impasto.images.limits import Limits
from impasto.images.picture import Picture
from impasto.images.read import read
from impasto.methods.optimize import memory
from impasto.methods.optimize.plan import plan_of
from impasto.methods.optimize.settings import INITS, OptimizeSettings
from impasto.runs.job import Job
from impasto.runs.plan import limit_mb


def prepare(job: Job, limits: Limits | None) -> Job:
    """Return the job with its initial image.

    Raises:
        RecipeError: The initial image needs a photo, and there is none.
        DeviceError: There is not enough memory for the style images.
        ImageError: The initial image can't be read.
    """
    recipe = OptimizeSettings.of(job.recipe)
    if job.content.blank and recipe.init == "instant":
        raise RecipeError("there is no photo that the method instant could begin with")
    # With a plan in bands, style images may have any size.
    if plan_of(job).memory.plain and recipe.style_scale > 1:
        available_mb = limit_mb(recipe, job.device.device)
        for style in (*job.styles, *(style for _, style in job.regions)):
            memory.check_style_image(style.height, style.width, job.device, available_mb)
    initial = None if recipe.init in INITS else _initial(recipe.init, limits, job.content)
    return replace(job, init=initial)


def _initial(path: str, limits: Limits | None, content: Picture) -> Picture:
    """Read the image from which a run starts; it covers the result, so its short side counts."""
    size = max(content.height, content.width)
    try:
        return read(path, limits=limits, needed_side=lambda h, w: size * max(h, w) // min(h, w))
    except ImageError as error:
        choices = ", ".join(INITS)
        raise ImageError(f"the initial image is one of {choices}, or a file: {error}") from error
