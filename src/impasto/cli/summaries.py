"""The output about a run: an estimate before it, a summary after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.cli.inputs import STANDARD_STREAM
from impasto.settings.methods import METHODS

if TYPE_CHECKING:
    from impasto.runs.job import Job
    from impasto.runs.result import Result


def json_summary(result: Result, written: str) -> dict[str, Any]:
    """Return what ``--json`` prints about a picture, ``written`` being where it is."""
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


def summary_line(result: Result, *, is_size_chosen: bool) -> str:
    """Return size, steps and time of a run in one line.

    Unless the user chose the size, the line tells how to get a larger picture.
    """
    size = f"{result.width}×{result.height} px"
    photo = None if is_size_chosen else result.job.content.full_size
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


def print_estimate(job: Job, path: Path | None, *, as_json: bool) -> None:
    """Print the sizes, memory and time of a run whose picture goes to ``path``."""
    from impasto.cli.console import clock
    from impasto.library import api

    estimate, method = api.estimate(job), METHODS[job.recipe.method]
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
        steps = f"{scale.steps} steps" if method.unit == "step" else "one pass"
        click.echo(f"scale    {scale.width}×{scale.height} px, {steps}")
    click.echo(f"device   {job.device.device}, {job.device.precision} ({job.device.why})")
    click.echo(f"memory   {estimate.memory}")
    click.echo(f"time     about {clock(estimate.seconds)} (minutes:seconds)")
