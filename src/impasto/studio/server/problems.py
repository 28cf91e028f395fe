"""Errors as ``application/problem+json`` (RFC 9457), with the sentences of the command line."""

from __future__ import annotations

import errno
import logging
import sqlite3
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from impasto.base.errors import ImageError, ImpastoError, MissingExtraError, reason
from impasto.studio.jobs.errors import BRIEF_RETRY, ProblemError
from impasto.studio.jobs.text import encodable, without_folders

log = logging.getLogger("impasto.studio")

MEDIA_TYPE = "application/problem+json"
FULL_DISK = "the disk is full; delete some pictures"
TOO_MANY_FILES = "too many files are open; try again later"
ANY_REQUEST = (400, 401, 403, 408, 413, 422, 500, 503, 507)
"""The errors of any request: most come from ``guard.py`` and ``connections.py``."""
DESCRIPTIONS = {
    400: "not a request that makes sense",
    401: "no token",
    403: "from another site",
    404: "there is no such thing",
    408: "the upload is too slow",
    409: "the job isn't in that state",
    413: "too large",
    415: "not an image, or not a form",
    422: "settings that don't make sense",
    429: "the queue is full",
    500: "an error of the server",
    503: "too many are connected, or too many files are open",
    507: "the disk is full",
}


Responses = dict[int | str, dict[str, Any]]
"""The descriptions of answers by status, as FastAPI takes them."""


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str = Field(description="the phrase of the status")
    status: int
    detail: str = Field(description="one sentence for the person who must act")


def responses(*statuses: int) -> Responses:
    """Return the description of errors for the ``responses`` of a route."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": DESCRIPTIONS[status], "content": {MEDIA_TYPE: schema}}
        for status in statuses
    }


def response(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """Return the answer to a request that can't be fulfilled."""
    detail = encodable(sentence)  # it may quote what was sent
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return Response(problem.model_dump_json(), status, headers, MEDIA_TYPE)


def is_disk_full(error: OSError) -> bool:
    """Return whether an error means that there is no room, or no more for this user."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def install(app: FastAPI) -> None:
    """Make an application answer every error with a problem."""

    @app.exception_handler(ProblemError)
    async def on_problem(request: Request, error: ProblemError) -> Response:
        return response(error.status, error.sentence, error.headers)

    @app.exception_handler(ImpastoError)
    async def on_impasto_error(request: Request, error: ImpastoError) -> Response:
        status = 415 if isinstance(error, (ImageError, MissingExtraError)) else 422
        return response(status, without_folders(" ".join(str(error).split())))

    @app.exception_handler(HTTPException)
    async def on_http_exception(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        return response(error.status_code, _sentence(request, error), headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid_request(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        return response(422, f"{place}: {first['msg'].lower()}")

    @app.exception_handler(sqlite3.Error)
    async def on_database_error(request: Request, error: sqlite3.Error) -> Response:
        log.error("the database: %s", error)
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_CANTOPEN:  # of its temporary files
            return response(503, TOO_MANY_FILES, BRIEF_RETRY)
        if isinstance(error, sqlite3.OperationalError):
            full = code == sqlite3.SQLITE_FULL
            return response(507, FULL_DISK if full else "the database can't be written")
        return response(500, "the database is damaged")

    @app.exception_handler(FileNotFoundError)
    async def on_missing_file(request: Request, error: FileNotFoundError) -> Response:
        return response(404, "that has been deleted")

    @app.exception_handler(RecursionError)
    async def on_recursion(request: Request, error: RecursionError) -> Response:
        return response(422, "that JSON is nested too deeply")

    @app.exception_handler(OSError)
    async def on_os_error(request: Request, error: OSError) -> Response:
        log.error("%s", error)
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return response(503, TOO_MANY_FILES, BRIEF_RETRY)
        return response(507, FULL_DISK if is_disk_full(error) else reason(error))


def _sentence(request: Request, error: HTTPException) -> str:
    if error.status_code == 404:
        return f"there is nothing at {request.url.path}"
    if error.status_code == 405:
        return f"{request.method} isn't for {request.url.path}"
    return str(error.detail)
