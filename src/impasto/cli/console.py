"""What a person sees of a run: a live line on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from impasto.runs.progress import Progress

if TYPE_CHECKING:
    from impasto.video.film import FilmProgress

SECONDS_BETWEEN_LINES = 5.0


class Display(Protocol):
    """Shows one Progress after the other."""

    def show(self, progress: Progress) -> None: ...


class Nothing:
    """--quiet."""

    def show(self, progress: Progress) -> None:
        return


class Lines:
    """A line every few seconds, for logs."""

    def __init__(self) -> None:
        self.last = 0.0

    def show(self, progress: Progress) -> None:
        if progress.message:
            click.echo(progress.message, err=True)
        now = time.monotonic()
        finished = progress.step == progress.steps
        if finished or now - self.last >= SECONDS_BETWEEN_LINES:
            self.last = now
            click.echo(f"step {progress.step}/{progress.steps}  {describe(progress)}", err=True)


class LiveBar:
    """A bar that redraws itself."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.task = bar.add_task("", total=None, details="")

    def show(self, progress: Progress) -> None:
        if progress.message:
            self.bar.console.print(progress.message, highlight=False)
        self.bar.update(
            self.task,
            completed=progress.step,
            total=progress.steps,
            details=describe(progress),
        )


@contextmanager
def display(*, quiet: bool) -> Iterator[Display]:
    """The right display for where standard error goes."""
    console = Console(stderr=True)
    if quiet:
        yield Nothing()
    elif not console.is_terminal:
        yield Lines()
    else:
        columns = (
            TextColumn("{task.completed}/{task.total}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[details]}"),
        )
        with Bar(*columns, console=console, refresh_per_second=8) as bar:
            yield LiveBar(bar)


@contextmanager
def film_display(*, quiet: bool) -> Iterator[FilmLines]:
    """The same for a film."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield FilmLines(None, quiet=quiet)
        return
    columns = (TextColumn("{task.completed}"), BarColumn(24), TextColumn("{task.fields[details]}"))
    with Bar(*columns, console=console, refresh_per_second=8) as bar:
        yield FilmLines(bar, quiet=False)


class FilmLines:
    """Shows how far a film is: on a bar, or a line every few seconds."""

    def __init__(self, bar: Bar | None, *, quiet: bool) -> None:
        self.bar, self.quiet, self.last = bar, quiet, 0.0
        self.task = None if bar is None else bar.add_task("", total=None, details="")

    def show(self, progress: FilmProgress) -> None:
        if self.quiet:
            return
        if progress.message:
            click.echo(progress.message, err=True)
        speed = f"{progress.rate:.1f} frames/s  {clock(progress.eta)} left"
        if self.bar is not None and self.task is not None:
            self.bar.update(
                self.task, completed=progress.frame, total=progress.frames, details=speed
            )
        elif time.monotonic() - self.last >= SECONDS_BETWEEN_LINES:
            self.last = time.monotonic()
            click.echo(f"frame {progress.frame}/{progress.frames or '?'}  {speed}", err=True)


def describe(progress: Progress) -> str:
    """Scale, losses, speed and time left, in one line."""
    losses = progress.losses
    if losses is None:
        return f"{progress.scale} px  {clock(progress.eta)} left"
    speed = f"{progress.step / progress.seconds:.2f} steps/s" if progress.step else "starting"
    return (
        f"{progress.scale} px  loss {losses.total:.3g} (content {losses.content:.2g},"
        f" style {losses.style:.2g}, tv {losses.tv:.2g})  {speed}  {clock(progress.eta)} left"
    )


def clock(seconds: float) -> str:
    """Seconds as 0:42 or 1:02:03; "?" where unknown."""
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
