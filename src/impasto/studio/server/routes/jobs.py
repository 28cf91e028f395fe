"""Jobs: made, watched, stopped, gone on with, forgotten."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from impasto.settings.recipe import MAX_SIZE_PX, Recipe
from impasto.studio.jobs import uploads
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.store import Job
from impasto.studio.server.context import STREAM, studio_of
from impasto.studio.server.routes.forms import FORM

MORE_STEPS_SHARE = 3
"""A larger picture goes on for a third of its steps, unless it is told."""

EVENT_NUMBER = re.compile("[0-9]{1,18}")

router = APIRouter(tags=["jobs"])


class Continuation(BaseModel):
    """How to go on."""

    model_config = ConfigDict(extra="forbid")
    steps: int | None = Field(None, ge=1, le=100_000, description="so many more steps")
    size: int | None = Field(None, ge=32, le=MAX_SIZE_PX, description="a larger long side, px")


@router.post("/jobs", status_code=202, openapi_extra=FORM)
async def new_job(request: Request, response: Response) -> dict[str, Any]:
    """A photo and one to four paintings, to be painted when it is their turn."""
    return await studio_of(request).take(request, response, uploads.request_from)


@router.get("/jobs")
async def all_jobs(request: Request) -> dict[str, list[dict[str, Any]]]:
    """Every job, the newest first."""
    studio = studio_of(request)
    jobs = [job for job in studio.store.every() if job.state != "dropping"]
    return {"jobs": [studio.crew.as_dict(job) for job in reversed(jobs)]}


@router.get("/jobs/{id}")
async def one_job(request: Request, id: str) -> dict[str, Any]:
    """How it stands."""
    studio = studio_of(request)
    return studio.crew.as_dict(studio.job(id))


@router.delete("/jobs/{id}", status_code=204)
async def delete_job(request: Request, id: str) -> None:
    """Stop it, and forget it and its files."""
    studio = studio_of(request)
    studio.crew.drop(studio.job(id))


@router.get("/jobs/{id}/events", response_class=StreamingResponse)
async def events(
    request: Request, id: str, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """What happens to it, as server-sent events."""
    studio = studio_of(request)
    studio.job(id)
    after = int(last_event_id) if last_event_id and EVENT_NUMBER.fullmatch(last_event_id) else 0

    async def stream() -> AsyncIterator[str]:
        yield "retry: 1000\n\n"
        async for event in studio.crew.events(id, after):
            if event is None:
                yield ": still here\n\n"
            else:
                number, kind, data = event
                yield f"id: {number}\nevent: {kind}\ndata: {data}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream", headers=STREAM)


@router.post("/jobs/{id}/stop", status_code=202)
async def stop(request: Request, id: str) -> dict[str, Any]:
    """Stop after the step in hand, and keep the picture."""
    studio = studio_of(request)
    job = studio.job(id)
    if job.state != "running":
        raise ProblemError(409, f"only a running job can be stopped; this one is {job.state}")
    studio.crew.stop(job)
    return studio.crew.as_dict(job)


@router.post("/jobs/{id}/continue", status_code=202)
async def go_on(
    request: Request, response: Response, id: str, how: Annotated[Continuation, Body()]
) -> dict[str, Any]:
    """A new job that goes on from its picture."""
    studio = studio_of(request)
    studio.check_room()
    job = studio.job(id)
    if job.is_film:
        raise ProblemError(409, "a film is painted from the beginning: send it again")
    if job.state not in ("done", "stopped"):
        raise ProblemError(409, f"there is no picture to go on from: the job is {job.state}")
    source = studio.store.folder_of(job)
    with studio.new_folder() as folder:
        return studio.submit(folder, _continued(job, source, folder, how), response)


def _continued(job: Job, source: Path, folder: Path, how: Continuation) -> uploads.Request:
    """What a continuation asks for; its files are put in ``folder``. Raises ProblemError."""
    wanted = {**job.request, "parent": job.id}
    recipe = dict(job.request["recipe"])
    finishing = how.steps is None and how.size is None
    if job.instant and not (how.size and how.steps is None):
        raise ProblemError(409, "an instant picture can only be made larger")
    if finishing and not (job.state == "stopped" and (source / "checkpoint").exists()):
        raise ProblemError(409, "that picture is finished: say how many steps, or a larger size")
    if how.size is not None:
        long_side = max(job.progress["result"].values())
        if how.size <= long_side:
            raise ProblemError(409, f"the picture has {long_side} px already")
        recipe |= {"size": how.size, "print": None}
    if not finishing and not job.instant:
        steps = how.steps or max(20, recipe["steps"] // MORE_STEPS_SHARE)
        recipe |= {"steps": steps, "scales": 1, "underpaint": 0}
        wanted["init"] = "init.png"
        shutil.copyfile(source / "result.png", folder / "init.png")
    wanted["recipe"] = Recipe.model_validate(recipe).model_dump(mode="json")
    files = [part["file"] for part in (wanted["content"], *wanted["styles"])]
    for name in (*files, wanted["mask"], *(["checkpoint"] if finishing else [])):
        if name is not None:
            shutil.copyfile(source / name, folder / name)
    return wanted
