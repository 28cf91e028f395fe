"""The workers: who does what, and what becomes of it when one of them dies."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import sqlite3
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from impasto.studio.jobs.errors import BRIEF_RETRY, ProblemError
from impasto.studio.jobs.store import FINISHED, Job, Store
from impasto.studio.jobs.text import without_folders, without_paths

log = logging.getLogger("impasto.studio")

MOST_CRASHES = 2
"""A job whose worker dies so often without getting further is given up."""
SHUTDOWN_S = 8
LINE_BYTES = 1 << 20
UNPROCESSABLE = ("RecipeError", "DeviceError", "DivergenceError", "WeightsError", "CheckpointError")

Message = dict[str, Any]


class Worker:
    """A process and what it has been given: one long job at most, and instant ones."""

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number, self.process = number, process
        self.jobs: list[str] = []
        self.long: str | None = None
        self.at: str | None = ""
        """What it is busy with, by its own account: a job, or something else (""); None: ``long``.
        """
        self.tickets: dict[int, asyncio.Future[Message]] = {}
        self.device: str | None = None

    def send(self, message: Message) -> None:
        """Give it an order. If it is dying, that will be noticed elsewhere."""
        assert self.process.stdin is not None
        with contextlib.suppress(ConnectionError, RuntimeError):
            self.process.stdin.write(json.dumps(message).encode() + b"\n")


class Crew:
    """Starts workers, gives them the store's jobs, writes down what they say, and tells who
    listens.
    """

    def __init__(self, store: Store, count: int, inherited: tuple[int, ...] = ()) -> None:
        self.store, self.count, self.inherited = store, count, inherited
        self.workers: list[Worker] = []
        self.listeners: dict[str, set[asyncio.Event]] = defaultdict(set)
        self.tasks: list[asyncio.Task[None]] = []
        self.numbers = itertools.count()
        self.closing = False
        self.crashes = 0
        self.asked = 0
        """How many wait for an answer at once."""

    async def start(self) -> None:
        """Take up what was left, and start the workers."""
        try:
            for job in self.store.every("running", "dropping"):
                self._take_up(job)
            self.store.tidy()
        except (sqlite3.Error, OSError):  # the disk may be full: ``settle`` tries again
            log.exception("the jobs of an earlier server wait")
        self.tasks = [asyncio.create_task(self._keep_running(n)) for n in range(self.count)]

    async def close(self) -> None:
        """Let the workers keep what they have, and end."""
        self.closing = True
        for worker in self.workers:
            assert worker.process.stdin is not None
            worker.process.stdin.close()
        if self.tasks:
            _, late = await asyncio.wait(self.tasks, timeout=SHUTDOWN_S)
            for worker in self.workers if late else []:
                worker.process.kill()
        for events in self.listeners.values():
            for event in events:
                event.set()

    # Orders

    def pump(self) -> None:
        """Give work to who can take it: instant jobs to anyone, long ones to who has none."""
        for job in self.queued():
            able = [w for w in self.workers if w.device is not None]
            if not job.instant:
                able = [worker for worker in able if worker.long is None]
            if able:
                self._give(min(able, key=lambda worker: len(worker.jobs)), job)
        for position, job in enumerate(self.queued()):
            if job.progress.get("position") != position:
                job.progress["position"] = position
                data = {"position": position, "eta": self.eta(job)}
                self._save(job, "queued", data)

    def stop(self, job: Job) -> None:
        """Ask for what there is of a running job."""
        for worker in self.workers:
            if worker.long == job.id:
                job.progress["stop"] = True  # whoever goes on with it must know
                self._save(job)
                worker.send({"do": "stop", "job": job.id})

    def drop(self, job: Job) -> None:
        """Forget a job, as soon as nobody works on it."""
        worker = next((worker for worker in self.workers if job.id in worker.jobs), None)
        if worker is None:
            self.store.remove(job)
        else:
            job.state = "dropping"
            self._save(job)
            worker.send({"do": "drop", "job": job.id})
        self._tell(job.id)
        self.pump()

    async def ask(self, message: Message) -> Message:
        """Have something done at once. Raises ProblemError."""
        self.asked += 1
        try:
            return await self._answer(message)
        finally:
            self.asked -= 1

    async def _answer(self, message: Message) -> Message:
        able = [worker for worker in self.workers if worker.device is not None]
        while not able:
            if self.closing:
                raise ProblemError(503, "the studio is shutting down", **BRIEF_RETRY)
            await asyncio.sleep(0.05)
            able = [worker for worker in self.workers if worker.device is not None]
        worker = min(able, key=lambda worker: (len(worker.tickets), worker.long is not None))
        ticket = next(self.numbers)
        future = worker.tickets[ticket] = asyncio.get_running_loop().create_future()
        worker.send({**message, "ticket": ticket})
        answer = await future
        if "error" in answer:
            kind = answer.get("kind")
            status = 422 if kind in UNPROCESSABLE else 415 if kind == "ImageError" else 500
            raise ProblemError(status, _public(answer["error"], message))
        found: Message = answer["answer"]
        return found

    def settle(self) -> None:
        """See to what could not be written down when it happened, for the disk was full."""
        held = {id for worker in self.workers for id in worker.jobs}
        for job in self.store.every("running", "dropping"):
            if job.id not in held:
                self._take_up(job)
        self.pump()

    # What is known

    def queued(self) -> list[Job]:
        """In the order they will be taken: instant jobs overtake."""
        return sorted(self.store.every("queued"), key=lambda job: not job.instant)

    def position(self, job: Job) -> int | None:
        """How many are before it; None if it isn't waiting."""
        if job.state != "queued":
            return 0 if job.state == "running" else None
        return [other.id for other in self.queued()].index(job.id)

    def eta(self, job: Job) -> float | None:
        """Seconds until it is done, as far as anyone knows."""
        if job.state == "running":
            return job.progress.get("eta")
        if job.state != "queued":
            return None
        running = [other.progress.get("eta") or 0.0 for other in self.store.every("running")]
        before = itertools.takewhile(lambda other: other.id != job.id, self.queued())
        total = sum(running)
        for other in (*before, job):
            if "estimate" not in other.progress:
                return None
            total += other.progress["estimate"]
        return round(total / self.count, 1)

    def as_dict(self, job: Job) -> Message:
        return job.as_dict(self.position(job), self.eta(job))

    async def events(self, job_id: str, after: int) -> AsyncIterator[tuple[int, str, str] | None]:
        """Events of a job from after number ``after`` on, to its end; None now and then, so that
        who has left is noticed.
        """
        changed = asyncio.Event()
        self.listeners[job_id].add(changed)
        try:
            while not self.closing:
                changed.clear()
                for number, kind, data in self.store.events(job_id, after):
                    after = number
                    yield number, kind, data
                    if kind in FINISHED:
                        return
                job = self.store.get(job_id)
                if job is None or not job.is_active:
                    return
                try:
                    async with asyncio.timeout(15):
                        await changed.wait()
                except TimeoutError:
                    yield None
        finally:
            self.listeners[job_id].discard(changed)

    # News

    async def _keep_running(self, number: int) -> None:
        """Have a worker of that number, always: whatever goes wrong, another one is started."""
        quick_deaths = 0
        while not self.closing:
            started = time.monotonic()
            try:
                await self._employ(number)
            except Exception:  # the disk may be full: ``settle`` sees to the jobs later
                log.exception("worker %d was lost", number)
            quick_deaths = quick_deaths + 1 if time.monotonic() - started < 5 else 0
            if not self.closing:
                await asyncio.sleep(min(30, 2**quick_deaths - 1))

    async def _employ(self, number: int) -> None:
        """Start a worker, hear it out, and see to what it left."""
        process = await asyncio.create_subprocess_exec(
            *python_module("impasto.studio.workers.painting_worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={
                **os.environ,
                "IMPASTO_STUDIO_WORKER": str(number),
                "IMPASTO_STUDIO_WORKERS": str(self.count),
            },
            limit=LINE_BYTES,
            start_new_session=True,
            pass_fds=self.inherited,
        )
        worker = Worker(number, process)
        self.workers.append(worker)
        try:
            await self._listen(worker)
        finally:
            code = await process.wait()
            self.workers.remove(worker)
            if not self.closing:
                log.error("worker %d ended with code %s; another one is started", number, code)
                self._mourn(worker, code)

    async def _listen(self, worker: Worker) -> None:
        """Hear what a worker says, until it ends or can't be understood any more."""
        assert worker.process.stdout is not None
        try:
            async for line in worker.process.stdout:
                try:
                    self._hear(worker, json.loads(line))
                except Exception:  # the disk may be full: what was heard is in the job's folder too
                    log.exception("news of worker %d were lost", worker.number)
        except ValueError:  # a line beyond LINE_BYTES
            log.exception("worker %d isn't understood", worker.number)
            worker.process.kill()

    def _hear(self, worker: Worker, news: Message) -> None:
        if "ready" in news:
            worker.device = news["ready"]
            log.info("worker %d computes on %s (%s)", worker.number, news["ready"], news["why"])
        elif "at" in news:
            worker.at = news["at"]
            return
        elif "ticket" in news:
            future = worker.tickets.pop(news["ticket"], None)
            if future is not None and not future.done():
                future.set_result(news)
        elif (job := self.store.get(news["job"])) is not None:
            if "ended" in news:
                worker.jobs.remove(job.id)
                worker.long = None if worker.long == job.id else worker.long
                self._end(job, news)
            elif job.state == "running":
                job.progress |= news["progress"]
                if job.progress["step"] > job.crashed_at:
                    job.crashes = 0
                self._save(job, "progress", news["progress"])
        self.pump()

    def _give(self, worker: Worker, job: Job) -> None:
        job.state = "running"
        job.started = job.started or time.time()
        job.progress.pop("position", None)
        self._save(job)
        worker.jobs.append(job.id)
        if not job.instant:
            worker.long = job.id
        log.info("%s: %s begins", job.id, job.request["name"])
        folder = str(self.store.folder_of(job))
        request = {**job.request, "previews": job.progress.get("preview", 0)}
        worker.send({"do": "run", "job": job.id, "folder": folder, "request": request})
        if job.progress.get("stop"):
            worker.send({"do": "stop", "job": job.id})

    def _end(self, job: Job, news: Message) -> None:
        """Write down what became of a job."""
        if job.state == "dropping" or news["ended"] == "dropped":
            self.store.remove(job)
            self._tell(job.id)
            return
        folder = self.store.folder_of(job)
        error = news.get("error")
        job.state = news["ended"]
        job.error = None if error is None else without_paths(error, folder, job.request)
        job.finished = time.time()
        job.progress |= news.get("progress", {})
        if "notes" in job.progress:
            notes = job.progress["notes"]
            job.progress["notes"] = [without_paths(note, folder, job.request) for note in notes]
        seconds = job.progress.get("seconds", 0)
        log.info("%s: %s after %.1f s %s", job.id, job.state, seconds, job.error or "")
        job.progress["eta"] = None
        job.progress["preview"] = job.progress.get("preview", 0) + 1
        self._save(job, job.state, job.as_dict(None, None))

    def _mourn(self, worker: Worker, code: int) -> None:
        """A worker died: its jobs are tried again; what it was busy with may have failed."""
        self.crashes += 1
        culprit = worker.long if worker.at is None else worker.at
        for future in worker.tickets.values():
            if not future.done():
                future.set_result({"error": f"the worker process ended ({_cause(code)})"})
        for id in worker.jobs:
            job = self.store.get(id)
            if job is None:
                continue
            if id == culprit:
                job.crashes += 1
                job.crashed_at = max(job.crashed_at, job.progress.get("step", 0))
            self._take_up(job)
            if job.state == "queued" and job.crashes >= MOST_CRASHES:
                sentence = (
                    f"the worker process ended twice while painting this ({_cause(code)});"
                    " a smaller size may do"
                )
                self._end(job, {"ended": "failed", "error": sentence})
        self.pump()

    def _take_up(self, job: Job) -> None:
        """Settle a job whose worker is gone: it had ended, or is to be gone on with."""
        ended = self.store.folder_of(job) / "ended.json"
        if job.state == "dropping":
            self.store.remove(job)
        elif ended.exists():
            self._end(job, json.loads(ended.read_bytes()))
        else:
            job.state = "queued"
            self._save(job)

    def _save(self, job: Job, event: str | None = None, data: Message | None = None) -> None:
        self.store.save(job, event, data)
        self._tell(job.id)

    def _tell(self, id: str) -> None:
        for event in self.listeners.get(id, ()):
            event.set()


def _public(error: str, message: Message) -> str:
    """Return an error about a message's files without their paths."""
    if "folder" not in message:
        return without_folders(error)
    return without_paths(error, Path(message["folder"]), message["request"])


def python_module(name: str) -> tuple[str, ...]:
    """Return the command that runs a module. No file of the working directory can take the place
    of a module that it imports (``-P``); those on PYTHONPATH can.
    """
    return sys.executable, "-P", "-m", name


def _cause(code: int) -> str:
    """What an exit code means."""
    if code == -9:
        return "killed, probably for want of memory"
    return f"signal {-code}" if code < 0 else f"code {code}"
