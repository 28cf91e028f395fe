"""The endpoint for trainings, which learn a style from paintings."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from impasto.studio.jobs import learn_uploads
from impasto.studio.jobs.models import JobResponse
from impasto.studio.server import problems
from impasto.studio.server.context import studio_of
from impasto.studio.server.routes.forms import LEARN_FORM

router = APIRouter(tags=["learning"])


@router.post(
    "/learn",
    status_code=202,
    responses=problems.responses(415, 429),
    openapi_extra=LEARN_FORM,
)
async def new_training(request: Request, response: Response) -> JobResponse:
    """Create a job that learns the style of one to four paintings. Its result is a style file."""
    return await studio_of(request).create_job(request, response, learn_uploads.request_from)
