"""Jobs: made, watched, stopped, continued and deleted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Body, Header, Request, Response
from fastapi.responses import StreamingResponse

from impasto.studio.jobs import uploads
from impasto.studio.jobs.continuation import Continuation, continued
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.models import JobResponse
from impasto.studio.server import problems
from impasto.studio.server.context import STREAM, studio_of
from impasto.studio.server.responses import JobList
from impasto.studio.server.routes.forms import FORM

EVENT_NUMBER = re.compile("[0-9]{1,18}")
RECONNECT_MS = 1000
EVENTS = (
    "Events with `id`, `event` and `data`, which is JSON: `QueuedProgress` of the event `queued`,"
    " `StepProgress` of `progress`, and `JobResponse` of `done`, `stopped` and `failed`."
)

router = APIRouter(tags=["jobs"])


@router.post("/jobs", status_code=202, responses=problems.responses(415, 429), openapi_extra=FORM)
async def new_job(request: Request, response: Response) -> JobResponse:
    """Make a job of a photo and one to four paintings."""
    return await studio_of(request).create_job(request, response, uploads.request_from)


@router.get("/jobs")
async def all_jobs(request: Request) -> JobList:
    """Return every job, the newest first."""
    studio = studio_of(request)
    jobs = [job for job in studio.store.every() if job.state != "dropping"]
    return JobList(jobs=[studio.pool.response(job) for job in reversed(jobs)])


@router.get("/jobs/{id}", responses=problems.responses(404))
async def one_job(request: Request, id: str) -> JobResponse:
    """Return a job."""
    studio = studio_of(request)
    return studio.pool.response(studio.job(id))


@router.delete("/jobs/{id}", status_code=204, responses=problems.responses(404))
async def delete_job(request: Request, id: str) -> None:
    """Stop a job, and delete it and its files."""
    studio = studio_of(request)
    studio.pool.drop(studio.job(id))


@router.get(
    "/jobs/{id}/events",
    response_class=StreamingResponse,
    responses={
        **problems.responses(404),
        200: {
            "description": EVENTS,
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
    },
)
async def events(
    request: Request, id: str, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """Return what happens to a job, as server-sent events."""
    # FastAPI's own server-sent events aren't used: an error such as 404 would come after the answer
    # has begun, with 200, and ``Cache-Control`` would be ``no-cache`` instead of ``no-store``.
    studio = studio_of(request)
    studio.job(id)
    after = int(last_event_id) if last_event_id and EVENT_NUMBER.fullmatch(last_event_id) else 0

    async def stream() -> AsyncIterator[str]:
        yield f"retry: {RECONNECT_MS}\n\n"
        async for event in studio.pool.subscriptions.events(id, after):
            if event is None:
                yield ": still here\n\n"
            else:
                yield f"id: {event.number}\nevent: {event.kind}\ndata: {event.data}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream", headers=STREAM)


@router.post("/jobs/{id}/stop", status_code=202, responses=problems.responses(404, 409))
async def stop(request: Request, id: str) -> JobResponse:
    """Stop a job after the current step, and keep the picture."""
    studio = studio_of(request)
    job = studio.job(id)
    if job.state != "running":
        raise ProblemError(409, f"only a running job can be stopped; this one is {job.state}")
    studio.pool.stop(job)
    return studio.pool.response(job)


@router.post("/jobs/{id}/continue", status_code=202, responses=problems.responses(404, 409, 429))
async def go_on(
    request: Request, response: Response, id: str, how: Annotated[Continuation, Body()]
) -> JobResponse:
    """Make a job that goes on from the picture of another."""
    studio = studio_of(request)
    studio.check_room()
    job = studio.job(id)
    with studio.new_folder() as folder:
        job_request = continued(job, studio.store.folder_of(job), folder, how)
        return studio.submit(folder, job_request, response)
