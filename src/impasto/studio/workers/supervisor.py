"""The supervisor of the painting workers, which starts them and restarts those that end."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Protocol

from impasto.studio.workers.process import WorkerProcess, python_module
from impasto.studio.workers.protocol import (
    PaintingEvent,
    ProtocolError,
    decode_painting_event,
    receive_frame,
)

log = logging.getLogger("impasto.studio")

SHUTDOWN_S = 8.0
"""Time for the workers to write checkpoints at shutdown, before they are killed."""
MAX_FRAME_BYTES = 1 << 20
"""Largest frame that a worker may send; a longer one is a protocol error."""
QUICK_EXIT_S = 5.0
"""A worker that ends within this time is restarted with a backoff."""
MAX_RESTART_DELAY_S = 30
"""Upper limit of the backoff."""


class WorkerOwner(Protocol):
    """The owner of the workers, which assigns work to them."""

    workers: list[WorkerProcess]
    """The running workers. The supervisor updates the list."""
    is_closing: bool
    """Whether the server shuts down, so that workers aren't restarted."""

    def handle_event(self, worker: WorkerProcess, event: PaintingEvent) -> None:
        """Handle an event of a worker."""
        ...

    def on_worker_exit(self, worker: WorkerProcess, code: int) -> None:
        """Recover the work of a worker that ended unexpectedly."""
        ...


class Supervisor:
    """The supervisor, which keeps a number of workers running.

    Args:
        owner: The owner of the workers.
        count: The number of workers.
        inherited: File descriptors that the workers keep open.
    """

    def __init__(self, owner: WorkerOwner, count: int, inherited: tuple[int, ...]) -> None:
        self.owner, self.count, self.inherited = owner, count, inherited
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the workers."""
        self.tasks = [asyncio.create_task(self._supervise(n)) for n in range(self.count)]

    async def close(self) -> None:
        """Let the workers write checkpoints, and end them."""
        for worker in self.owner.workers:
            assert worker.process.stdin is not None
            worker.process.stdin.close()
        if self.tasks:
            _, late = await asyncio.wait(self.tasks, timeout=SHUTDOWN_S)
            for worker in self.owner.workers if late else []:
                worker.process.kill()

    async def _supervise(self, number: int) -> None:
        """Run a worker, and restart it whenever it ends, until the server shuts down."""
        quick_exits = 0
        while not self.owner.is_closing:
            started = time.monotonic()
            try:
                await self._run_worker(number)
            except Exception:  # the disk may be full: the pool recovers the jobs later
                log.exception("worker %d was lost", number)
            quick_exits = quick_exits + 1 if time.monotonic() - started < QUICK_EXIT_S else 0
            if not self.owner.is_closing:
                await asyncio.sleep(min(MAX_RESTART_DELAY_S, 2**quick_exits - 1))

    async def _run_worker(self, number: int) -> None:
        """Start a worker, pass its events to the owner until it ends, and report its end."""
        process = await asyncio.create_subprocess_exec(
            *python_module("impasto.studio.workers.painting_worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={
                **os.environ,
                "IMPASTO_STUDIO_WORKER": str(number),
                "IMPASTO_STUDIO_WORKERS": str(self.count),
            },
            start_new_session=True,
            pass_fds=self.inherited,
        )
        worker = WorkerProcess(number, process)
        self.owner.workers.append(worker)
        try:
            await self._read_events(worker)
        finally:
            code = await process.wait()
            self.owner.workers.remove(worker)
            if not self.owner.is_closing:
                log.error("worker %d ended with code %s; another one is started", number, code)
                self.owner.on_worker_exit(worker, code)

    async def _read_events(self, worker: WorkerProcess) -> None:
        """Pass a worker's events to the owner until it ends. Kill it after a protocol error."""
        output = worker.process.stdout
        assert output is not None
        try:
            while (frame := await receive_frame(output, MAX_FRAME_BYTES)) is not None:
                try:
                    self.owner.handle_event(worker, decode_painting_event(frame))
                except Exception:  # the disk may be full: the outcome is in the job's folder too
                    log.exception("an event of worker %d was lost", worker.number)
        except ProtocolError:
            log.exception("worker %d sends no messages", worker.number)
            worker.process.kill()
