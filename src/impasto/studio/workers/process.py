"""Worker processes as the server sees them."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from impasto.studio.workers.protocol import PaintingOrder, QueryAnswer, encode_message


class WorkerProcess:
    """A painting worker and the work that it was given."""

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number, self.process = number, process
        self.job_ids: list[str] = []
        """The jobs that it has been given and that haven't ended."""
        self.current_job_id: str | None = None
        """The job that it paints step by step. The others are quick."""
        self.reported_job_id: str | None = ""
        """The work that it last reported: the job of an order, "" for anything else than a job, or
        None for the next step of the current job.
        """
        self.queries: dict[int, asyncio.Future[QueryAnswer]] = {}
        """The queries that it hasn't answered, by their tickets."""
        self.device: str | None = None
        """The device that it computes on, or None while it starts."""

    @property
    def is_ready(self) -> bool:
        """Whether it takes orders."""
        return self.device is not None

    def send(self, order: PaintingOrder) -> None:
        """Send an order. The pool notices elsewhere if the process is ending."""
        assert self.process.stdin is not None
        with contextlib.suppress(ConnectionError, RuntimeError):
            self.process.stdin.write(encode_message(order))


def python_module(name: str) -> tuple[str, ...]:
    """Return the command that runs a module.

    With ``-P``, no file of the working directory can take the place of a module that it imports.
    Those on PYTHONPATH can.
    """
    return sys.executable, "-P", "-m", name


def describe_exit_code(code: int) -> str:
    """Return what an exit code means."""
    if code == -9:
        return "killed, probably for want of memory"
    return f"signal {-code}" if code < 0 else f"code {code}"
