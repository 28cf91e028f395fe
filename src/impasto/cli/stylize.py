"""``impasto CONTENT STYLE``: make a stylized image."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from impasto import files
from impasto.cli.options import (
    FILE,
    debug_option,
    force_option,
    given,
    json_option,
    max_megabytes_option,
    max_megapixels_option,
    preset_option,
    recipe_options,
)
from impasto.errors import ImageError, OutputError, RecipeError

if TYPE_CHECKING:
    from impasto.images.write import Encoding
    from impasto.result import Job, Progress, Result

STANDARD_STREAM = "-"
STEP_DIGITS = 5


@click.command(short_help="Make a stylized image (the word may be left out).")
@click.argument("images", nargs=-1, metavar="CONTENT STYLE [STYLE ...]")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="The file to write; - is standard output. By default a new PNG beside CONTENT.",
)
@click.option("--format", type=click.Choice(["png", "jpeg", "webp", "tiff"]), help="Output format.")
@click.option(
    "--bit-depth", type=click.Choice(["8", "16"]), default="8", help="Bits per channel (PNG)."
)
@click.option("--no-metadata", is_flag=True, help="Leave the recipe out of the picture.")
@force_option
@preset_option
@click.option(
    "--recipe",
    type=FILE,
    metavar="FILE.toml|FILE.png",
    help="Settings from a file, or from a picture made by impasto; of the picture its images too.",
)
@recipe_options
@click.option(
    "--save-every", type=click.IntRange(min=1), metavar="N", help="Keep a picture every N steps."
)
@click.option(
    "--checkpoint", type=FILE, metavar="FILE", help="Keep the run in FILE while it lasts."
)
@click.option(
    "--checkpoint-every",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How often.",
)
@click.option(
    "--resume",
    type=FILE,
    metavar="FILE",
    help="Go on from a checkpoint, bit for bit; with --steps to another number of steps.",
)
@click.option("--dry-run", is_flag=True, help="Only say sizes, memory and time.")
@json_option
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@max_megapixels_option
@max_megabytes_option
@debug_option
def stylize(
    images: tuple[str, ...],
    output: str | None,
    format: str | None,
    bit_depth: str,
    no_metadata: bool,
    force: bool,
    preset: str | None,
    recipe: Path | None,
    save_every: int | None,
    checkpoint: Path | None,
    checkpoint_every: float,
    resume: Path | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    max_megapixels: float,
    max_megabytes: float,
    debug: bool,
    **settings: Any,
) -> int:
    """Make a stylized image: the content of CONTENT, painted as STYLE is.

    Several styles are blended; "a.jpg:0.7 b.jpg:0.3" weighs them. A file name of - is standard
    input. Ctrl-C stops and keeps the picture so far.
    """
    from impasto import api
    from impasto import checkpoint as checkpoint_file
    from impasto.images.read import Limits

    if as_json and output == STANDARD_STREAM:
        raise OutputError("--json and the picture can't both go to standard output")
    if resume is not None:
        if images or preset or recipe or set(given(settings)) - {"steps"}:
            raise RecipeError(
                "--resume goes on with the images and settings of the checkpoint; only --steps and"
                " where the picture goes can be changed"
            )
        checkpoint = checkpoint or resume
    else:
        limits = Limits(max_megabytes, max_megapixels)
        content, styles = _images(images, recipe)

    target = _Target(output, format, int(bit_depth), metadata=not no_metadata, force=force)
    if resume is None:
        target.check_early(content)
    if checkpoint is not None and checkpoint != resume:
        files.check_writable(checkpoint, force=force)

    if resume is not None:
        steps = _whole_number(settings["steps"])
        job, snapshot = checkpoint_file.load(resume, steps=steps)
        content = job.content.name
        target.check_early(content)
    else:
        job = api.prepare(
            content, styles, preset=preset, recipe=recipe, limits=limits, **given(settings)
        )
        snapshot = None
    if dry_run:
        _show_estimate(job, target.path_for(job), as_json)
        return 0

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    say(f"computing on {job.device.device} in {job.device.precision} ({job.device.why})")
    keeper = _Keeper(target, job, save_every, checkpoint, checkpoint_every)
    progress, signal_number = _run(api.run(job, snapshot), keeper, quiet)
    keeper.keep_checkpoint(progress)

    result = progress.result()
    written = target.write(result)
    stopped = signal_number is not None and progress.step < progress.steps
    if as_json:
        click.echo(json.dumps(_report(result, written)))
    elif output != STANDARD_STREAM:
        click.echo(written)
    if stopped:
        go_on = f"; go on with: impasto --resume {checkpoint}" if checkpoint else ""
        click.echo(f"stopped at step {progress.step} of {progress.steps}{go_on}", err=True)
        return 128 + int(signal_number or 0)
    say(
        f"{result.width}×{result.height} px, {result.steps} steps in {result.seconds:.1f} s"
        f" ({result.steps_per_second:.2f} steps/s)"
    )
    return 0


def _images(images: tuple[str, ...], recipe: Path | None) -> tuple[str, list[tuple[str, float]]]:
    """The content and the weighted styles, from the command line or from the recipe's picture."""
    if len(images) == 1:
        raise ImageError(f"a content image ({images[0]}) and at least one style image are needed")
    if images:
        content, *styles = images
        if list(images).count(STANDARD_STREAM) > 1:
            raise ImageError("only one image can come from standard input")
        return content, [weighted_style(style) for style in styles]
    if recipe is None or recipe.suffix.lower() == ".toml":
        raise ImageError("a content image and at least one style image are needed")
    from impasto.images import metadata

    note = metadata.read_note(recipe)
    content = _find_again(note["content"], recipe)
    return content, [(_find_again(style, recipe), style["weight"]) for style in note["styles"]]


def weighted_style(text: str) -> tuple[str, float]:
    """``painting.jpg:0.7`` → path and weight; a path that exists as it stands has weight 1."""
    path, colon, weight = text.rpartition(":")
    if colon and path and not Path(text).exists():
        try:
            return path, float(weight)
        except ValueError:
            pass
    return text, 1.0


def _find_again(entry: dict[str, Any], recipe: Path) -> str:
    """A file that a picture was made from: where it was, or beside the picture."""
    from impasto.networks.weights import matches

    name = str(entry["name"])
    for candidate in (Path(name), recipe.parent / Path(name).name):
        if candidate.is_file():
            if not matches(candidate, f"sha256:{entry['sha256']}"):
                click.echo(f"{candidate} isn't the same file that {recipe} was made from", err=True)
            return str(candidate)
    raise ImageError(f"{recipe} was made from {name}, which isn't here; give CONTENT and STYLE")


def _whole_number(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise RecipeError(f"steps should be a whole number, not '{text}'") from None


@dataclass
class _Target:
    """Where the picture goes, and how."""

    output: str | None
    format: Any
    bit_depth: Any
    metadata: bool
    force: bool

    def check_early(self, content: str) -> None:
        """Refuse now what would fail after the work."""
        self.encoding()
        if self.output == STANDARD_STREAM:
            return
        if self.output is not None:
            files.check_writable(Path(self.output), force=self.force)
        elif content != STANDARD_STREAM:
            files.check_writable(Path(content).with_name(".impasto"), force=True)

    def encoding(self) -> Encoding:
        from impasto.images import write

        format = self.format
        if format is None:
            named = self.output not in (None, STANDARD_STREAM)
            format = write.format_for(Path(str(self.output))) if named else "png"
        return write.Encoding(format, self.bit_depth)

    def path_for(self, job: Job) -> Path | None:
        """The file that will be written; None for standard output."""
        if self.output == STANDARD_STREAM:
            return None
        if self.output is not None:
            return Path(self.output)
        content, style = Path(job.content.name), Path(job.styles[0].name)
        extension = {"jpeg": "jpg", "tiff": "tif"}.get(self.format, self.format or "png")
        return files.free_name(content.with_name(f"{content.stem}_{style.stem}.{extension}"))

    def write(self, result: Result, path: Path | None = None) -> str:
        """Write the picture; where that has become impossible, keep it in the temporary folder."""
        encoding = self.encoding()
        data = result.encode(encoding.format, bit_depth=encoding.bit_depth, metadata=self.metadata)
        path = path or self.path_for(result.job)
        if path is None:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return STANDARD_STREAM
        if not self.force:
            path = files.free_name(path)  # it may have come into being meanwhile
        try:
            files.write_atomically(path, data)
        except OutputError as error:
            rescue = files.free_name(Path(tempfile.gettempdir()) / path.name)
            files.write_atomically(rescue, data)
            raise OutputError(f"{error}; the picture was kept as {rescue}") from error
        return str(path)


class _Keeper:
    """Keeps checkpoints and intermediate pictures while a run lasts."""

    def __init__(
        self,
        target: _Target,
        job: Job,
        save_every: int | None,
        checkpoint: Path | None,
        checkpoint_every: float,
    ) -> None:
        self.target, self.save_every = target, save_every
        self.checkpoint, self.checkpoint_every = checkpoint, checkpoint_every
        self.last_checkpoint = time.monotonic()
        self.folder: Path | None = None
        self.suffix = ".png"
        if save_every is not None:
            path = target.path_for(job)
            if path is None:
                raise OutputError("--save-every needs a file to put its pictures beside, not -o -")
            self.folder = files.free_name(path.with_name(f"{path.stem}-steps"))
            self.suffix = path.suffix

    def keep(self, progress: Progress) -> None:
        if self.folder is not None and self.save_every and progress.step % self.save_every == 0:
            self.folder.mkdir(exist_ok=True)
            name = f"{progress.step:0{STEP_DIGITS}}{self.suffix}"
            self.target.write(progress.result(), self.folder / name)
        if time.monotonic() - self.last_checkpoint >= self.checkpoint_every:
            self.keep_checkpoint(progress)

    def keep_checkpoint(self, progress: Progress) -> None:
        if self.checkpoint is not None:
            from impasto import checkpoint

            checkpoint.save(progress, self.checkpoint)
            self.last_checkpoint = time.monotonic()


def _run(events: Iterator[Progress], keeper: _Keeper, quiet: bool) -> tuple[Progress, int | None]:
    """Drain a run, or stop it at a signal. Returns the last Progress and the signal's number."""
    from impasto.cli.console import display

    progress: Progress | None = None
    with _stoppable() as stop, display(quiet=quiet) as shown:
        try:
            for progress in events:
                shown.show(progress)
                keeper.keep(progress)
                if stop.signal_number is not None:
                    break
        except KeyboardInterrupt:  # the second Ctrl-C, in the middle of a step
            if progress is None:
                raise
    if progress is None:
        raise KeyboardInterrupt
    return progress, stop.signal_number


class _Stop:
    signal_number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None:
            raise KeyboardInterrupt
        self.signal_number = number


@contextmanager
def _stoppable() -> Iterator[_Stop]:
    """Let Ctrl-C and SIGTERM ask for a stop after the step in hand; the second one insists."""
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(result: Result, written: str) -> dict[str, Any]:
    from impasto import devices

    return {
        "output": written,
        "width": result.width,
        "height": result.height,
        "steps": result.steps,
        "seconds": round(result.seconds, 3),
        "steps_per_second": round(result.steps_per_second, 4),
        "device": str(result.job.device.device),
        "precision": result.job.device.precision,
        "peak_rss_mb": round(devices.peak_rss_mb(), 1),
        "recipe": result.recipe.model_dump(mode="json"),
        "losses": result.losses.as_dict(),
    }


def _show_estimate(job: Job, path: Path | None, as_json: bool) -> None:
    from impasto import api
    from impasto.cli.console import clock

    estimate = api.estimate(job)
    if as_json:
        report = {
            "output": STANDARD_STREAM if path is None else str(path),
            "width": job.content.width,
            "height": job.content.height,
            "scales": [
                {"width": scale.width, "height": scale.height, "steps": scale.steps}
                for scale in estimate.scales
            ],
            "memory_mb": round(estimate.memory_mb),
            "seconds": round(estimate.seconds, 1),
            "device": str(job.device.device),
            "precision": job.device.precision,
            "recipe": job.recipe.model_dump(mode="json"),
        }
        click.echo(json.dumps(report))
        return
    click.echo(f"output   {'standard output' if path is None else path}")
    for scale in estimate.scales:
        click.echo(f"scale    {scale.width}×{scale.height} px, {scale.steps} steps")
    click.echo(f"device   {job.device.device}, {job.device.precision} ({job.device.why})")
    click.echo(f"memory   about {estimate.memory_mb / 1000:.1f} GB")
    click.echo(f"time     about {clock(estimate.seconds)} (minutes:seconds)")
