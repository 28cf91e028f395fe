"""``impasto texture STYLE``: a texture synthesized from a style image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from impasto.base.errors import RecipeError
from impasto.cli.inputs import weighted_style
from impasto.cli.interrupts import handle_stop_signals
from impasto.cli.options import (
    FILE,
    given,
    picture_options,
    preset_option,
    recipe_options_without,
    run_options,
)
from impasto.cli.run_files import RunFileWriter
from impasto.cli.running import execute_run
from impasto.cli.summaries import print_estimate
from impasto.cli.target import OutputTarget
from impasto.settings.methods import DEFAULT_METHOD

PHOTO_SETTINGS = (
    "content_weight", "content_layers", "content_loss", "color", "mask", "underpaint", "detail",
    "mix", "print", "enlarge",
)  # fmt: skip


@click.command
@click.argument("paintings", nargs=-1, required=True, metavar="STYLE [STYLE ...]")
@click.option(
    "--size",
    default="512",
    show_default=True,
    metavar="WIDTHxHEIGHT",
    help="Size of the texture, px; one number is a square.",
)
@picture_options
@preset_option
@click.option(
    "--recipe", type=FILE, metavar="FILE.toml|FILE.png", help="Settings from a file or picture."
)
@recipe_options_without("size", *PHOTO_SETTINGS, method=DEFAULT_METHOD)
@click.option("--dry-run", is_flag=True, help="Only print sizes, memory and time.")
@run_options
def texture(
    paintings: tuple[str, ...],
    size: str,
    output: str | None,
    format: str | None,
    bit_depth: str,
    no_metadata: bool,
    force: bool,
    preset: str | None,
    recipe: Path | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    max_megapixels: float,
    max_megabytes: float,
    debug: bool,
    **settings: Any,
) -> int:
    """Synthesize a texture of any size in the style of STYLE, from noise.

    --seamless yes makes its edges fit together, as for tiles. Strokes are as large as if the
    painting's long side were the texture's; --style-scale 0.5 halves them. Several styles are
    blended. Ctrl-C stops and keeps the picture so far.
    """
    width, height = _parsed_size(size)
    target = OutputTarget(
        output,
        format,
        int(bit_depth),
        has_metadata=not no_metadata,
        should_replace=force,
        suffix="_texture",
    )
    target.check_json(as_json)
    styles = [weighted_style(painting) for painting in paintings]
    target.check_early(styles[0][0])
    with handle_stop_signals() as stop:
        from impasto.images.limits import Limits
        from impasto.library import synthesis

        job = synthesis.prepare_texture(
            styles,
            width,
            height,
            preset=preset,
            recipe=recipe,
            limits=Limits(max_megabytes, max_megapixels),
            **given(settings),
        )
        if dry_run:
            print_estimate(job, target.path_for(job), as_json=as_json)
            return 0
        run_files = RunFileWriter(target, job)
        return execute_run(job, None, target, run_files, stop, as_json=as_json, is_quiet=quiet)


def _parsed_size(text: str) -> tuple[int, int]:
    """Return the size that ``"1024x512"`` or ``"512"`` stands for. Raises RecipeError."""
    match = re.fullmatch(r"\s*(\d{1,9})(?:\s*[x×*]\s*(\d{1,9}))?\s*", text, re.IGNORECASE)
    if match is None:
        raise RecipeError(
            f"a texture's size is WIDTHxHEIGHT, as in 1024x512, or one number; not '{text}'"
        )
    return int(match[1]), int(match[2] or match[1])
