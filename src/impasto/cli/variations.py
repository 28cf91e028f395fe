"""``--variations`` and ``--grid``: many runs, one labelled sheet."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.base import files
from impasto.base.errors import RecipeError
from impasto.cli.inputs import STANDARD_STREAM
from impasto.cli.running import Keeper, Stop, drain
from impasto.cli.stylize import report
from impasto.cli.target import EXTENSIONS, Target
from impasto.settings.recipe import Recipe

if TYPE_CHECKING:
    from PIL import Image

    from impasto.library.series import Variation
    from impasto.runs.job import Job
    from impasto.runs.result import Result

Varied = dict[str, list[Any]]

ENTRY = re.compile(r"([A-Za-z][\w-]*)=(.*)", re.DOTALL)
MAX_NAME = 120  # characters of a picture's name
MAX_NAME_BYTES = 200  # of the same, since few systems allow over 255


def seeds(count: int, settings: dict[str, Any]) -> Varied:
    """``--variations``: the seed and those after it. Takes the seed out of ``settings``."""
    text = settings.pop("seed", Recipe.model_fields["seed"].default)
    try:
        first = int(text)
    except ValueError:
        raise RecipeError(f"seed should be a whole number, not '{text}'") from None
    return {"seed": list(range(first, first + count))}


def varied_settings(
    images: tuple[str, ...], entries: tuple[str, ...]
) -> tuple[tuple[str, ...], Varied]:
    """``--grid``: the images, and the settings to vary, of which the second may have got among the
    images. A file that is called like a setting is an image.
    """
    strays = [text for text in images if ENTRY.fullmatch(text) and not files.exists(Path(text))]
    varied: Varied = {}
    for text in [*entries, *strays]:
        match = ENTRY.fullmatch(text)
        if match is None:
            raise RecipeError(f"--grid takes SETTING=A,B,... such as steps=50,100; not '{text}'")
        name = match[1].replace("-", "_")
        if name in varied:
            raise RecipeError(f"{name} is varied twice; give all its values at once")
        varied[name] = [value.strip() for value in match[2].split(",") if value.strip()]
    return tuple(text for text in images if text not in strays), varied


def from_noise(varied: Varied, settings: dict[str, Any]) -> bool:
    """Whether the runs are made to start from noise, since their seeds would change nothing else.
    Puts that into ``settings``. Raises RecipeError if they were told to start from a picture.
    """
    if "seed" not in varied or "init" in varied or settings.get("init") == "noise":
        return False
    if "init" in settings:
        raise RecipeError(
            f"all seeds give the same picture with --init {settings['init']}: use noise, or vary"
            " another setting with --grid"
        )
    settings["init"] = "noise"
    return True


def run(
    planned: list[Variation],
    varied: Varied,
    target: Target,
    stop: Stop,
    *,
    as_json: bool,
    quiet: bool,
    draw: Callable[[Sequence[Image.Image]], Image.Image] | None = None,
) -> int:
    """Run all, keep each picture and write the sheet. Returns the exit code.

    What ends a series early leaves the sheet of the pictures that are finished. ``draw`` makes it,
    where it isn't to be that of ``varied``.
    """
    from impasto.library import series

    job = planned[0].prepare()
    path = target.path_for(job)
    folder = None if path is None else files.free_name(files.named(path, path.stem, "-pictures"))

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    stop.start()
    say(f"computing on {job.device.device} in {job.device.precision} ({job.device.why})")
    pictures: list[Image.Image] = []
    reports: list[dict[str, Any]] = []
    failure: Exception | None = None
    try:
        for number, variation in enumerate(planned, start=1):
            say(f"{number} of {len(planned)}: {variation.label}")
            result = _finished(variation.prepare(), target, stop, quiet=quiet)
            if result is None:
                break
            written = _keep(result, variation, target, folder, number, len(planned))
            pictures.append(_small(result))
            reports.append({"varied": _values(result, varied), **report(result, written)})
            if stop.signal_number:
                break
    except Exception as error:  # whatever it was, the pictures so far are worth their sheet
        failure = error
    except KeyboardInterrupt:  # the second one
        pass
    stop.writing = True
    if not pictures:
        raise failure or KeyboardInterrupt
    written = target.put(_sheet(draw or partial(series.sheet, varied), pictures, target), path)
    if as_json:
        click.echo(json.dumps({"output": written, "pictures": reports}))
    elif written != STANDARD_STREAM:
        click.echo(written)
    if failure is not None:
        raise failure
    if folder is not None:
        say(f"{len(pictures)} pictures in {folder}")
    if len(pictures) < len(planned):
        click.echo(f"stopped after {len(pictures)} of {len(planned)} pictures", err=True)
        return stop.exit_code
    return 0


def show_estimate(
    planned: list[Variation], varied: Varied, target: Target, *, as_json: bool
) -> None:
    """Say what all the runs together would take."""
    from impasto.cli.console import clock
    from impasto.library import api

    # Seeds take the same time; what else is varied may not.
    measured = planned[:1] if list(varied) == ["seed"] else planned
    estimates = [api.estimate(variation.prepare()) for variation in measured]
    seconds = sum(estimate.seconds for estimate in estimates) * len(planned) / len(measured)
    largest = max((estimate.memory for estimate in estimates), key=lambda plan: plan.needed_mb)
    path = target.path_for(planned[0].prepare())
    output = STANDARD_STREAM if path is None else str(path)
    if as_json:
        shown = {
            "output": output,
            "pictures": [variation.settings for variation in planned],
            "memory_mb": round(largest.needed_mb),
            "seconds": round(seconds, 3),
        }
        click.echo(json.dumps(shown))
        return
    click.echo(f"output   {'standard output' if path is None else path}")
    click.echo(f"pictures {len(planned)}: {planned[0].label} to {planned[-1].label}")
    click.echo(f"memory   {largest}")
    click.echo(f"time     about {clock(seconds)} (minutes:seconds)")


def _finished(job: Job, target: Target, stop: Stop, *, quiet: bool) -> Result | None:
    """A run's result; None if it was stopped before its end."""
    from impasto.library import api

    stop.writing = False  # the run before had left it at that
    keeper = Keeper(target, job, save_every=None, checkpoint=None, checkpoint_every=0)
    progress, failure = drain(api.run(job), keeper, stop, quiet=quiet)
    if failure is not None:
        raise failure
    return progress.result() if progress.step == progress.steps else None


def _keep(
    result: Result,
    variation: Variation,
    target: Target,
    folder: Path | None,
    number: int,
    count: int,
) -> str:
    """Write one picture in full. Returns where it is."""
    if folder is None:
        return STANDARD_STREAM
    files.make_folder(folder)
    label = re.sub(r"[^\w.,=+-]+", "-", variation.label.replace(", ", "_"))
    format = target.encoding().format
    label = files.shortened(label[:MAX_NAME], MAX_NAME_BYTES)
    name = f"{number:0{len(str(count))}}_{label}.{EXTENSIONS.get(format, format)}"
    return target.write(result, folder / name)


def _small(result: Result) -> Image.Image:
    from impasto.images.sheet import thumbnail

    return thumbnail(result.image)


def _values(result: Result, varied: Varied) -> dict[str, Any]:
    values = result.recipe.model_dump(mode="json")
    return {name: values[name] for name in varied}


def _sheet(
    draw: Callable[[Sequence[Image.Image]], Image.Image],
    pictures: list[Image.Image],
    target: Target,
) -> bytes:
    from impasto.images import write

    encoding = write.Encoding(target.encoding().format)
    return write.encode_image(draw(pictures), encoding)
