"""Executing one run from the command line, without losing its picture when it is stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from impasto.base import own_process
from impasto.base.errors import DeviceError
from impasto.cli.console import position, run_display
from impasto.cli.inputs import STANDARD_STREAM
from impasto.cli.interrupts import StopHandler
from impasto.cli.run_files import RunFileWriter
from impasto.cli.summaries import json_summary, summary_line
from impasto.cli.target import RESCUED, OutputTarget, rescue

if TYPE_CHECKING:
    from impasto.runs.job import Job
    from impasto.runs.progress import Progress, Snapshot
    from impasto.runs.result import Result

EXIT_INCOMPLETE = 2
"""The picture was written, but a checkpoint, film or record that was asked for was not."""


def execute_run(
    job: Job,
    snapshot: Snapshot | None,
    target: OutputTarget,
    run_files: RunFileWriter,
    stop: StopHandler,
    *,
    as_json: bool,
    is_quiet: bool,
    is_size_chosen: bool = True,
) -> int:
    """Run a job, write its picture, and print a summary.

    Args:
        job: What to run.
        snapshot: Where to resume; None starts from the beginning.
        target: Where the picture goes.
        run_files: Writes the other files.
        stop: The handler of the stop signals, installed.
        as_json: Whether to print one JSON object to standard output.
        is_quiet: Whether to print no progress.
        is_size_chosen: Whether the user chose the picture's size.

    Returns:
        The exit code.
    """

    def say(text: str) -> None:
        if not is_quiet:
            click.echo(text, err=True)

    path = target.path_for(job)
    stop.start()
    styles = ", ".join(style.name for style in job.styles)
    say(f"content {job.content.name}, style {styles}, method {job.recipe.method}")
    say(f"computing on {job.device.device} in {job.device.precision} ({job.device.why})")
    events = start_run(job, snapshot)
    progress, failure = run_until_stopped(events, run_files, stop, is_quiet=is_quiet)
    result = _final_result(progress, path)
    written = target.write(result, path)
    run_files.write_record(result, written)
    timelapse = run_files.timelapse
    if as_json:
        film = {} if timelapse is None else {"timelapse": str(timelapse.path)}
        click.echo(json.dumps({**json_summary(result, written), **film}))
    elif written != STANDARD_STREAM:
        click.echo(written)
    if failure is not None:
        click.echo(f"stopped at {position(progress, ' of ')} by an error", err=True)
        raise failure
    if timelapse is not None and "film" not in run_files.failures:
        say(f"film: {timelapse.path}")
    if stop.signal_number and progress.step < progress.steps:
        checkpoint = run_files.checkpoint
        hint = f"; go on with: impasto --resume {checkpoint}" if checkpoint else ""
        click.echo(f"stopped at {position(progress, ' of ')}{hint}", err=True)
        return stop.exit_code
    say(summary_line(result, is_size_chosen=is_size_chosen))
    return EXIT_INCOMPLETE if run_files.failures else 0


def start_run(job: Job, snapshot: Snapshot | None = None) -> Iterator[Progress]:
    """Return the events of a run, for which this process handles memory as its plan asks for.

    Raises:
        DeviceError: There is not enough memory.
    """
    from impasto.library import api
    from impasto.methods.base import method_of

    plan = method_of(job.recipe).plan_of(job)
    own_process.set_freed_memory(should_keep=plan.memory.stays)
    return api.run(replace(job, plan=plan), snapshot)


def run_until_stopped(
    events: Iterator[Progress], run_files: RunFileWriter, stop: StopHandler, *, is_quiet: bool
) -> tuple[Progress, Exception | None]:
    """Consume a run's events until the end, a stop signal or an error.

    Returns:
        The last Progress, and the error that ended the run, such as a lack of memory. The caller
        writes the picture so far before it raises the error.
    """
    progress: Progress | None = None
    failure: Exception | None = None
    try:
        with run_display(is_quiet=is_quiet) as display:
            for progress in events:
                run_files.add(progress)  # first: whoever sees a step may stop the run
                display.show(progress)
                if stop.signal_number:
                    break
    except KeyboardInterrupt:  # the second signal, in the middle of a step
        if progress is None:
            raise
    except Exception as error:
        if progress is None:
            raise
        failure = error
    stop.is_writing = True
    if progress is None:
        raise KeyboardInterrupt
    try:
        run_files.finish(progress)
    except Exception as error:  # no memory for the checkpoint: the picture may need less
        failure = failure or error
    return progress, failure


def _final_result(progress: Progress, path: Path | None) -> Result:
    """Return the picture so far at its final size.

    Raises:
        DeviceError: The memory doesn't suffice for that. The message says where a smaller picture
            was written.
    """
    from impasto.base.devices import is_out_of_memory

    try:
        return progress.result()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    from impasto.images.write import Encoding, encode_image

    small = encode_image(progress.image, Encoding("png"))
    name = RESCUED if path is None else f"{path.stem}.png"
    raise DeviceError(
        "this machine ran out of memory when the picture was to be finished;"
        f" {rescue(small, name)}, {progress.scale} px long"
    )
