"""``impasto learn``: train a network to paint in the style of a painting."""

from __future__ import annotations

import json
import time
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.base import files, own_process
from impasto.base.errors import ImpastoError, OutputError, RecipeError
from impasto.cli.console import clock, describe_training, learning_display
from impasto.cli.inputs import check_input, weighted_style
from impasto.cli.interrupts import StopHandler, handle_stop_signals
from impasto.cli.options import (
    FILE,
    Command,
    FiniteNumber,
    debug_option,
    force_option,
    given,
    json_option,
    max_megabytes_option,
    max_megapixels_option,
    preset_option,
)
from impasto.images.limits import Limits
from impasto.learning.settings import LearnSettings
from impasto.styles import library
from impasto.styles.style_file import SUFFIX

if TYPE_CHECKING:
    from impasto.learning.training import LearnProgress, TrainingJob

STYLE_EVERY = 30.0
"""Seconds between two versions of the style file during a training."""
PREVIEW_EVERY = 10.0
"""Seconds between two versions of the preview."""
LOOK = ("strength", "style_scale", "content_weight", "trim", "device", "precision", "max_memory")
"""Settings of the recipe that have an option. A recipe file may contain any setting."""

METAVARS = {
    "time": "TIME", "steps": "N", "batch": "N", "crop": "N", "learning_rate": "X",
    "steadiness": "X", "seed": "N",
}  # fmt: skip
"""Settings of the training with a generated option → placeholder of the value in the help."""


def _setting_help(name: str) -> str:
    """Return the description of a setting as a sentence."""
    description = LearnSettings.model_fields[name].description or ""
    return f"{description[:1].upper()}{description[1:]}."


def _training_options(command: Command) -> Command:
    """Add an option for each setting in ``METAVARS``."""
    for name, metavar in reversed(METAVARS.items()):
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, metavar=metavar, help=_setting_help(name))(command)
    return command


@click.command
@click.argument("paintings", nargs=-1, metavar="STYLE [STYLE ...]")
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar=f"FILE{SUFFIX}",
    help="Style file to write; by default, a new style in your library (impasto styles).",
)
@click.option(
    "--pair",
    "pairs",
    type=(str, str),
    multiple=True,
    metavar="PHOTO ARTWORK",
    help="A photo and an artwork that depicts it, to learn from instead of STYLE; may be repeated.",
)
@click.option("--name", metavar="NAME", help="Name of the style; by default, that of the painting.")
@click.option("--author", metavar="TEXT", help="Author of the style, written into the file.")
@click.option("--licence", metavar="TEXT", help="Terms of use, written into the file.")
@click.option(
    "--photos",
    type=FILE,
    metavar="FOLDER",
    help="Photos to train with, in addition to those that come with impasto.",
)
@click.option(
    "--network", type=click.Choice(["fast", "fine"]), default=None, help=_setting_help("network")
)
@click.option(
    "--quality",
    type=click.Choice(["draft", "good", "best"]),
    default=None,
    help="Length of the training: about 2 minutes, 10 minutes or an hour; on a GPU 20 seconds, 1"
    " minute or 5 minutes.",
)
@_training_options
@preset_option
@click.option(
    "--recipe", type=FILE, metavar="FILE.toml|FILE.png", help="File with settings of the look."
)
@click.option("--strength", metavar="X", help="Strength of the style: 1 is the preset's look.")
@click.option("--style-scale", metavar="X", help="Size of the painting and its strokes.")
@click.option("--content-weight", metavar="X", help="Weight of the content loss.")
@click.option(
    "--trim", metavar="X", help="Edge of a painting that is left out, % of its long side."
)
@click.option("--device", metavar="TEXT", help="Device: auto, cpu, cuda, cuda:N or mps.")
@click.option("--precision", metavar="auto|float32|bfloat16", help="Number format of the encoder.")
@click.option("--max-memory", metavar="X", help="Upper limit of the memory, GB.")
@click.option(
    "--preview",
    type=FILE,
    metavar="SHEET.png",
    help="Write a contact sheet of example photos in the style every few seconds.",
)
@click.option(
    "--checkpoint",
    type=FILE,
    metavar="FILE",
    help="Write a checkpoint to FILE during the training.",
)
@click.option(
    "--checkpoint-every",
    type=FiniteNumber(),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="Time between two checkpoints.",
)
@click.option(
    "--resume",
    type=FILE,
    metavar="FILE",
    help="Resume from a checkpoint; --time and --steps change the length of the whole training.",
)
@force_option
@json_option
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@max_megapixels_option
@max_megabytes_option
@debug_option
def learn(
    paintings: tuple[str, ...],
    output: Path | None,
    pairs: tuple[tuple[str, str], ...],
    name: str | None,
    author: str | None,
    licence: str | None,
    photos: Path | None,
    preset: str | None,
    recipe: Path | None,
    preview: Path | None,
    checkpoint: Path | None,
    checkpoint_every: float,
    resume: Path | None,
    force: bool,
    as_json: bool,
    quiet: bool,
    max_megapixels: float,
    max_megabytes: float,
    debug: bool,
    **settings: Any,
) -> int:
    """Train a network to paint in the style of STYLE, and write a style file.

    The network then paints photos and films in this style in one pass: impasto photo.jpg
    FILE.style. Several paintings by one artist are blended, with weights as in "a.jpg:0.7".

    With --pair, the network learns how an artist turned a photo into an artwork, and does the same
    with other photos: impasto learn --pair photo.jpg artwork.jpg -o mine.style

    Ctrl-C ends the training early and keeps the style learned so far.
    """
    limits = Limits(max_megabytes=max_megabytes, max_megapixels=max_megapixels)
    chosen = given(settings)
    with handle_stop_signals() as stop:
        if resume is not None:
            _check_resume(paintings, pairs, photos, preset, recipe, chosen)
        elif paintings and pairs:
            raise RecipeError("give either paintings or --pair PHOTO ARTWORK to learn from")
        elif not paintings and not pairs:
            raise RecipeError("a painting to learn from is needed: impasto learn painting.jpg")
        styles = [weighted_style(painting) for painting in paintings]
        for image in (*(painting for painting, _ in styles), *chain(*pairs)):
            check_input(image)
        for path in filter(None, (output, preview)):
            files.check_writable(path, force=force)
        if checkpoint is not None:
            files.check_writable(checkpoint, force=force or checkpoint == resume)
        from impasto.learning import api
        from impasto.learning import checkpoint as checkpoints

        state = None
        if resume is not None:
            job, state = checkpoints.load(resume, **api.changed_length(chosen))
        else:
            prepare = (
                partial(api.prepare_pair_training, pairs)
                if pairs
                else partial(api.prepare_training, styles)
            )
            job = prepare(
                photos=photos,
                name=name,
                author=author,
                licence=licence,
                preset=preset,
                recipe=recipe,
                limits=limits,
                look={key: value for key, value in chosen.items() if key in LOOK},
                **{key: value for key, value in chosen.items() if key not in LOOK},
            )
        target = output or library.new_file(job.name, force=force)
        written = LearnFiles(target, preview, checkpoint or resume, checkpoint_every)
        if not quiet:
            _announce(job)
        return _train(job, state, written, stop, as_json=as_json, is_quiet=quiet)


class LearnFiles:
    """Writer of the files of a training while it runs.

    Args:
        target: The style file.
        preview: The preview sheet, or None.
        checkpoint: The checkpoint, or None.
        checkpoint_every: The time between two checkpoints, seconds.
    """

    def __init__(
        self, target: Path, preview: Path | None, checkpoint: Path | None, checkpoint_every: float
    ) -> None:
        self.target, self.preview, self.checkpoint = target, preview, checkpoint
        self.intervals = {"style": STYLE_EVERY, "preview": PREVIEW_EVERY}
        self.intervals["checkpoint"] = checkpoint_every
        self.last = dict.fromkeys(self.intervals, time.monotonic())
        self.failures: dict[str, str] = {}

    def update(self, progress: LearnProgress) -> None:
        """Write each file that is due."""
        now = time.monotonic()
        for kind, interval in self.intervals.items():
            if now - self.last[kind] >= interval and progress.step:
                self.write(kind, progress)
                self.last[kind] = time.monotonic()

    def write(self, kind: str, progress: LearnProgress) -> None:
        """Write a file. A failure is printed once, and the training continues.

        At the end of the training, ``finish`` writes the style file again, and a failure is raised.

        Args:
            kind: ``style``, ``preview`` or ``checkpoint``.
            progress: The progress of the training.
        """
        try:
            self._write(kind, progress)
        except (ImpastoError, OSError) as error:
            if self.failures.get(kind) != str(error):
                click.echo(f"the {kind} could not be written: {error}", err=True)
            self.failures[kind] = str(error)
        else:
            self.failures.pop(kind, None)

    def finish(self, progress: LearnProgress) -> None:
        """Write all files at the end of the training.

        Raises:
            OutputError: The style file can't be written.
        """
        if self.checkpoint is not None:
            self.write("checkpoint", progress)
        self._write("style", progress)
        if self.preview is not None:
            self.write("preview", progress)

    def _write(self, kind: str, progress: LearnProgress) -> None:
        from impasto.images.write import Encoding, encode_image, format_for
        from impasto.learning import checkpoint, style

        if kind == "style":
            files.write_atomically(self.target, style.style_bytes(progress))
        elif kind == "preview" and self.preview is not None:
            sheet = encode_image(style.preview_sheet(progress), Encoding(format_for(self.preview)))
            files.write_atomically(self.preview, sheet)
        elif kind == "checkpoint" and self.checkpoint is not None:
            checkpoint.save(progress.job, progress.state, self.checkpoint)


def _announce(job: TrainingJob) -> None:
    """Print the inputs of the training and the device."""
    styles = ", ".join(style.name for style in job.look.styles)
    device = job.look.device
    click.echo(
        f"learning {styles} with {len(job.photos)} photos, network {job.settings.network}",
        err=True,
    )
    for note in job.notes:
        click.echo(note, err=True)
    click.echo(f"computing on {device.device} in {device.precision} ({device.why})", err=True)


def _train(
    job: TrainingJob,
    state: Any,
    written: LearnFiles,
    stop: StopHandler,
    *,
    as_json: bool,
    is_quiet: bool,
) -> int:
    """Train until the end, a stop signal or an error, and write the files.

    Args:
        job: The inputs of the training.
        state: The state to continue from, or None.
        written: The writer of the files.
        stop: The handler of the stop signals.
        as_json: Whether to print a summary as JSON.
        is_quiet: Whether to suppress the progress.

    Returns:
        The exit code.
    """
    from impasto.learning import api

    own_process.set_freed_memory(should_keep=True)
    stop.start()
    progress: LearnProgress | None = None
    failure: Exception | None = None
    try:
        with learning_display(is_quiet=is_quiet) as display:
            for progress in api.iterate_training(job, state):
                display.show(progress.share, describe_training(progress))
                written.update(progress)
                if stop.signal_number:
                    break
    except KeyboardInterrupt:
        if progress is None or not progress.step:
            raise
    except Exception as error:
        if progress is None or not progress.step:
            raise
        failure = error
    stop.is_writing = True
    assert progress is not None
    if not progress.step:
        raise OutputError("the training was stopped before its first step; nothing is written")
    written.finish(progress)
    if as_json:
        click.echo(json.dumps(_summary(progress, written)))
    else:
        click.echo(str(written.target))
    if failure is not None:
        raise failure
    if stop.signal_number and progress.share < 1:
        hint = ""
        if written.checkpoint is not None and "checkpoint" not in written.failures:
            hint = f"; go on with: impasto learn --resume {written.checkpoint}"
        click.echo(f"stopped at {progress.share:.0%}; the style so far is kept{hint}", err=True)
        return stop.exit_code
    if not is_quiet:
        _print_end(progress, written)
    return 2 if written.failures else 0


def _print_end(progress: LearnProgress, written: LearnFiles) -> None:
    """Print the length of the training, and how to use the style."""
    is_in_library = written.target.parent == library.folder()
    style = written.target.stem if is_in_library else written.target
    click.echo(
        f"{progress.step} steps in {clock(progress.seconds)}; use it: impasto photo.jpg {style}",
        err=True,
    )


def _summary(progress: LearnProgress, written: LearnFiles) -> dict[str, Any]:
    """Return the summary of a training for ``--json``."""
    losses = progress.losses
    return {
        "style": str(written.target),
        "name": progress.job.name,
        "steps": progress.step,
        "seconds": round(progress.seconds, 2),
        "losses": None
        if losses is None
        else {"content": losses.content, "style": losses.style, "total": losses.total},
    }


def _check_resume(
    paintings: tuple[str, ...],
    pairs: tuple[tuple[str, str], ...],
    photos: Path | None,
    preset: str | None,
    recipe: Path | None,
    settings: dict[str, Any],
) -> None:
    """Check that no option is given that the checkpoint determines.

    Raises:
        RecipeError: There is such an option.
    """
    if paintings or pairs or photos or preset or recipe or set(settings) - {"time", "steps"}:
        raise RecipeError(
            "--resume goes on with the paintings, photos and settings of the checkpoint; only"
            " --time, --steps and the output files can be changed"
        )
