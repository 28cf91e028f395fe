"""Progress on standard error: a bar on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from impasto.settings.methods import METHODS

if TYPE_CHECKING:
    from impasto.learning.training import LearnProgress
    from impasto.runs.progress import Progress
    from impasto.video.progress import FilmProgress

SECONDS_BETWEEN_LINES = 5.0


class RunDisplay(Protocol):
    """Shows the progress of a run."""

    def show(self, progress: Progress) -> None: ...


class SilentDisplay:
    """Shows nothing, as ``--quiet`` asks for."""

    def show(self, progress: Progress) -> None:
        return


class LineDisplay:
    """Prints a line every few seconds, for logs."""

    def __init__(self) -> None:
        self.last_line_time = 0.0

    def show(self, progress: Progress) -> None:
        if progress.message:
            click.echo(progress.message, err=True)
        now = time.monotonic()
        is_finished = progress.step == progress.steps
        if is_finished or now - self.last_line_time >= SECONDS_BETWEEN_LINES:
            self.last_line_time = now
            click.echo(f"{position(progress)}  {describe(progress)}", err=True)


class BarDisplay:
    """Shows a progress bar, which redraws itself."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.task = bar.add_task("", total=None, position="", details="")

    def show(self, progress: Progress) -> None:
        if progress.message:
            self.bar.console.print(progress.message, highlight=False)
        self.bar.update(
            self.task,
            completed=progress.step,
            total=progress.steps,
            position=position(progress),
            details=describe(progress),
        )


@contextmanager
def run_display(*, is_quiet: bool) -> Iterator[RunDisplay]:
    """Yield the display of a run that suits what standard error is."""
    console = Console(stderr=True)
    if is_quiet:
        yield SilentDisplay()
    elif not console.is_terminal:
        yield LineDisplay()
    else:
        columns = (
            TextColumn("{task.fields[position]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[details]}"),
        )
        with Bar(*columns, console=console, refresh_per_second=8) as bar:
            yield BarDisplay(bar)


@contextmanager
def film_display(*, is_quiet: bool) -> Iterator[FilmDisplay]:
    """Yield the display of a film that suits what standard error is."""
    console = Console(stderr=True)
    if is_quiet or not console.is_terminal:
        yield FilmDisplay(None, is_quiet=is_quiet)
        return
    columns = (TextColumn("{task.completed}"), BarColumn(24), TextColumn("{task.fields[details]}"))
    with Bar(*columns, console=console, refresh_per_second=8) as bar:
        yield FilmDisplay(bar, is_quiet=False)


class FilmDisplay:
    """Shows the progress of a film: on a bar, or as a line every few seconds."""

    def __init__(self, bar: Bar | None, *, is_quiet: bool) -> None:
        self.bar, self.is_quiet, self.last_line_time = bar, is_quiet, 0.0
        self.task = None if bar is None else bar.add_task("", total=None, details="")

    def show(self, progress: FilmProgress) -> None:
        if self.is_quiet:
            return
        if progress.message:
            click.echo(progress.message, err=True)
        speed = f"{progress.rate:.1f} frames/s  {clock(progress.eta)} left"
        if self.bar is not None and self.task is not None:
            self.bar.update(
                self.task, completed=progress.frame, total=progress.frames, details=speed
            )
        elif time.monotonic() - self.last_line_time >= SECONDS_BETWEEN_LINES:
            self.last_line_time = time.monotonic()
            click.echo(f"frame {progress.frame}/{progress.frames or '?'}  {speed}", err=True)


@contextmanager
def learning_display(*, is_quiet: bool) -> Iterator[LearningDisplay]:
    """Yield the display of a training: a bar on a terminal, otherwise lines."""
    console = Console(stderr=True)
    if is_quiet or not console.is_terminal:
        yield LearningDisplay(None, is_quiet=is_quiet)
        return
    columns = (
        TextColumn("{task.percentage:>3.0f} %"),
        BarColumn(24),
        TextColumn("{task.fields[details]}"),
    )
    with Bar(*columns, console=console, refresh_per_second=4) as bar:
        yield LearningDisplay(bar, is_quiet=False)


class LearningDisplay:
    """The display of a training: a bar, or a line every few seconds."""

    def __init__(self, bar: Bar | None, *, is_quiet: bool) -> None:
        self.bar, self.is_quiet, self.last_line_time = bar, is_quiet, 0.0
        self.task = None if bar is None else bar.add_task("", total=1.0, details="")

    def show(self, share: float, details: str, message: str | None = None) -> None:
        """Show the progress.

        Args:
            share: The share that is done, 0 to 1.
            details: Text beside the bar.
            message: A sentence to print on a line of its own.
        """
        if self.is_quiet:
            return
        if message is not None:
            click.echo(message, err=True)
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=share, details=details)
        elif share == 1 or time.monotonic() - self.last_line_time >= SECONDS_BETWEEN_LINES:
            self.last_line_time = time.monotonic()
            click.echo(f"{share:4.0%}  {details}", err=True)


def describe_training(progress: LearnProgress) -> str:
    """Return the step, the remaining time and the losses of a training as one line."""
    details = f"step {progress.step}  {clock(progress.eta)} left"
    losses = progress.losses
    if losses is None:
        return details
    return f"{details}  content {losses.content:.3f}, style {losses.style:.3f}"


def position(progress: Progress, separator: str = "/") -> str:
    """Return the position of a run in the unit of its method: ``step 3/160`` or ``40 %``."""
    if METHODS[progress.job.recipe.method].unit == "percent":
        return f"{progress.step} %"
    return f"step {progress.step}{separator}{progress.steps}"


def describe(progress: Progress) -> str:
    """Return scale, losses, speed and remaining time in one line."""
    losses = progress.losses
    if losses is None:
        return f"{progress.scale} px  {clock(progress.eta)} left"
    speed = f"{progress.step / progress.seconds:.2f} steps/s" if progress.step else "starting"
    return (
        f"{progress.scale} px  loss {losses.total:.3g} (content {losses.content:.2g},"
        f" style {losses.style:.2g}, tv {losses.tv:.2g})  {speed}  {clock(progress.eta)} left"
    )


def clock(seconds: float) -> str:
    """Return seconds as 0:42 or 1:02:03, or "?" where they are unknown."""
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
