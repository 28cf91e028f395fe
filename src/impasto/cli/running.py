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

from impasto import files
from impasto.cli.target import Target
from impasto.errors import OutputError

if TYPE_CHECKING:
    from impasto.history import History
    from impasto.result import Job, Progress, Result
    from impasto.timelapse import Timelapse

STEP_DIGITS = 5


class Stop:
    """What Ctrl-C and SIGTERM do: before the first step they end the program; later they ask for
    a stop after the step in hand, and the second one insists. While the picture is being written
    they wait.
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
    """Handle SIGINT and SIGTERM with a Stop."""
    stop = Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            # Once stopped, what is left is to end: a further Ctrl-C must not spoil the exit code.
            signal.signal(number, signal.SIG_IGN if stop.signal_number else handler)


class Keeper:
    """Keeps checkpoints, intermediate pictures and a film while a run lasts."""

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
        self.history: History | None = None
        if record is not None:
            from impasto.history import History

            self.history = History()
        self.folder: Path | None = None
        self.suffix = ""
        if save_every is not None:
            path = target.path_for(job)
            if path is None:
                raise OutputError("--save-every needs a file to put its pictures beside, not -o -")
            self.folder = files.free_name(path.with_name(f"{path.stem}-steps"))
            self.suffix = path.suffix

    def keep(self, progress: Progress) -> None:
        """Keep what is due. Raises OutputError."""
        if self.film is not None:
            self.film.add(progress)
        if self.history is not None:
            self.history.add(progress)
        if self.folder is not None and self.save_every and progress.step % self.save_every == 0:
            files.make_folder(self.folder)
            name = f"{progress.step:0{STEP_DIGITS}}{self.suffix}"
            self.target.write(progress.result(), self.folder / name)
        if time.monotonic() - self.last_checkpoint >= self.checkpoint_every:
            self.keep_checkpoint(progress)

    def keep_checkpoint(self, progress: Progress) -> None:
        """Write the checkpoint, if there is to be one. Raises OutputError."""
        if self.checkpoint is not None:
            from impasto import checkpoint

            checkpoint.save(progress, self.checkpoint)
            self.last_checkpoint = time.monotonic()

    def write_record(self, result: Result, written: str) -> None:
        """Write the run down, if it is to be. Raises OutputError."""
        if self.record is None or self.history is None:
            return
        from impasto import devices

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
        files.write_atomically(self.record, json.dumps(run).encode())

    def finish(self, progress: Progress) -> None:
        """Keep the last checkpoint, and the film. Raises OutputError."""
        try:
            self.keep_checkpoint(progress)
        finally:
            if self.film is not None:
                self.film.close()


def drain(
    events: Iterator[Progress], keeper: Keeper, stop: Stop, *, quiet: bool
) -> tuple[Progress, OutputError | None]:
    """Run to the end or to a stop. Returns the last Progress, and what couldn't be kept if that is
    what ended it: the picture so far is worth more than its checkpoint.
    """
    from impasto.cli.console import display

    progress: Progress | None = None
    failure: OutputError | None = None
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
    except OutputError as error:
        if progress is None:
            raise
        failure = error
    stop.writing = True
    if progress is None:
        raise KeyboardInterrupt
    try:
        keeper.finish(progress)
    except OutputError as error:
        failure = failure or error
    return progress, failure
