"""``impasto CONTENT STYLE``: make a stylized image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.base import files
from impasto.base.errors import ImageError, OutputError, RecipeError
from impasto.cli.inputs import STANDARD_STREAM, check_blend, weighted_style
from impasto.cli.interrupts import handle_stop_signals
from impasto.cli.options import (
    FILE,
    FiniteNumber,
    given,
    picture_options,
    preset_option,
    recipe_options,
    run_options,
)
from impasto.cli.recorded_inputs import find_recorded, recorded_content
from impasto.cli.run_files import RunFileWriter
from impasto.cli.running import execute_run
from impasto.cli.series import (
    check_has_seeds,
    execute_series,
    method_of_series,
    parse_grid,
    pop_seeds,
    print_series_estimate,
    start_from_noise,
)
from impasto.cli.summaries import print_estimate
from impasto.cli.target import OutputTarget
from impasto.images.limits import Limits
from impasto.settings.methods import METHODS

if TYPE_CHECKING:
    from impasto.images.picture import Picture
    from impasto.runs.job import Job
    from impasto.runs.progress import Snapshot
    from impasto.runs.timelapse import Timelapse


FAST_METHODS = ("instant", "learned")
"""The methods between which ``--fast`` chooses."""


@click.command
@click.argument("images", nargs=-1, metavar="CONTENT STYLE [STYLE ...]")
@picture_options
@preset_option
@click.option(
    "--recipe",
    type=FILE,
    metavar="FILE.toml|FILE.png",
    help="Settings from a file, or from a picture made by impasto, whose images are used, too.",
)
@click.option(
    "--style",
    "named",
    multiple=True,
    metavar="NAME[:WEIGHT]",
    help="A built-in style (impasto styles), or a painting; may be repeated.",
)
@click.option(
    "--fast",
    is_flag=True,
    help="Paint in one pass: --method learned if a network has learned the style, as for the"
    " bundled paintings, otherwise --method instant.",
)
@recipe_options
@click.option(
    "--save-every", type=click.IntRange(min=1), metavar="N", help="Write a picture every N steps."
)
@click.option(
    "--timelapse", type=FILE, metavar="FILE", help="A film of the run: .mp4, .gif or .webp."
)
@click.option(
    "--variations",
    "count",
    type=click.IntRange(min=1),
    metavar="N",
    help="N pictures from different noise, on one sheet; each is also written at its full size.",
)
@click.option(
    "--grid",
    multiple=True,
    metavar="SETTING=A,B,... [SETTING=A,B,...]",
    help="A picture for every combination of one or two settings' values, on one sheet.",
)
@click.option(
    "--checkpoint", type=FILE, metavar="FILE", help="Write a checkpoint to FILE during the run."
)
@click.option(
    "--checkpoint-every",
    type=FiniteNumber(),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How often a checkpoint is written.",
)
@click.option(
    "--resume",
    type=FILE,
    metavar="FILE",
    help="Resume from a checkpoint, bit for bit; --steps changes the number of steps.",
)
@click.option(
    "--record",
    type=FILE,
    metavar="RUN.json",
    help="Write a record of the run: settings, losses by step, second and layer, machine.",
)
@click.option("--dry-run", is_flag=True, help="Only print sizes, memory and time.")
@run_options
def stylize(
    images: tuple[str, ...],
    output: str | None,
    format: str | None,
    bit_depth: str,
    no_metadata: bool,
    force: bool,
    preset: str | None,
    recipe: Path | None,
    named: tuple[str, ...],
    fast: bool,
    save_every: int | None,
    timelapse: Path | None,
    count: int | None,
    grid: tuple[str, ...],
    checkpoint: Path | None,
    checkpoint_every: float,
    resume: Path | None,
    record: Path | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    max_megapixels: float,
    max_megabytes: float,
    debug: bool,
    **settings: Any,
) -> int:
    """Make a stylized image: the content of CONTENT, painted as STYLE is.

    Several styles are blended: with weights, "a.jpg:0.7 b.jpg:0.3", or each after --style. A file
    name of - is standard input. Ctrl-C stops and keeps the picture so far.
    """
    if fast and settings["method"] not in (None, *FAST_METHODS):
        raise RecipeError(f"--fast and --method {settings['method']} exclude each other")
    target = OutputTarget(
        output, format, int(bit_depth), has_metadata=not no_metadata, should_replace=force
    )
    target.check_json(as_json)
    limits = Limits(max_megabytes=max_megabytes, max_megapixels=max_megapixels)
    if count is not None or grid:
        for_one_run = {
            "--save-every": save_every,
            "--timelapse": timelapse,
            "--checkpoint": checkpoint,
            "--resume": resume,
            "--record": record,
        }
        for flag, value in for_one_run.items():
            if value is not None:
                raise RecipeError(
                    f"{flag} is for one run; leave it out with --variations or --grid"
                )
        return _stylize_series(
            images,
            named,
            preset,
            recipe,
            limits,
            given(settings),
            target,
            count=count,
            grid=grid,
            is_fast=fast,
            is_dry_run=dry_run,
            as_json=as_json,
            is_quiet=quiet,
        )
    if checkpoint is not None:
        if output not in (None, STANDARD_STREAM) and checkpoint.resolve() == Path(output).resolve():
            raise OutputError(f"{checkpoint} can't be both the checkpoint and the picture")
        files.check_writable(checkpoint, force=force or checkpoint == resume)
    if record is not None:
        files.check_writable(record, force=force)
    with handle_stop_signals() as stop:
        film = None if timelapse is None else _open_timelapse(timelapse, should_replace=force)
        if resume is not None:
            if images or named or preset or recipe or set(given(settings)) - {"steps"}:
                raise RecipeError(
                    "--resume goes on with the images and settings of the checkpoint; only --steps"
                    " and where the picture goes can be changed"
                )
            job, snapshot = _load_checkpoint(resume, settings["steps"], target)
        else:
            job = _prepare(
                images, named, preset, recipe, limits, given(settings), target, is_fast=fast
            )
            snapshot = None
            _check_run_files(job.recipe.method, checkpoint, save_every)
        if film is not None:
            _check_distinct(film.path, target.path_for(job), checkpoint or resume)
        if dry_run:
            print_estimate(job, target.path_for(job), as_json=as_json)
            return 0
        run_files = RunFileWriter(
            target,
            job,
            save_every=save_every,
            checkpoint=checkpoint or resume,
            checkpoint_every=checkpoint_every,
            timelapse=film,
            record=record,
        )
        starts_from_noise = getattr(job.recipe, "init", "noise") == "noise"
        if settings["seed"] is not None and not starts_from_noise and not quiet:
            click.echo("the seed counts only with --init noise", err=True)
        return execute_run(
            job,
            snapshot,
            target,
            run_files,
            stop,
            as_json=as_json,
            is_quiet=quiet,
            is_size_chosen=bool(resume or recipe or {"size", "print"} & set(given(settings))),
        )


def _prepare(
    images: tuple[str, ...],
    named: tuple[str, ...],
    preset: str | None,
    recipe: Path | None,
    limits: Limits,
    settings: dict[str, Any],
    target: OutputTarget,
    *,
    is_fast: bool,
) -> Job:
    """Validate everything and read the images."""
    content, styles = _content_and_styles(images, named, recipe)
    target.check_early(content)

    from impasto.library import api

    if is_fast:
        styles = _in_one_pass(styles, settings)
    return api.prepare(content, styles, preset=preset, recipe=recipe, limits=limits, **settings)


def _in_one_pass(
    styles: list[tuple[str, float]], settings: dict[str, Any]
) -> list[tuple[Any, float]]:
    """Set the feed-forward method for styles, and return the styles that it accepts.

    If another method is set, the styles are returned as they are.

    Args:
        styles: The styles with their weights.
        settings: The settings, in which ``method`` is set.
    """
    from impasto.library import api

    method, found = api.in_one_pass(styles)
    if settings.setdefault("method", method) != method:
        return list(styles)
    return found


def _stylize_series(
    images: tuple[str, ...],
    named: tuple[str, ...],
    preset: str | None,
    recipe: Path | None,
    limits: Limits,
    settings: dict[str, Any],
    target: OutputTarget,
    *,
    count: int | None,
    grid: tuple[str, ...],
    is_fast: bool,
    is_dry_run: bool,
    as_json: bool,
    is_quiet: bool,
) -> int:
    """Execute the runs of ``--variations`` or ``--grid``. Returns the exit code."""
    if count is not None and grid:
        raise RecipeError("--variations and --grid were both given; choose one of them")
    if count is not None:
        target.suffix, varied = "_variations", pop_seeds(count, settings)
    else:
        images, varied = parse_grid(images, grid)
        target.suffix = "_grid"
    content, styles = _content_and_styles(images, named, recipe)
    if is_fast:
        styles = _in_one_pass(styles, settings)
    is_noise_added = False
    if "seed" in varied:
        method = method_of_series(varied, settings, preset, recipe)
        check_has_seeds(method)
        is_noise_added = start_from_noise(varied, settings, method)
    with handle_stop_signals() as stop:
        target.check_early(content)

        from impasto.library import series

        planned = series.plan(
            content,
            styles,
            grid=varied,
            preset=preset,
            recipe=recipe,
            limits=limits,
            **settings,
        )
        if is_noise_added and not is_quiet:
            click.echo("every seed starts from noise of its own, not from the photo", err=True)
        if is_dry_run:
            print_series_estimate(planned, varied, target, as_json=as_json)
            return 0
        return execute_series(planned, varied, target, stop, as_json=as_json, is_quiet=is_quiet)


def _open_timelapse(path: Path, *, should_replace: bool) -> Timelapse:
    from impasto.runs.timelapse import Timelapse

    return Timelapse(path, force=should_replace)


def _check_run_files(name: str, checkpoint: Path | None, save_every: int | None) -> None:
    """Raise RecipeError if a method can't write the files that were asked for."""
    method = METHODS[name]
    if checkpoint and not method.accepts.resume:
        raise RecipeError(
            f"a run of the method {name} can't be gone on with; leave out --checkpoint"
        )
    if save_every and method.unit != "step":
        raise RecipeError(f"the method {name} has no steps; leave out --save-every")


def _check_distinct(film: Path, *others: Path | None) -> None:
    """Raise OutputError if the film has the path of another file of the run."""
    for other in others:
        if other is not None and film.resolve() == other.resolve():
            raise OutputError(f"{film} can't be the film and another file of the same run")


def _load_checkpoint(path: Path, steps: str | None, target: OutputTarget) -> tuple[Job, Snapshot]:
    """Return the job in a checkpoint, and its snapshot."""
    from impasto.runs import checkpoint

    try:
        job, snapshot = checkpoint.load(path, steps=None if steps is None else int(steps))
    except ValueError:
        raise RecipeError(f"steps should be a whole number, not '{steps}'") from None
    target.check_early(job.content.name)
    return job, snapshot


def _content_and_styles(
    images: tuple[str, ...], named: tuple[str, ...], recipe: Path | None
) -> tuple[str | Picture, list[tuple[str, float]]]:
    """Return the content image and the weighted styles.

    Args:
        images: The images on the command line.
        named: The values of ``--style``.
        recipe: The value of ``--recipe``. If no images are given, they are those of this picture.

    Raises:
        ImageError: An image is missing.
        RecipeError: Several photos were given.
    """
    if not named:
        check_blend(images, [weighted_style(image)[0] != image for image in images])
    images = (*images, *named)
    if len(images) == 1:
        raise ImageError(f"a content image ({images[0]}) and at least one style image are needed")
    if images:
        content, *styles = images
        if list(images).count(STANDARD_STREAM) > 1:
            raise ImageError("only one image can come from standard input")
        return content, [weighted_style(style) for style in styles]
    if recipe is None or recipe.suffix.lower() == ".toml":
        raise ImageError("a content image and at least one style image are needed")
    from impasto.settings.records import Original, read_note

    note = read_note(recipe)
    recorded_styles = note.styles or [Original()]
    found = [(find_recorded(style, recipe), style.weight) for style in recorded_styles]
    return recorded_content(note.content, recipe, found[0][0]), found
