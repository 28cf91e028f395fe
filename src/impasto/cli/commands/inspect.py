"""``impasto inspect``: what the network sees in two images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from impasto.base import extras, files
from impasto.base.errors import OutputError
from impasto.cli.options import (
    FILE,
    debug_option,
    force_option,
    json_option,
    max_megabytes_option,
    max_megapixels_option,
    preset_option,
)

if TYPE_CHECKING:
    from impasto.measures.inspection import Inspection


@click.command
@click.argument("content")
@click.argument("style")
@click.option("--size", default=512, show_default=True, help="Long side of both images, px.")
@preset_option
@click.option("--stylized", metavar="FILE", help="Compare with this picture's deltas.")
@click.option(
    "--figure", type=FILE, metavar="OUT.png", help="Draw both images and their deltas into a PNG."
)
@click.option("--features", is_flag=True, help="Also draw feature maps, as OUT-features.png.")
@click.option("--gram", is_flag=True, help="Also draw the Gram matrices, as OUT-gram.png.")
@json_option
@force_option
@max_megapixels_option
@max_megabytes_option
@debug_option
def inspect(
    content: str,
    style: str,
    size: int,
    preset: str | None,
    stylized: str | None,
    figure: Path | None,
    features: bool,
    gram: bool,
    as_json: bool,
    force: bool,
    max_megapixels: float,
    max_megabytes: float,
    debug: bool,
) -> None:
    """Show statistics of the network's features for CONTENT and STYLE.

    These are its layers; shape, minimum, maximum and mean of the style layers' outputs for STYLE,
    of the Gram matrices and of the content layers for CONTENT; and total variation. Images are
    loaded as the preset says, by default "tutorial".
    """
    paths = _figure_paths(figure, features, gram)
    for path in paths.values():
        files.check_writable(path, force=force)

    from impasto.images.limits import Limits
    from impasto.measures import inspection

    result = inspection.look(
        content,
        style,
        stylized=stylized,
        preset=preset or "tutorial",
        limits=Limits(max_megabytes, max_megapixels),
        size=size,
    )
    numbers = result.numbers
    if as_json:
        click.echo(json.dumps(numbers.as_dict()))
    else:
        _print_tables(numbers)
    if paths:
        from impasto.views import plots

        figures = {
            "overview": lambda: plots.overview(result.content, result.style, result.stylized),
            "features": lambda: plots.feature_maps(result.features),
            "gram": lambda: plots.gram_matrices(result.grams),
        }
        for name, path in paths.items():
            files.write_atomically(path, plots.as_png(figures[name]()))
            click.echo(str(path), err=as_json)


def _figure_paths(figure: Path | None, features: bool, gram: bool) -> dict[str, Path]:
    """Return the files of the figures that are asked for, by the figure's name."""
    if figure is None:
        if features or gram:
            raise OutputError("--features and --gram need --figure OUT.png, to know where to draw")
        return {}
    extras.require("plots")
    if figure.suffix.lower() != ".png":
        raise OutputError(f"{figure} should end in .png; figures are drawn as PNG")
    paths = {"overview": figure}
    for name, is_wanted in (("features", features), ("gram", gram)):
        if is_wanted:
            paths[name] = files.named(figure, figure.stem, f"-{name}.png")
    return paths


def _print_tables(numbers: Inspection) -> None:
    from impasto.measures.inspection import tables

    console = Console()
    for title, header, rows in tables(numbers):
        table = Table(*header, title=title)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(f"Total variation of the content image: {numbers.total_variation:.6g}")
    if numbers.stylized_total_variation is not None:
        console.print(
            f"Total variation of the stylized image: {numbers.stylized_total_variation:.6g}"
        )
