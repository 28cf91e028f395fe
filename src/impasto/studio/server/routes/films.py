"""Films: made like pictures, as jobs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from impasto.studio.jobs import film_uploads
from impasto.studio.server.context import studio_of
from impasto.studio.server.routes.forms import FILM_FORM

router = APIRouter(tags=["films"])


@router.post("/films", status_code=202, openapi_extra=FILM_FORM)
async def new_film(request: Request, response: Response) -> dict[str, Any]:
    """A film and one to four paintings: a job whose steps are frames and whose result is a film."""
    return await studio_of(request).take(request, response, film_uploads.request_from)
