"""Films: made like pictures, as jobs."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from impasto.studio.jobs import film_uploads
from impasto.studio.jobs.models import JobResponse
from impasto.studio.server import problems
from impasto.studio.server.context import studio_of
from impasto.studio.server.routes.forms import FILM_FORM

router = APIRouter(tags=["films"])


@router.post(
    "/films",
    status_code=202,
    responses=problems.responses(415, 429),
    openapi_extra=FILM_FORM,
)
async def new_film(request: Request, response: Response) -> JobResponse:
    """Make a job of a film and one to four paintings. A step is a frame, the result a film."""
    return await studio_of(request).create_job(request, response, film_uploads.request_from)
