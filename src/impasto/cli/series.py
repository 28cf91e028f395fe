"""Executing many runs from the command line: their pictures and one labelled sheet."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.base import files, own_process
from impasto.base.errors import RecipeError
from impasto.cli.inputs import STANDARD_STREAM
from impasto.cli.interrupts import StopHandler
from impasto.cli.run_files import RunFileWriter
from impasto.cli.running import run_until_stopped, start_run
from impasto.cli.summaries import json_summary
from impasto.cli.target import EXTENSIONS, OutputTarget
from impasto.settings.build import build
from impasto.settings.methods import METHODS, all_settings

if TYPE_CHECKING:
    from PIL import Image

    from impasto.library.series import Variation
    from impasto.runs.job import Job
    from impasto.runs.result import Result

VariedSettings = dict[str, list[Any]]
SheetFunction = Callable[[Sequence["Image.Image"]], "Image.Image"]

GRID_ENTRY = re.compile(r"([A-Za-z][\w-]*)=(.*)", re.DOTALL)
MAX_LABEL = 120
"""Characters of a label in a picture's name."""
MAX_LABEL_BYTES = 200
"""The same in bytes: few systems allow names of more than 255."""


def method_of_series(
    varied: VariedSettings, settings: dict[str, Any], preset: str | None, recipe: Path | None
) -> str:
    """Return the method of a series' first run. Raises RecipeError: a setting makes no sense."""
    first = {name: values[0] for name, values in varied.items() if values and name != "seed"}
    preset = first.pop("preset", preset)
    return build({**settings, **first}, preset=preset, recipe=recipe).method


def check_has_seeds(method: str) -> None:
    """Raise RecipeError if a method has no seed, so that it makes the same picture every time."""
    if "seed" not in METHODS[method].settings.model_fields:
        raise RecipeError(f"the method {method} has no variations; --grid varies its settings")


def pop_seeds(count: int, settings: dict[str, Any]) -> VariedSettings:
    """Return ``count`` seeds from the one in ``settings`` on, which is removed from there.

    Raises:
        RecipeError: That seed isn't a whole number.
    """
    text = settings.pop("seed", all_settings()["seed"].default)
    try:
        first = int(text)
    except ValueError:
        raise RecipeError(f"seed should be a whole number, not '{text}'") from None
    return {"seed": list(range(first, first + count))}


def parse_grid(
    images: tuple[str, ...], entries: tuple[str, ...]
) -> tuple[tuple[str, ...], VariedSettings]:
    """Parse the values of ``--grid``.

    The second setting of ``--grid a=1,2 b=3,4`` is parsed as an image by the command line. It is
    recognized here by its form, unless there is a file of that name.

    Args:
        images: The images that were given.
        entries: The values of ``--grid``.

    Returns:
        The images without such settings, and the settings with their values.

    Raises:
        RecipeError: A value isn't ``SETTING=A,B,...``, or a setting is given twice.
    """
    misplaced = [
        text for text in images if GRID_ENTRY.fullmatch(text) and not files.exists(Path(text))
    ]
    varied: VariedSettings = {}
    for text in [*entries, *misplaced]:
        match = GRID_ENTRY.fullmatch(text)
        if match is None:
            raise RecipeError(f"--grid takes SETTING=A,B,... such as steps=50,100; not '{text}'")
        name = match[1].replace("-", "_")
        if name in varied:
            raise RecipeError(f"{name} is varied twice; give all its values at once")
        varied[name] = [value.strip() for value in match[2].split(",") if value.strip()]
    return tuple(text for text in images if text not in misplaced), varied


def start_from_noise(varied: VariedSettings, settings: dict[str, Any], method: str) -> bool:
    """Set ``init`` to noise if only the seed is varied, which changes nothing else.

    Args:
        varied: The settings in which the runs differ, with their values.
        settings: The settings that they have in common.
        method: The method of the first run.

    Returns:
        Whether ``settings`` were changed.

    Raises:
        RecipeError: The settings ask for another initial image.
    """
    if "seed" not in varied or {"init", "method"} & varied.keys():
        return False
    if settings.get("init") == "noise" or "init" not in METHODS[method].settings.model_fields:
        return False
    if "init" in settings:
        raise RecipeError(
            f"all seeds give the same picture with --init {settings['init']}: use noise, or vary"
            " another setting with --grid"
        )
    settings["init"] = "noise"
    return True


def execute_series(
    planned: list[Variation],
    varied: VariedSettings,
    target: OutputTarget,
    stop: StopHandler,
    *,
    as_json: bool,
    is_quiet: bool,
    draw_sheet: SheetFunction | None = None,
) -> int:
    """Execute all runs, write each picture, and write the sheet.

    A series that ends early has a sheet of the pictures that are finished.

    Args:
        planned: The runs.
        varied: The settings in which they differ, with their values.
        target: Where the sheet goes.
        stop: The handler of the stop signals, installed.
        as_json: Whether to print one JSON object to standard output.
        is_quiet: Whether to print no progress.
        draw_sheet: Draws the sheet; by default it is labelled with the values of ``varied``.

    Returns:
        The exit code.
    """
    from impasto.library import series

    job = planned[0].prepare()
    path = target.path_for(job)
    folder = None if path is None else files.free_name(files.named(path, path.stem, "-pictures"))

    def say(text: str) -> None:
        if not is_quiet:
            click.echo(text, err=True)

    stop.start()
    say(f"computing on {job.device.device} in {job.device.precision} ({job.device.why})")
    pictures: list[Image.Image] = []
    reports: list[dict[str, Any]] = []
    failure: Exception | None = None
    try:
        for number, variation in enumerate(planned, start=1):
            say(f"{number} of {len(planned)}: {variation.label}")
            result = _execute(variation.prepare(), target, stop, is_quiet=is_quiet)
            if result is None:
                break
            written = _write(result, variation, target, folder, number, len(planned))
            pictures.append(_thumbnail(result))
            reports.append({"varied": _values(result, varied), **json_summary(result, written)})
            if stop.signal_number:
                break
    except Exception as error:  # whatever it is, the pictures so far deserve their sheet
        failure = error
    except KeyboardInterrupt:  # the second signal
        pass
    stop.is_writing = True
    if not pictures:
        raise failure or KeyboardInterrupt
    sheet = _encoded_sheet(draw_sheet or partial(series.sheet, varied), pictures, target)
    written = target.write_data(sheet, path)
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


def print_series_estimate(
    planned: list[Variation], varied: VariedSettings, target: OutputTarget, *, as_json: bool
) -> None:
    """Print the memory and time of all runs together."""
    from impasto.cli.console import clock
    from impasto.library import api

    # Runs that differ in their seeds take the same time; others may not.
    measured = planned[:1] if list(varied) == ["seed"] else planned
    estimates = [api.estimate(variation.prepare()) for variation in measured]
    seconds = sum(estimate.seconds for estimate in estimates) * len(planned) / len(measured)
    largest = max((estimate.memory for estimate in estimates), key=lambda plan: plan.needed_mb)
    path = target.path_for(planned[0].prepare())
    output = STANDARD_STREAM if path is None else str(path)
    if as_json:
        report = {
            "output": output,
            "pictures": [variation.settings for variation in planned],
            "memory_mb": round(largest.needed_mb),
            "seconds": round(seconds, 3),
        }
        click.echo(json.dumps(report))
        return
    click.echo(f"output   {'standard output' if path is None else path}")
    click.echo(f"pictures {len(planned)}: {planned[0].label} to {planned[-1].label}")
    click.echo(f"memory   {largest}")
    click.echo(f"time     about {clock(seconds)} (minutes:seconds)")


def _execute(job: Job, target: OutputTarget, stop: StopHandler, *, is_quiet: bool) -> Result | None:
    """Return a run's result, or None if it was stopped before its end."""
    stop.is_writing = False  # the previous run has set it
    run_files = RunFileWriter(target, job)
    progress, failure = run_until_stopped(start_run(job), run_files, stop, is_quiet=is_quiet)
    own_process.give_back_freed_memory()
    if failure is not None:
        raise failure
    return progress.result() if progress.step == progress.steps else None


def _write(
    result: Result,
    variation: Variation,
    target: OutputTarget,
    folder: Path | None,
    number: int,
    count: int,
) -> str:
    """Write one picture at its full size. Returns where it is."""
    if folder is None:
        return STANDARD_STREAM
    files.make_folder(folder)
    label = re.sub(r"[^\w.,=+-]+", "-", variation.label.replace(", ", "_"))
    image_format = target.encoding().format
    label = files.shortened(label[:MAX_LABEL], MAX_LABEL_BYTES)
    extension = EXTENSIONS.get(image_format, image_format)
    return target.write(result, folder / f"{number:0{len(str(count))}}_{label}.{extension}")


def _thumbnail(result: Result) -> Image.Image:
    from impasto.images.sheet import thumbnail

    return thumbnail(result.image)


def _values(result: Result, varied: VariedSettings) -> dict[str, Any]:
    values = result.recipe.model_dump(mode="json")
    return {name: values[name] for name in varied}


def _encoded_sheet(
    draw_sheet: SheetFunction, pictures: list[Image.Image], target: OutputTarget
) -> bytes:
    from impasto.images import write

    encoding = write.Encoding(target.encoding().format)
    return write.encode_image(draw_sheet(pictures), encoding)
