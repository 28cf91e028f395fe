"""Jobs that go on from the picture of another job."""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from impasto.settings.build import build
from impasto.settings.recipe import MAX_SIZE_PX
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.models import (
    FilmRequest,
    JsonObject,
    LearnRequest,
    PictureRequest,
    StoredRecipe,
)
from impasto.studio.jobs.store import JobRecord

DEFAULT_STEPS_DIVISOR = 3
"""A larger picture takes a third of the steps, unless the continuation says how many."""
MIN_DEFAULT_STEPS = 20


class Continuation(BaseModel):
    """The continuation of a job: more steps, or a larger size."""

    model_config = ConfigDict(extra="forbid")
    steps: int | None = Field(None, ge=1, le=100_000, description="so many more steps")
    size: int | None = Field(None, ge=32, le=MAX_SIZE_PX, description="a larger long side, px")


def continued(job: JobRecord, source: Path, folder: Path, how: Continuation) -> PictureRequest:
    """Copy the files that a continuation needs, and return its request.

    Args:
        job: The job to go on from.
        source: The folder of its files.
        folder: The folder of the new job's files.
        how: More steps, a larger size, or neither to finish a stopped job.

    Raises:
        ProblemError: The job can't be continued like that.
        RecipeError: Its recipe makes no sense any more.
    """
    request = job.request
    if isinstance(request, FilmRequest):
        raise ProblemError(409, "a film is painted from the beginning: send it again")
    if isinstance(request, LearnRequest):
        raise ProblemError(409, "a style is learned from the beginning: send its painting again")
    if job.state not in ("done", "stopped"):
        raise ProblemError(409, f"there is no picture to go on from: the job is {job.state}")
    should_finish = how.steps is None and how.size is None
    can_continue = request.recipe.can_continue
    has_checkpoint = job.state == "stopped" and (source / "checkpoint").exists()
    can_finish = should_finish and has_checkpoint
    if not (can_continue or can_finish) and not (how.size and how.steps is None):
        raise ProblemError(
            409, f"a picture of the method {request.recipe.method} can only be made larger"
        )
    if should_finish and not can_finish:
        raise ProblemError(409, "that picture is finished: say how many steps, or a larger size")
    settings = request.recipe.settings()
    init = request.init
    if how.size is not None:
        result = job.progress.result
        long_side = 0 if result is None else max(result.width, result.height)
        if how.size <= long_side:
            raise ProblemError(409, f"the picture has {long_side} px already")
        settings |= {"size": how.size, "print": None}
    if not should_finish and can_continue:
        steps = how.steps or max(MIN_DEFAULT_STEPS, request.recipe.steps // DEFAULT_STEPS_DIVISOR)
        changed: JsonObject = {"steps": steps, "scales": 1, "underpaint": 0}
        settings |= {name: value for name, value in changed.items() if name in settings}
        init = "init.png"
        shutil.copyfile(source / "result.png", folder / init)
    files = [request.content.file, *(style.file for style in request.styles)]
    for name in (*files, request.mask, "checkpoint" if should_finish else None):
        if name is not None:
            shutil.copyfile(source / name, folder / name)
    recipe = build(recipe=settings).model_dump(mode="json")
    return request.model_copy(
        update={
            "parent": job.id,
            "recipe": StoredRecipe.model_validate(recipe),
            "init": init,
        }
    )
