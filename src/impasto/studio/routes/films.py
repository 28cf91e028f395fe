"""Films: made like pictures, as jobs."""

from __future__ import annotations

import asyncio
import shutil
from typing import Any

from fastapi import APIRouter, Request, Response

from impasto.studio import film_uploads
from impasto.studio.context import studio_of

router = APIRouter(tags=["films"])

FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["film", "styles"],
                    "properties": {
                        "film": {"type": "string", "format": "binary"},
                        "styles": {
                            "type": "array",
                            "maxItems": 4,
                            "items": {"type": "string", "format": "binary"},
                            "description": "files, or names of built-in ones",
                        },
                        "weights": {"type": "string", "description": "as in 1,0.5"},
                        "settings": {
                            "type": "string",
                            "description": "a JSON object: "
                            + ", ".join(film_uploads.FilmSettings.model_fields),
                        },
                    },
                }
            }
        },
    }
}


@router.post("/films", status_code=202, openapi_extra=FORM)
async def new_film(request: Request, response: Response) -> dict[str, Any]:
    """A film and one to four paintings: a job whose steps are frames and whose result is a film."""
    studio = studio_of(request)
    studio.check_room()
    form = await studio.form(request)
    folder = studio.store.new_folder()
    try:
        wanted = await asyncio.to_thread(
            film_uploads.request_from, form, folder, studio.settings.limits
        )
        job = studio.submit(folder, wanted)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return studio.crew.as_dict(job)
