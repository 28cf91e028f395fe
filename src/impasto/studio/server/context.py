"""What the endpoints share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException

from impasto.images.limits import Limits
from impasto.studio.jobs import uploads
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.store import ACTIVE, Job, Store
from impasto.studio.server import problems
from impasto.studio.server.broadcast import Broadcast
from impasto.studio.server.settings import Settings
from impasto.studio.workers.pool import Crew

log = logging.getLogger("impasto.studio")

RETRY_S = 30
Reader = Callable[[FormData, Path, Limits], uploads.Request]
"""Keeps a form's files in a folder, and says what is asked for."""
FREE_BYTES = 200e6
"""Less than that on the disk, and no new picture is begun."""
TIDY_EVERY_S = 60
CONVERSIONS = 2
"""Pictures converted at once."""
UTF_8 = (b"utf-8", b"utf8")
"""Accepted character sets. With another one, Python's codecs can produce invalid Unicode."""
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
FRESH = {"Cache-Control": "no-store"}
STREAM = {**FRESH, "X-Accel-Buffering": "no"}
"""Headers of an endless answer, which nginx would otherwise buffer."""


class Studio:
    """A data folder's store and its crew."""

    def __init__(self, settings: Settings, inherited: tuple[int, ...]) -> None:
        self.settings = settings
        self.store = Store(settings.data)
        self.crew = Crew(self.store, settings.workers, inherited)
        self.converting = asyncio.Semaphore(CONVERSIONS)
        self.live = 0
        """How many live sessions there are."""
        self.broadcast = Broadcast()
        self.background: set[asyncio.Task[None]] = set()

    def job(self, id: str) -> Job:
        job = self.store.get(id)
        if job is None or job.state == "dropping":
            raise ProblemError(404, f"there is no job {id!r:.40}")
        return job

    def check_room(self) -> None:
        """Raises ProblemError: the queue or the disk is full."""
        self._check_queue(self.store.count(*ACTIVE))
        self._check_disk()

    def check_hands(self) -> None:
        """Raises ProblemError: too many wait for an answer at once, or the disk is full."""
        self._check_queue(self.crew.asked)
        self._check_disk()

    def _check_queue(self, waiting: int) -> None:
        if waiting >= self.settings.queue:
            raise ProblemError(
                429, "the queue is full; try again later", **{"Retry-After": str(RETRY_S)}
            )

    def _check_disk(self) -> None:
        if shutil.disk_usage(self.settings.data).free < FREE_BYTES:
            raise ProblemError(507, problems.FULL_DISK)

    async def form(self, request: Request) -> FormData:
        """The request's form. Raises ProblemError."""
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data":
            raise ProblemError(415, "that should be a form (multipart/form-data)")
        if options.get(b"charset", b"utf-8").lower() not in UTF_8:
            raise ProblemError(415, "the text of a form should be UTF-8")
        try:
            return await request.form(max_files=8, max_fields=8, max_part_size=1 << 20)
        except MultiPartException as error:
            raise ProblemError(400, f"that isn't a form: {error.message.lower()}") from None
        except OSError as error:  # its files are kept in the temporary folder as they come
            if not problems.is_disk_full(error):
                raise
            folder = tempfile.gettempdir()
            raise ProblemError(
                507, f"the folder for temporary files, {folder}, is full; make room there"
            ) from None

    async def take(self, request: Request, response: Response, read: Reader) -> dict[str, Any]:
        """Make a job of the request's form, as ``read`` reads it. Raises ProblemError, ImageError,
        RecipeError.
        """
        self.check_room()
        form = await self.form(request)
        with self.new_folder() as folder:
            wanted = await asyncio.to_thread(read, form, folder, self.settings.limits)
            return self.submit(folder, wanted, response)

    @contextlib.contextmanager
    def new_folder(self) -> Iterator[Path]:
        """For the files of a job that isn't one yet; if it doesn't become one, they are removed."""
        folder = self.store.new_folder()
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def submit(self, folder: Path, wanted: uploads.Request, response: Response) -> dict[str, Any]:
        """Queue a job whose files are in ``folder``. Raises ProblemError: no room any more."""
        self.check_room()  # others have come while this one was uploaded
        job = self.store.add(folder, wanted)
        try:
            self.crew.pump()
        except sqlite3.OperationalError:  # it is queued; ``keep_tidy`` will pump again
            log.exception("%s waits", job.id)
        if not job.instant and not job.is_film:
            task = asyncio.create_task(self._estimate(job))
            self.background.add(task)
            task.add_done_callback(self.background.discard)
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return self.crew.as_dict(self.job(job.id))

    async def _estimate(self, job: Job) -> None:
        content = job.request["content"]
        question = {key: content[key] for key in ("width", "height")}
        with contextlib.suppress(ProblemError):
            answer = await self.crew.ask(
                {"do": "estimate", "recipe": job.request["recipe"], **question}
            )
            if (current := self.store.get(job.id)) is not None:
                current.progress["estimate"] = answer["seconds"]
                self.store.save(current)

    async def keep_tidy(self) -> None:
        """Forget old jobs, and settle what a full disk left, now and then."""
        while True:
            try:
                self.crew.settle()
                self.store.prune(self.settings.keep_days, self.settings.keep_gigabytes)
            except Exception:
                log.exception("tidying up failed")
            await asyncio.sleep(TIDY_EVERY_S)


def studio_of(request: Request) -> Studio:
    """The one that serves a request."""
    studio: Studio = request.app.state.studio
    return studio
