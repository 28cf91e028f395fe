"""Pictures: the files of jobs, and pictures that are made at once, without a job."""

from __future__ import annotations

import asyncio
import re
import tempfile
import unicodedata
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, Response

from impasto.images.write import Format
from impasto.settings.recipe import MAX_SIZE_PX
from impasto.studio.jobs import style_uploads, uploads
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.models import FilmRequest, LearnRequest
from impasto.studio.jobs.results import MEDIA_TYPES, converted
from impasto.studio.jobs.store import FINISHED, NEW_PREFIX, JobRecord
from impasto.studio.server import problems
from impasto.studio.server.context import IMMUTABLE, NOT_CACHED, Studio, studio_of
from impasto.studio.server.responses import content
from impasto.studio.server.routes.forms import FORM

router = APIRouter(tags=["pictures"])

PREVIEW = {**content("image/jpeg"), **problems.responses(404)}
STYLE_TYPE = "application/octet-stream"
RESULT = {**content(*MEDIA_TYPES.values(), "video/mp4", STYLE_TYPE), **problems.responses(404, 409)}
UPLOADED = {**content("application/octet-stream"), **problems.responses(404)}
STYLIZED = {**content(*MEDIA_TYPES.values()), **problems.responses(415, 429)}


@router.get("/jobs/{id}/preview", response_class=FileResponse, responses=PREVIEW)
async def preview(request: Request, id: str) -> FileResponse:
    """Return the picture so far, at most 1024 px."""
    studio = studio_of(request)
    path = studio.store.folder_of(studio.job(id)) / "preview.jpg"
    return _file(path, "there is no preview yet", "image/jpeg", NOT_CACHED)


@router.get("/jobs/{id}/result", response_class=Response, responses=RESULT)
async def result(
    request: Request,
    id: str,
    format: Annotated[Format, Query()] = "png",
    size: Annotated[int | None, Query(ge=16, le=MAX_SIZE_PX)] = None,
    metadata: bool = True,
    download: bool = False,
) -> Response:
    """Return the finished picture, film or style file."""
    studio = studio_of(request)
    job = studio.job(id)
    if isinstance(job.request, FilmRequest):
        return _result_file(studio, job, "film", "mp4", "video/mp4", download=download)
    if isinstance(job.request, LearnRequest):
        return _result_file(studio, job, "style", "style", STYLE_TYPE, download=download)
    path = studio.store.folder_of(job) / "result.png"
    if job.state not in FINISHED or not path.exists():
        raise ProblemError(409, f"there is no picture yet: the job is {job.state}")
    headers = dict(IMMUTABLE)
    if download:
        headers["Content-Disposition"] = _attachment(f"{job.request.name}.{format}")
    if format == "png" and size is None and metadata:
        return FileResponse(path, media_type=MEDIA_TYPES[format], headers=headers)
    async with studio.conversions:
        data = await asyncio.to_thread(converted, path, format, size, with_recipe=metadata)
    return Response(data, media_type=MEDIA_TYPES[format], headers=headers)


def _result_file(
    studio: Studio, job: JobRecord, noun: str, suffix: str, media_type: str, *, download: bool
) -> Response:
    """Return the result of a job for a film or a style.

    Raises:
        ProblemError: There is no result yet.
    """
    path = studio.store.folder_of(job) / f"result.{suffix}"
    if job.state not in FINISHED or not path.exists():
        raise ProblemError(409, f"there is no {noun} yet: the job is {job.state}")
    headers = dict(IMMUTABLE)
    if download:
        headers["Content-Disposition"] = _attachment(f"{job.request.name}.{suffix}")
    return FileResponse(path, media_type=media_type, headers=headers)


@router.get("/jobs/{id}/content", response_class=FileResponse, responses=UPLOADED)
async def content_image(request: Request, id: str) -> FileResponse:
    """Return the photo that it is made from."""
    return _uploaded(studio_of(request), id, "content")


@router.get("/jobs/{id}/styles/{index}", response_class=FileResponse, responses=UPLOADED)
async def style_image(
    request: Request,
    id: str,
    index: Annotated[int, PathParameter(ge=0, lt=style_uploads.MAX_STYLES)],
) -> FileResponse:
    """Return a painting that it is made from, counted from 0."""
    return _uploaded(studio_of(request), id, f"style-{index}")


@router.get("/jobs/{id}/mask", response_class=FileResponse, responses=UPLOADED)
async def mask(request: Request, id: str) -> FileResponse:
    """Return its mask."""
    return _uploaded(studio_of(request), id, "mask")


@router.post("/stylize", response_class=Response, responses=STYLIZED, openapi_extra=FORM)
async def stylize(request: Request, format: Annotated[Format, Query()] = "png") -> Response:
    """Make a picture at once, in the way of a preview: by a quick method."""
    studio = studio_of(request)
    studio.check_queries()
    form = await studio.form(request)
    with tempfile.TemporaryDirectory(prefix=NEW_PREFIX, dir=studio.store.folder) as name:
        folder = Path(name)
        picture_request = await asyncio.to_thread(
            uploads.request_from, form, folder, studio.settings.limits, for_preview=True
        )
        path = await studio.pool.stylize(folder, picture_request)
        async with studio.conversions:
            data = await asyncio.to_thread(converted, path, format, None, with_recipe=True)
    return Response(data, media_type=MEDIA_TYPES[format], headers=NOT_CACHED)


def _uploaded(studio: Studio, id: str, name: str) -> FileResponse:
    path = studio.store.folder_of(studio.job(id)) / name
    return _file(path, f"that job has no {name}", "application/octet-stream", IMMUTABLE)


def _file(path: Path, missing: str, media_type: str, headers: dict[str, str]) -> FileResponse:
    if not path.is_file():
        raise ProblemError(404, missing)
    return FileResponse(path, media_type=media_type, headers=headers)


def _attachment(name: str) -> str:
    """Return a Content-Disposition for a file of that name (RFC 6266).

    Names that aren't plain are given twice: simplified, and as they are in UTF-8 (RFC 5987).
    """
    letters = unicodedata.normalize("NFKD", name)
    base = "".join(letter for letter in letters if not unicodedata.combining(letter))
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", base)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"
