"""The state that the endpoints of one server share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from fastapi import Request, Response
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException

from impasto.images.limits import Limits
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.models import JobRequest, JobResponse, PictureRequest
from impasto.studio.jobs.store import ACTIVE, JobRecord, Store
from impasto.studio.server import problems
from impasto.studio.server.broadcast import Broadcast
from impasto.studio.server.settings import Settings
from impasto.studio.workers.pool import WorkerPool

log = logging.getLogger("impasto.studio")

RETRY_S = 30
FormReader = Callable[[FormData, Path, Limits], JobRequest]
"""Keeps the files of a form in a folder, and returns the request."""
MIN_FREE_BYTES = 200e6
"""The least free space on the disk with which new pictures are accepted."""
MAINTENANCE_INTERVAL_S = 60
MAX_CONVERSIONS = 2
"""Pictures that are converted at the same time."""
UTF_8 = (b"utf-8", b"utf8")
"""Accepted character sets. With another one, Python's codecs can produce invalid Unicode."""
IMMUTABLE = {"Cache-Control": "private, max-age=31536000, immutable"}
NOT_CACHED = {"Cache-Control": "no-store"}
STREAM = {**NOT_CACHED, "X-Accel-Buffering": "no"}
"""Headers of an endless answer, which nginx would otherwise buffer."""


class Studio:
    """The jobs of a data folder, the workers that paint them, and the live sessions."""

    def __init__(self, settings: Settings, inherited: tuple[int, ...]) -> None:
        self.settings = settings
        self.store = Store(settings.data)
        self.pool = WorkerPool(self.store, settings.workers, inherited)
        self.conversions = asyncio.Semaphore(MAX_CONVERSIONS)
        self.live_sessions = 0
        self.broadcast = Broadcast()
        self.background: set[asyncio.Task[None]] = set()

    def job(self, job_id: str) -> JobRecord:
        """Return a job.

        Raises:
            ProblemError: There is none with that ID.
        """
        job = self.store.get(job_id)
        if job is None or job.state == "dropping":
            raise ProblemError(404, f"there is no job {job_id!r:.40}")
        return job

    def check_room(self) -> None:
        """Raise ProblemError if the queue or the disk is full."""
        self._check_queue(self.store.count(*ACTIVE))
        self._check_disk()

    def check_queries(self) -> None:
        """Raise ProblemError if too many queries are pending, or the disk is full."""
        self._check_queue(self.pool.pending_queries)
        self._check_disk()

    def _check_queue(self, waiting: int) -> None:
        if waiting >= self.settings.queue:
            raise ProblemError(
                429, "the queue is full; try again later", **{"Retry-After": str(RETRY_S)}
            )

    def _check_disk(self) -> None:
        if shutil.disk_usage(self.settings.data).free < MIN_FREE_BYTES:
            raise ProblemError(507, problems.FULL_DISK)

    async def form(self, request: Request) -> FormData:
        """Return the form of a request.

        FastAPI's own parsing of forms isn't used: it takes any character set, and it has no answer
        of its own when the folder for temporary files is full.

        Raises:
            ProblemError: There is no form, it has too many parts, or there is no room for it.
        """
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

    async def create_job(
        self, request: Request, response: Response, read: FormReader
    ) -> JobResponse:
        """Make a job of the request's form, which ``read`` reads.

        Raises:
            ProblemError: The queue is full, or the form isn't complete.
            ImageError: A picture can't be read.
            RecipeError: A setting makes no sense.
        """
        self.check_room()
        form = await self.form(request)
        with self.new_folder() as folder:
            job_request = await asyncio.to_thread(read, form, folder, self.settings.limits)
            return self.submit(folder, job_request, response)

    @contextlib.contextmanager
    def new_folder(self) -> Iterator[Path]:
        """Provide a folder for the files of a new job. An error in the context removes it."""
        folder = self.store.new_folder()
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def submit(self, folder: Path, request: JobRequest, response: Response) -> JobResponse:
        """Queue a job whose files are in ``folder``.

        Raises:
            ProblemError: The queue is full.
        """
        self.check_room()  # again: other jobs have come while this one was uploaded
        job = self.store.add(folder, request)
        try:
            self.pool.dispatch()
        except sqlite3.OperationalError:  # it is queued; ``maintain`` dispatches again
            log.exception("%s waits", job.id)
        if isinstance(request, PictureRequest) and not job.is_quick:
            task = asyncio.create_task(self._estimate(job, request))
            self.background.add(task)
            task.add_done_callback(self.background.discard)
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return self.pool.response(self.job(job.id))

    async def _estimate(self, job: JobRecord, request: PictureRequest) -> None:
        """Add the expected duration to a job."""
        content = request.content
        with contextlib.suppress(ProblemError):
            estimate = await self.pool.estimate(request.recipe, content.width, content.height)
            if (current := self.store.get(job.id)) is not None:
                current.progress.estimate = estimate.seconds
                self.store.save(current)

    async def maintain(self) -> None:
        """Delete old jobs, and recover those that a full disk left, again and again."""
        while True:
            try:
                self.pool.recover()
                self.store.prune(self.settings.keep_days, self.settings.keep_gigabytes)
            except Exception:
                log.exception("maintenance failed")
            await asyncio.sleep(MAINTENANCE_INTERVAL_S)


def studio_of(request: Request) -> Studio:
    """Return the studio that serves a request."""
    studio: Studio = request.app.state.studio
    return studio
