"""The files that are written while a run lasts, besides its picture."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from impasto.base import files
from impasto.base.errors import OutputError
from impasto.cli.target import OutputTarget

if TYPE_CHECKING:
    from impasto.runs.history import History
    from impasto.runs.job import Job
    from impasto.runs.progress import Progress
    from impasto.runs.result import Result
    from impasto.runs.timelapse import Timelapse

STEP_DIGITS = 5


class RunFileWriter:
    """Writes a run's checkpoint, intermediate pictures, time-lapse film and record.

    A file that can't be written is reported once, and the run continues, because the picture is
    worth more.

    Attributes:
        failures: The kinds of files that are missing at the end.
    """

    def __init__(
        self,
        target: OutputTarget,
        job: Job,
        *,
        save_every: int | None = None,
        checkpoint: Path | None = None,
        checkpoint_every: float = 0,
        timelapse: Timelapse | None = None,
        record: Path | None = None,
    ) -> None:
        self.target, self.save_every = target, save_every
        self.checkpoint, self.checkpoint_every = checkpoint, checkpoint_every
        self.last_checkpoint_time = time.monotonic()
        self.timelapse, self.record = timelapse, record
        self.failures: set[str] = set()
        self.history: History | None = None
        if record is not None:
            from impasto.runs.history import History

            self.history = History()
        self.folder: Path | None = None
        self.suffix = ""
        if save_every is not None:
            path = target.path_for(job)
            if path is None:
                raise OutputError("--save-every needs a file to put its pictures beside, not -o -")
            self.folder = files.free_name(files.named(path, path.stem, "-steps"))
            self.suffix = path.suffix

    def add(self, progress: Progress) -> None:
        """Write whatever is due after a step."""
        if self.timelapse is not None and "film" not in self.failures:
            with self._reporting_errors("film"):
                self.timelapse.add(progress)
        if self.history is not None:
            self.history.add(progress)
        if self.folder is not None and self.save_every and progress.step % self.save_every == 0:
            with self._reporting_errors("pictures"):
                self._write_picture(progress, self.folder)
        if time.monotonic() - self.last_checkpoint_time >= self.checkpoint_every:
            self.write_checkpoint(progress)

    def _write_picture(self, progress: Progress, folder: Path) -> None:
        files.make_folder(folder)
        name = f"{progress.step:0{STEP_DIGITS}}{self.suffix}"
        self.target.write(progress.result(), folder / name, should_rescue=False)

    def write_checkpoint(self, progress: Progress) -> None:
        """Write the checkpoint, if one was asked for."""
        if self.checkpoint is not None:
            from impasto.runs import checkpoint

            with self._reporting_errors("checkpoint"):
                checkpoint.save(progress, self.checkpoint)
                self.failures.discard("checkpoint")  # only the newest checkpoint counts
            self.last_checkpoint_time = time.monotonic()

    @contextmanager
    def _reporting_errors(self, kind: str) -> Iterator[None]:
        """Report the first error in writing files of a kind, and continue."""
        try:
            yield
        except OutputError as error:
            if kind not in self.failures:
                click.echo(f"impasto: {error}", err=True)
            self.failures.add(kind)

    def write_record(self, result: Result, written: str) -> None:
        """Write the record of the run, if one was asked for.

        Args:
            result: The result of the run.
            written: Where its picture is.
        """
        if self.record is None or self.history is None:
            return
        from impasto.base import devices

        run = {
            **result.job.note(),
            "output": written,
            "width": result.width,
            "height": result.height,
            "steps": result.steps if result.losses else None,
            "seconds": round(result.seconds, 3),
            "peak_rss_mb": round(devices.peak_rss_mb(), 1),
            "machine": devices.machine(),
            "history": self.history.as_list(),
        }
        with self._reporting_errors("record"):
            files.write_atomically(self.record, json.dumps(run).encode())

    def finish(self, progress: Progress) -> None:
        """Write the last checkpoint, and the film."""
        self.write_checkpoint(progress)
        if self.timelapse is not None:
            with self._reporting_errors("film"):
                self.timelapse.close()
