"""Draining a run from the command line: shown, kept, and stopped without losing the picture."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from impasto.base import files
from impasto.base.errors import OutputError
from impasto.cli.target import Target

if TYPE_CHECKING:
    from impasto.runs.history import History
    from impasto.runs.job import Job
    from impasto.runs.progress import Progress
    from impasto.runs.result import Result
    from impasto.runs.timelapse import Timelapse

STEP_DIGITS = 5


class Stop:
    """What Ctrl-C, SIGTERM and SIGHUP do: before the first step they end the program; later they
    ask for a stop after the step in hand, and the second one insists. While the picture is being
    written they wait.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self.running = False
        self.writing = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        again = self.signal_number != 0
        self.signal_number = number
        if (again or not self.running) and not self.writing:
            self.writing = again  # what follows the second one is writing the picture
            raise KeyboardInterrupt

    def start(self) -> None:
        """From now on there is a picture to keep. Some imports swallow a KeyboardInterrupt: if one
        came, it counts now.
        """
        if self.signal_number:
            raise KeyboardInterrupt
        self.running = True

    @property
    def exit_code(self) -> int:
        return 128 + self.signal_number


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Handle SIGINT, SIGTERM and SIGHUP with a Stop."""
    stop = Stop()
    before = {number: signal.signal(number, stop) for number in _signals()}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            # Once stopped, what is left is to end: a further Ctrl-C must not spoil the exit code.
            signal.signal(number, signal.SIG_IGN if stop.signal_number else handler)


def _signals() -> list[signal.Signals]:
    """Return the signals that stop a run: not SIGHUP where it is ignored, as nohup has it."""
    stopping = [signal.SIGINT, signal.SIGTERM]
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
        stopping.append(hangup)
    return stopping


class Keeper:
    """Keeps checkpoints, intermediate pictures and a film while a run lasts.

    What can't be written is said once, and the run goes on: the picture is worth more. ``failures``
    are the kinds of files that are missing in the end.
    """

    def __init__(
        self,
        target: Target,
        job: Job,
        *,
        save_every: int | None,
        checkpoint: Path | None,
        checkpoint_every: float,
        film: Timelapse | None = None,
        record: Path | None = None,
    ) -> None:
        self.target, self.save_every = target, save_every
        self.checkpoint, self.checkpoint_every = checkpoint, checkpoint_every
        self.last_checkpoint = time.monotonic()
        self.film, self.record = film, record
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

    def keep(self, progress: Progress) -> None:
        """Keep what is due."""
        if self.film is not None and "film" not in self.failures:
            with self._going_on("film"):
                self.film.add(progress)
        if self.history is not None:
            self.history.add(progress)
        if self.folder is not None and self.save_every and progress.step % self.save_every == 0:
            with self._going_on("pictures"):
                self._keep_picture(progress, self.folder)
        if time.monotonic() - self.last_checkpoint >= self.checkpoint_every:
            self.keep_checkpoint(progress)

    def _keep_picture(self, progress: Progress, folder: Path) -> None:
        files.make_folder(folder)
        name = f"{progress.step:0{STEP_DIGITS}}{self.suffix}"
        self.target.write(progress.result(), folder / name, rescue=False)

    def keep_checkpoint(self, progress: Progress) -> None:
        """Write the checkpoint, if there is to be one."""
        if self.checkpoint is not None:
            from impasto.runs import checkpoint

            with self._going_on("checkpoint"):
                checkpoint.save(progress, self.checkpoint)
                self.failures.discard("checkpoint")  # the newest is all that counts
            self.last_checkpoint = time.monotonic()

    @contextmanager
    def _going_on(self, kind: str) -> Iterator[None]:
        """Say the first error in writing files of a kind, and go on."""
        try:
            yield
        except OutputError as error:
            if kind not in self.failures:
                click.echo(f"impasto: {error}", err=True)
            self.failures.add(kind)

    def write_record(self, result: Result, written: str) -> None:
        """Write the run down, if it is to be."""
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
        with self._going_on("record"):
            files.write_atomically(self.record, json.dumps(run).encode())

    def finish(self, progress: Progress) -> None:
        """Keep the last checkpoint, and the film."""
        self.keep_checkpoint(progress)
        if self.film is not None:
            with self._going_on("film"):
                self.film.close()


def drain(
    events: Iterator[Progress], keeper: Keeper, stop: Stop, *, quiet: bool
) -> tuple[Progress, Exception | None]:
    """Run to the end, to a stop or to an error.

    Returns:
        The last Progress, and the error that ended the run, such as a lack of memory: the caller
        writes the picture so far before it raises the error.
    """
    from impasto.cli.console import display

    progress: Progress | None = None
    failure: Exception | None = None
    try:
        with display(quiet=quiet) as shown:
            for progress in events:
                shown.show(progress)
                keeper.keep(progress)
                if stop.signal_number:
                    break
    except KeyboardInterrupt:  # the second one, in the middle of a step
        if progress is None:
            raise
    except Exception as error:
        if progress is None:
            raise
        failure = error
    stop.writing = True
    if progress is None:
        raise KeyboardInterrupt
    try:
        keeper.finish(progress)
    except Exception as error:  # no memory for the checkpoint: the picture may need less
        failure = failure or error
    return progress, failure
