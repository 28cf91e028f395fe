"""``impasto reconstruct IMAGE``: an image reconstructed from some layers' features."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import click

from impasto.cli.interrupts import handle_stop_signals
from impasto.cli.options import given, picture_options, recipe_options_without, run_options
from impasto.cli.run_files import RunFileWriter
from impasto.cli.running import execute_run
from impasto.cli.series import VariedSettings, execute_series
from impasto.cli.target import OutputTarget
from impasto.settings.methods import DEFAULT_METHOD

EXCLUDED_SETTINGS = (
    "content_weight", "style_weight", "content_layers", "style_layers", "color", "mask", "region",
    "style_mask", "strength", "style_scale",
)  # fmt: skip
"""Settings that would mix the two terms, or that --layers replaces."""


@click.command
@click.argument("image")
@click.option(
    "--from",
    "term",
    type=click.Choice(["content", "style"]),
    default="content",
    show_default=True,
    help="What is reconstructed: the image's features, or their statistics.",
)
@click.option(
    "--layers",
    metavar="NAMES",
    help="The layers. By default each of those in the paper's figure, on one labelled sheet.",
)
@picture_options
@recipe_options_without(*EXCLUDED_SETTINGS, method=DEFAULT_METHOD)
@run_options
def reconstruct(
    image: str,
    term: Literal["content", "style"],
    layers: str | None,
    output: str | None,
    format: str | None,
    bit_depth: str,
    no_metadata: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    max_megapixels: float,
    max_megabytes: float,
    debug: bool,
    **settings: Any,
) -> int:
    """Reconstruct IMAGE from noise, as far as some layers of the network represent it.

    Without --layers, the result is figure 1 of Gatys et al. 2016: content from low to high layers,
    or style from more and more of them; each picture is also written at its full size. The default
    size is 256 px.
    """
    target = OutputTarget(
        output,
        format,
        int(bit_depth),
        has_metadata=not no_metadata,
        should_replace=force,
        suffix=f"_{term}",
    )
    target.check_json(as_json)
    target.check_early(image)
    with handle_stop_signals() as stop:
        from impasto.images.limits import Limits
        from impasto.library import synthesis

        limits = Limits(max_megabytes, max_megapixels)
        if layers is None:
            planned = synthesis.plan_figure(image, term, limits=limits, **given(settings))
            varied: VariedSettings = {f"{term}_layers": list(synthesis.FIGURE[term])}
            draw_sheet = partial(synthesis.figure, planned[0].prepare(), term)
            return execute_series(
                planned,
                varied,
                target,
                stop,
                as_json=as_json,
                is_quiet=quiet,
                draw_sheet=draw_sheet,
            )
        job = synthesis.prepare_reconstruction(
            image, term, layers, limits=limits, **given(settings)
        )
        run_files = RunFileWriter(target, job)
        return execute_run(job, None, target, run_files, stop, as_json=as_json, is_quiet=quiet)
