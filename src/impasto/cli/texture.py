"""``impasto texture STYLE``: a painting's style and no photo."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from impasto.base.errors import RecipeError
from impasto.cli.options import (
    FILE,
    given,
    picture_options,
    preset_option,
    recipe_options_without,
    run_options,
)
from impasto.cli.running import Keeper, stoppable
from impasto.cli.stylize import run, show_estimate, weighted_style
from impasto.cli.target import Target

ABOUT_THE_PHOTO = (
    "content_weight", "content_layers", "content_loss", "color", "mask", "underpaint", "detail",
    "mix", "print", "enlarge", "statistics",
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
@recipe_options_without("size", *ABOUT_THE_PHOTO)
@click.option("--dry-run", is_flag=True, help="Only say sizes, memory and time.")
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
    """Paint a texture of any size as STYLE is painted, from noise.

    --seamless yes makes its edges fit together, as for tiles. Strokes are as large as if the
    painting's long side were the texture's; --style-scale 0.5 halves them. Several styles are
    blended. Ctrl-C stops and keeps the picture so far.
    """
    width, height = parsed_size(size)
    target = Target(
        output, format, int(bit_depth), metadata=not no_metadata, force=force, suffix="_texture"
    )
    target.check_json(as_json)
    styles = [weighted_style(painting) for painting in paintings]
    target.check_early(styles[0][0])
    with stoppable() as stop:
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
            show_estimate(job, target.path_for(job), as_json)
            return 0
        keeper = Keeper(target, job, save_every=None, checkpoint=None, checkpoint_every=0)
        return run(job, None, target, keeper, stop, as_json=as_json, quiet=quiet)


def parsed_size(text: str) -> tuple[int, int]:
    """``"1024x512"`` → (1024, 512), ``"512"`` → (512, 512). Raises RecipeError."""
    match = re.fullmatch(r"\s*(\d{1,9})(?:\s*[x×*]\s*(\d{1,9}))?\s*", text, re.IGNORECASE)
    if match is None:
        raise RecipeError(
            f"a texture's size is WIDTHxHEIGHT, as in 1024x512, or one number; not '{text}'"
        )
    return int(match[1]), int(match[2] or match[1])
