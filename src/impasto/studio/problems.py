"""Errors as ``application/problem+json`` (RFC 9457), with the sentences of the command line."""

from __future__ import annotations

import errno
import logging
import sqlite3
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from impasto.base.errors import ImageError, ImpastoError, MissingExtraError, reason
from impasto.studio.text import encodable, without_folders

log = logging.getLogger("impasto.studio")

MEDIA_TYPE = "application/problem+json"
FULL_DISK = "the disk is full; delete some pictures"
TOO_MANY_FILES = "too many files are open; try again later"
BRIEF_RETRY = {"Retry-After": "10"}
"""Header of an error that passes by itself soon."""


class ProblemError(Exception):
    """An error with its status and its sentence."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers


def response(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """A problem as an answer."""
    title = HTTPStatus(status).phrase
    detail = encodable(sentence)  # it may quote what was sent
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def is_disk_full(error: OSError) -> bool:
    """Return whether an error means that there is no room, or no more for this user."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def install(app: FastAPI) -> None:
    """Answer every error with a problem."""

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
