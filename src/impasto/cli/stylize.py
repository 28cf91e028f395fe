"""``impasto CONTENT STYLE``: make a stylized image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.base import files
from impasto.base.errors import DeviceError, ImageError, OutputError, RecipeError
from impasto.cli.inputs import STANDARD_STREAM, check_blend
from impasto.cli.options import (
    FILE,
    FiniteNumber,
    given,
    picture_options,
    preset_option,
    recipe_options,
    run_options,
)
from impasto.cli.originals import content_again, find_again
from impasto.cli.running import Keeper, Stop, drain, stoppable
from impasto.cli.target import RESCUED, Target, rescued
from impasto.settings.methods import METHODS

if TYPE_CHECKING:
    from impasto.images.picture import Picture
    from impasto.runs.job import Job
    from impasto.runs.progress import Progress, Snapshot
    from impasto.runs.result import Result
    from impasto.runs.timelapse import Timelapse

EXIT_INCOMPLETE = 2
"""The picture is there, but a checkpoint, film or record that was asked for is not."""


@click.command
@click.argument("images", nargs=-1, metavar="CONTENT STYLE [STYLE ...]")
@picture_options
@preset_option
@click.option(
    "--recipe",
    type=FILE,
    metavar="FILE.toml|FILE.png",
    help="Settings from a file, or from a picture made by impasto; of the picture its images too.",
)
@click.option(
    "--style",
    "named",
    multiple=True,
    metavar="NAME[:WEIGHT]",
    help="A built-in style (impasto styles), or a painting; may be repeated.",
)
@click.option("--fast", is_flag=True, help="The same as --method instant.")
@recipe_options
@click.option(
    "--save-every", type=click.IntRange(min=1), metavar="N", help="Keep a picture every N steps."
)
@click.option(
    "--timelapse", type=FILE, metavar="FILE", help="A film of the run: .mp4, .gif or .webp."
)
@click.option(
    "--variations",
    "count",
    type=click.IntRange(min=1),
    metavar="N",
    help="N pictures that start from different noise, on one sheet; each is kept in full too.",
)
@click.option(
    "--grid",
    multiple=True,
    metavar="SETTING=A,B,... [SETTING=A,B,...]",
    help="A picture for every combination of one or two settings' values, on one sheet.",
)
@click.option(
    "--checkpoint", type=FILE, metavar="FILE", help="Keep the run in FILE while it lasts."
)
@click.option(
    "--checkpoint-every",
    type=FiniteNumber(),
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
@click.option(
    "--record",
    type=FILE,
    metavar="RUN.json",
    help="Write down the run: settings, losses by step, second and layer, machine.",
)
@click.option("--dry-run", is_flag=True, help="Only say sizes, memory and time.")
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
    if fast:
        if settings["method"] not in (None, "instant"):
            raise RecipeError(f"--fast and --method {settings['method']} exclude each other")
        settings["method"] = "instant"
    target = Target(output, format, int(bit_depth), metadata=not no_metadata, force=force)
    target.check_json(as_json)
    limits = {"max_megabytes": max_megabytes, "max_megapixels": max_megapixels}
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
        return _series(
            images,
            named,
            preset,
            recipe,
            limits,
            given(settings),
            target,
            count=count,
            grid=grid,
            dry_run=dry_run,
            as_json=as_json,
            quiet=quiet,
        )
    if checkpoint is not None:
        if output not in (None, STANDARD_STREAM) and checkpoint.resolve() == Path(output).resolve():
            raise OutputError(f"{checkpoint} can't be both the checkpoint and the picture")
        files.check_writable(checkpoint, force=force or checkpoint == resume)
    if record is not None:
        files.check_writable(record, force=force)
    with stoppable() as stop:
        film = None if timelapse is None else _film(timelapse, force)
        if resume is not None:
            if images or named or preset or recipe or set(given(settings)) - {"steps"}:
                raise RecipeError(
                    "--resume goes on with the images and settings of the checkpoint; only --steps"
                    " and where the picture goes can be changed"
                )
            job, snapshot = _resumed(resume, settings["steps"], target)
        else:
            job = _prepared(images, named, preset, recipe, limits, given(settings), target)
            snapshot = None
            method = METHODS[job.recipe.method]
            if checkpoint and not method.accepts.resume:
                raise RecipeError(
                    f"a run of the method {method.name} can't be gone on with; leave out"
                    " --checkpoint"
                )
            if save_every and method.unit != "step":
                raise RecipeError(f"the method {method.name} has no steps; leave out --save-every")
        if film is not None:
            _check_apart(film.path, target.path_for(job), checkpoint or resume)
        if dry_run:
            show_estimate(job, target.path_for(job), as_json)
            return 0
        keeper = Keeper(
            target,
            job,
            save_every=save_every,
            checkpoint=checkpoint or resume,
            checkpoint_every=checkpoint_every,
            film=film,
            record=record,
        )
        starts_from_noise = getattr(job.recipe, "init", "noise") == "noise"
        if settings["seed"] is not None and not starts_from_noise and not quiet:
            click.echo("the seed counts only with --init noise", err=True)
        chose_size = bool(resume or recipe or {"size", "print"} & set(given(settings)))
        return run(
            job,
            snapshot,
            target,
            keeper,
            stop,
            as_json=as_json,
            quiet=quiet,
            chose_size=chose_size,
        )


def _prepared(
    images: tuple[str, ...],
    named: tuple[str, ...],
    preset: str | None,
    recipe: Path | None,
    limits: dict[str, float],
    settings: dict[str, Any],
    target: Target,
) -> Job:
    """Check everything and read the images."""
    content, styles = _images(images, named, recipe)
    target.check_early(content)

    from impasto.images.limits import Limits
    from impasto.library import api

    return api.prepare(
        content, styles, preset=preset, recipe=recipe, limits=Limits(**limits), **settings
    )


def _series(
    images: tuple[str, ...],
    named: tuple[str, ...],
    preset: str | None,
    recipe: Path | None,
    limits: dict[str, float],
    settings: dict[str, Any],
    target: Target,
    *,
    count: int | None,
    grid: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Many runs and their sheet. Returns the exit code."""
    from impasto.cli import variations

    if count is not None and settings.get("method") == "instant":
        raise RecipeError("the method instant has no variations; --grid varies its settings")
    if count is not None and grid:
        raise RecipeError("--variations and --grid were both given; choose one of them")
    if count is not None:
        target.suffix, varied = "_variations", variations.seeds(count, settings)
    else:
        images, varied = variations.varied_settings(images, grid)
        target.suffix = "_grid"
    noise = variations.from_noise(varied, settings)
    with stoppable() as stop:
        content, styles = _images(images, named, recipe)
        target.check_early(content)

        from impasto.images.limits import Limits
        from impasto.library import series

        planned = series.plan(
            content,
            styles,
            grid=varied,
            preset=preset,
            recipe=recipe,
            limits=Limits(**limits),
            **settings,
        )
        if noise and not quiet:
            click.echo("every seed starts from noise of its own, not from the photo", err=True)
        if dry_run:
            variations.show_estimate(planned, varied, target, as_json=as_json)
            return 0
        return variations.run(planned, varied, target, stop, as_json=as_json, quiet=quiet)


def _film(path: Path, force: bool) -> Timelapse:
    from impasto.runs.timelapse import Timelapse

    return Timelapse(path, force=force)


def _check_apart(film: Path, *others: Path | None) -> None:
    for other in others:
        if other is not None and film.resolve() == other.resolve():
            raise OutputError(f"{film} can't be the film and another file of the same run")


def _resumed(path: Path, steps: str | None, target: Target) -> tuple[Job, Snapshot]:
    """The job in a checkpoint, and where it stands."""
    from impasto.runs import checkpoint

    try:
        job, snapshot = checkpoint.load(path, steps=None if steps is None else int(steps))
    except ValueError:
        raise RecipeError(f"steps should be a whole number, not '{steps}'") from None
    target.check_early(job.content.name)
    return job, snapshot


def run(
    job: Job,
    snapshot: Snapshot | None,
    target: Target,
    keeper: Keeper,
    stop: Stop,
    *,
    as_json: bool,
    quiet: bool,
    chose_size: bool = True,
) -> int:
    """Run the job, write the picture, and say what came of it. Returns the exit code.

    ``chose_size`` tells that the picture has the size that was asked for.
    """
    from impasto.library import api

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    path = target.path_for(job)
    stop.start()
    styles = ", ".join(style.name for style in job.styles)
    say(f"content {job.content.name}, style {styles}")
    say(f"computing on {job.device.device} in {job.device.precision} ({job.device.why})")
    progress, failure = drain(api.run(job, snapshot), keeper, stop, quiet=quiet)
    result = _finished(progress, target, path)
    written = target.write(result, path)
    keeper.write_record(result, written)
    if as_json:
        film = {} if keeper.film is None else {"timelapse": str(keeper.film.path)}
        click.echo(json.dumps({**report(result, written), **film}))
    elif written != STANDARD_STREAM:
        click.echo(written)
    if failure is not None:
        click.echo(f"stopped at step {progress.step} of {progress.steps} by an error", err=True)
        raise failure
    if keeper.film is not None and "film" not in keeper.failures:
        say(f"film: {keeper.film.path}")
    if stop.signal_number and progress.step < progress.steps:
        kept = keeper.checkpoint
        go_on = f"; go on with: impasto --resume {kept}" if kept else ""
        click.echo(f"stopped at step {progress.step} of {progress.steps}{go_on}", err=True)
        return stop.exit_code
    say(_summary(result, chose_size=chose_size))
    return EXIT_INCOMPLETE if keeper.failures else 0


def _finished(progress: Progress, target: Target, path: Path | None) -> Result:
    """Return the picture so far at its final size.

    Raises DeviceError: there is no memory for that; it says where the picture is kept, smaller.
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
        f" {rescued(small, name)}, {progress.scale} px long"
    )


def _summary(result: Result, *, chose_size: bool) -> str:
    """Return what came of a run, in one line."""
    size = f"{result.width}×{result.height} px"
    photo = None if chose_size else result.job.content.full_size
    hint = ""
    if photo is not None and max(photo) > max(result.width, result.height):
        height, width = photo
        size += f" of {width}×{height}"
        hint = f"; {'--size' if result.losses is None else '--size or --preset poster'} for more"
    if result.losses is None:
        return f"{size} in {result.seconds:.2f} s{hint}"
    return (
        f"{size}, {result.steps} steps in {result.seconds:.1f} s"
        f" ({result.steps_per_second:.2f} steps/s){hint}"
    )


def _images(
    images: tuple[str, ...], named: tuple[str, ...], recipe: Path | None
) -> tuple[str | Picture, list[tuple[str, float]]]:
    """Return the content and the weighted styles, from the command line or the recipe's picture.

    ``named`` are the styles that were given by ``--style``.
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
    styles_again = note.styles or [Original()]
    found = [(find_again(style, recipe), style.weight) for style in styles_again]
    return content_again(note.content, recipe, found[0][0]), found


def weighted_style(text: str) -> tuple[str, float]:
    """``painting.jpg:0.7`` → path and weight; a path that exists as it stands has weight 1."""
    path, colon, weight = text.rpartition(":")
    if colon and path and not files.exists(Path(text)):
        try:
            return path, float(weight)
        except ValueError:
            pass
    return text, 1.0


def report(result: Result, written: str) -> dict[str, Any]:
    """What --json says of a picture."""
    from impasto.base import devices

    return {
        "output": written,
        "width": result.width,
        "height": result.height,
        "steps": result.steps if result.losses else None,
        "seconds": round(result.seconds, 3),
        "steps_per_second": round(result.steps_per_second, 4) if result.losses else None,
        "device": str(result.job.device.device),
        "precision": result.job.device.precision,
        "peak_rss_mb": round(devices.peak_rss_mb(), 1),
        "recipe": result.recipe.model_dump(mode="json"),
        "losses": None if result.losses is None else result.losses.as_dict(),
    }


def show_estimate(job: Job, path: Path | None, as_json: bool) -> None:
    """Say what a run would take."""
    from impasto.cli.console import clock
    from impasto.library import api

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
            "memory_mb": round(estimate.memory.needed_mb),
            "seconds": round(estimate.seconds, 3),
            "device": str(job.device.device),
            "precision": job.device.precision,
            "recipe": job.recipe.model_dump(mode="json"),
        }
        click.echo(json.dumps(report))
        return
    click.echo(f"output   {'standard output' if path is None else path}")
    for scale in estimate.scales:
        steps = "one pass" if job.recipe.method == "instant" else f"{scale.steps} steps"
        click.echo(f"scale    {scale.width}×{scale.height} px, {steps}")
    click.echo(f"device   {job.device.device}, {job.device.precision} ({job.device.why})")
    click.echo(f"memory   {estimate.memory}")
    click.echo(f"time     about {clock(estimate.seconds)} (minutes:seconds)")
