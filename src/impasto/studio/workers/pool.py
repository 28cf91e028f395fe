"""The pool of painting workers: it assigns jobs to them, and recovers the jobs of one that dies."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sqlite3
import time
from pathlib import Path

from pydantic import ValidationError

from impasto.studio.jobs.errors import BRIEF_RETRY, ProblemError
from impasto.studio.jobs.models import (
    EstimateResponse,
    JobResponse,
    PictureRequest,
    QueuedProgress,
    StoredRecipe,
)
from impasto.studio.jobs.store import EventData, EventKind, JobRecord, Store
from impasto.studio.jobs.text import without_folders, without_paths
from impasto.studio.workers.process import WorkerProcess, describe_exit_code
from impasto.studio.workers.protocol import (
    DropOrder,
    EstimateAnswer,
    EstimateQuery,
    JobAdvanced,
    JobDropped,
    JobEnded,
    PaintingEvent,
    Query,
    QueryAnswer,
    QueryFailed,
    RunOrder,
    StopOrder,
    StylizeAnswer,
    StylizeQuery,
    WorkerActivity,
    WorkerReady,
)
from impasto.studio.workers.subscriptions import Subscriptions
from impasto.studio.workers.supervisor import Supervisor

log = logging.getLogger("impasto.studio")

MAX_CRASHES = 2
"""A job fails when its worker dies so many times in a row without any progress of the job."""
WORKER_POLL_S = 0.05
STATUS_OF_CAUSE = {"settings": 422, "image": 415, "internal": 500}
"""The HTTP status of a query that can't be answered."""


class WorkerPool:
    """Starts workers, assigns the store's jobs to them, and records what they report."""

    def __init__(self, store: Store, count: int, inherited: tuple[int, ...] = ()) -> None:
        """Prepare a pool.

        Args:
            store: The jobs.
            count: The number of workers.
            inherited: File descriptors that the workers keep open.
        """
        self.store, self.count = store, count
        self.workers: list[WorkerProcess] = []
        self.subscriptions = Subscriptions(store)
        self.supervisor = Supervisor(self, count, inherited)
        self.tickets = itertools.count()
        self.is_closing = False
        self.crashes = 0
        self.pending_queries = 0

    async def start(self) -> None:
        """Recover the jobs of an earlier server, and start the workers."""
        try:
            for job in self.store.every("running", "dropping"):
                self._recover_job(job)
            self.store.remove_orphans()
        except (sqlite3.Error, OSError):  # the disk may be full: ``recover`` tries again
            log.exception("the jobs of an earlier server wait")
        self.supervisor.start()

    async def close(self) -> None:
        """Let the workers write checkpoints, and end them."""
        self.is_closing = True
        await self.supervisor.close()
        self.subscriptions.close()

    # Orders

    def dispatch(self) -> None:
        """Assign queued jobs to workers, and announce the new positions in the queue.

        Any worker takes a quick job. Another job needs a worker that paints nothing else.
        """
        for job in self.queued():
            available = [worker for worker in self.workers if worker.is_ready]
            if not job.is_quick:
                available = [worker for worker in available if worker.current_job_id is None]
            if available:
                self._assign(min(available, key=lambda worker: len(worker.job_ids)), job)
        for position, job in enumerate(self.queued()):
            if job.progress.position != position:
                job.progress.position = position
                self._save(job, "queued", QueuedProgress(position=position, eta=self.eta(job)))

    def stop(self, job: JobRecord) -> None:
        """Stop a running job after its current step, and keep the picture."""
        for worker in self.workers:
            if worker.current_job_id == job.id:
                # Saved, because the worker may die before it reads the order.
                job.progress.is_stop_requested = True
                self._save(job)
                worker.send(StopOrder(job=job.id))

    def drop(self, job: JobRecord) -> None:
        """Delete a job as soon as no worker has it."""
        worker = next((worker for worker in self.workers if job.id in worker.job_ids), None)
        if worker is None:
            self.store.remove(job)
        else:
            job.state = "dropping"
            self._save(job)
            worker.send(DropOrder(job=job.id))
        self.subscriptions.notify(job.id)
        self.dispatch()

    async def stylize(self, folder: Path, request: PictureRequest) -> Path:
        """Make a picture of a quick method at once, and return its file in ``folder``.

        Raises:
            ProblemError: It can't be made.
        """
        query = StylizeQuery(ticket=next(self.tickets), folder=str(folder), request=request)
        answer = await self._ask(query)
        if isinstance(answer, QueryFailed):
            sentence = without_paths(answer.error, folder, request.file_names)
            raise ProblemError(STATUS_OF_CAUSE[answer.cause], sentence)
        assert isinstance(answer, StylizeAnswer)
        return folder / answer.file

    async def estimate(self, recipe: StoredRecipe, width: int, height: int) -> EstimateResponse:
        """Estimate what a picture of a photo of that size takes.

        Raises:
            ProblemError: The recipe can't be used on this machine.
        """
        query = EstimateQuery(ticket=next(self.tickets), recipe=recipe, width=width, height=height)
        answer = await self._ask(query)
        if isinstance(answer, QueryFailed):
            raise ProblemError(STATUS_OF_CAUSE[answer.cause], without_folders(answer.error))
        assert isinstance(answer, EstimateAnswer)
        return answer.estimate

    async def _ask(self, query: Query) -> QueryAnswer:
        """Send a query to the worker with the fewest, and return the answer."""
        self.pending_queries += 1
        try:
            worker = await self._worker_for_query()
            future: asyncio.Future[QueryAnswer] = asyncio.get_running_loop().create_future()
            worker.queries[query.ticket] = future
            worker.send(query)
            return await future
        finally:
            self.pending_queries -= 1

    async def _worker_for_query(self) -> WorkerProcess:
        while not (ready := [worker for worker in self.workers if worker.is_ready]):
            if self.is_closing:
                raise ProblemError(503, "the studio is shutting down", **BRIEF_RETRY)
            await asyncio.sleep(WORKER_POLL_S)
        return min(ready, key=lambda w: (len(w.queries), w.current_job_id is not None))

    def recover(self) -> None:
        """Recover jobs that no worker has, whose end couldn't be written to a full disk."""
        assigned = {job_id for worker in self.workers for job_id in worker.job_ids}
        for job in self.store.every("running", "dropping"):
            if job.id not in assigned:
                self._recover_job(job)
        self.dispatch()

    # State

    def queued(self) -> list[JobRecord]:
        """Return the queue in the order of execution: quick jobs come first."""
        return sorted(self.store.every("queued"), key=lambda job: not job.is_quick)

    def position(self, job: JobRecord) -> int | None:
        """Return how many jobs are before it, or None if it has ended."""
        if job.state != "queued":
            return 0 if job.state == "running" else None
        return [other.id for other in self.queued()].index(job.id)

    def eta(self, job: JobRecord) -> float | None:
        """Return the seconds until the job is done, or None if they aren't known."""
        if job.state == "running":
            return job.progress.eta
        if job.state != "queued":
            return None
        total = sum(other.progress.eta or 0.0 for other in self.store.every("running"))
        before = itertools.takewhile(lambda other: other.id != job.id, self.queued())
        for other in (*before, job):
            if other.progress.estimate is None:
                return None
            total += other.progress.estimate
        return round(total / self.count, 1)

    def response(self, job: JobRecord) -> JobResponse:
        """Return a job as the API shows it."""
        return job.response(self.position(job), self.eta(job))

    # Events of workers

    def handle_event(self, worker: WorkerProcess, event: PaintingEvent) -> None:
        """Record what a worker reports, and assign the work that has become possible."""
        match event:
            case WorkerActivity():
                worker.reported_job_id = event.job
                return
            case WorkerReady():
                worker.device = event.device
                log.info("worker %d computes on %s (%s)", worker.number, event.device, event.reason)
            case StylizeAnswer() | EstimateAnswer() | QueryFailed():
                future = worker.queries.pop(event.ticket, None)
                if future is not None and not future.done():
                    future.set_result(event)
            case JobAdvanced() | JobEnded() | JobDropped():
                job = self.store.get(event.job)
                if job is not None:
                    self._handle_job_event(worker, job, event)
        self.dispatch()

    def _handle_job_event(
        self, worker: WorkerProcess, job: JobRecord, event: JobAdvanced | JobEnded | JobDropped
    ) -> None:
        if isinstance(event, JobAdvanced):
            if job.state == "running":
                job.progress.update(event.progress)
                if job.progress.step > job.crashed_at:
                    job.crashes = 0
                self._save(job, "progress", event.progress)
            return
        worker.job_ids.remove(job.id)
        if worker.current_job_id == job.id:
            worker.current_job_id = None
        if isinstance(event, JobDropped):
            self._remove(job)
        else:
            self._record_end(job, event)

    def _assign(self, worker: WorkerProcess, job: JobRecord) -> None:
        job.state = "running"
        job.started = job.started or time.time()
        job.progress.position = None
        self._save(job)
        worker.job_ids.append(job.id)
        if not job.is_quick:
            worker.current_job_id = job.id
        log.info("%s: %s begins", job.id, job.request.name)
        worker.send(
            RunOrder(
                job=job.id,
                folder=str(self.store.folder_of(job)),
                request=job.request,
                previews=job.progress.preview,
            )
        )
        if job.progress.is_stop_requested:
            worker.send(StopOrder(job=job.id))

    def _record_end(self, job: JobRecord, end: JobEnded) -> None:
        """Write the outcome of a job."""
        if job.state == "dropping":
            self._remove(job)
            return
        folder, names = self.store.folder_of(job), job.request.file_names
        job.state = end.ended
        job.error = None if end.error is None else without_paths(end.error, folder, names)
        job.finished = time.time()
        progress = job.progress
        if end.progress is not None:
            progress.update(end.progress)
        progress.notes = [without_paths(note, folder, names) for note in progress.notes]
        log.info("%s: %s after %.1f s %s", job.id, job.state, progress.seconds, job.error or "")
        progress.eta = None
        progress.preview += 1
        self._save(job, end.ended, job.response(None, None))

    def on_worker_exit(self, worker: WorkerProcess, code: int) -> None:
        """Requeue the jobs of a worker that died.

        The job that it handled counts a crash, and fails after ``MAX_CRASHES`` of them.
        """
        self.crashes += 1
        if worker.reported_job_id is None:
            crashed_job_id = worker.current_job_id
        else:
            crashed_job_id = worker.reported_job_id
        cause = describe_exit_code(code)
        for ticket, future in worker.queries.items():
            if not future.done():
                error = f"the worker process ended ({cause})"
                future.set_result(QueryFailed(ticket=ticket, error=error, cause="internal"))
        for job_id in worker.job_ids:
            job = self.store.get(job_id)
            if job is None:
                continue
            if job_id == crashed_job_id:
                job.crashes += 1
                job.crashed_at = max(job.crashed_at, job.progress.step)
            self._recover_job(job)
            if job.state == "queued" and job.crashes >= MAX_CRASHES:
                error = (
                    f"the worker process ended twice while painting this ({cause});"
                    " a smaller size may do"
                )
                self._record_end(job, JobEnded(job=job_id, ended="failed", error=error))
        self.dispatch()

    def _recover_job(self, job: JobRecord) -> None:
        """Record the end of a job that no worker has, if it had ended. Requeue it otherwise."""
        if job.state == "dropping":
            self.store.remove(job)
        elif (end := self._written_end(job)) is not None:
            self._record_end(job, end)
        else:
            job.state = "queued"
            self._save(job)

    def _written_end(self, job: JobRecord) -> JobEnded | None:
        """Return the end of a job as its worker wrote it, or None if it hasn't ended."""
        path = self.store.folder_of(job) / "ended.json"
        if not path.exists():
            return None
        try:
            return JobEnded.model_validate_json(path.read_bytes())
        except ValidationError:
            log.exception("%s is painted again: its end can't be read", job.id)
            return None

    def _remove(self, job: JobRecord) -> None:
        self.store.remove(job)
        self.subscriptions.notify(job.id)

    def _save(
        self, job: JobRecord, kind: EventKind | None = None, data: EventData | None = None
    ) -> None:
        self.store.save(job, kind, data)
        self.subscriptions.notify(job.id)
