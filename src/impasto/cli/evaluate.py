"""``impasto evaluate``: how good a stylized picture is, in numbers."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from impasto.cli.options import (
    debug_option,
    json_option,
    max_megabytes_option,
    max_megapixels_option,
)

MEANINGS = {
    "style_covariance": ("0", "texture unlike the painting's"),
    "style_wasserstein": ("0", "features far from the painting's"),
    "content_features": ("0", "things unlike the photo's, up to 2"),
    "content_ssim": ("1", "light and dark like the photo's"),
    "content_edges": ("1", "edges where the photo has them"),
    "palette": ("0", "colours far from the painting's"),
    "roughness": ("near 1", "fine detail over the painting's"),
    "border": ("near 1", "edge stands out over the painting's"),
}
"""Of each number, where it is best and what it is."""

COSTS = {
    "content": "Gatys et al. 2016, equation 1",
    "style": "equation 5",
    "total": "equation 7: 1e-3 · content + style",
}


@click.command
@click.argument("result")
@click.option("--content", required=True, metavar="FILE", help="The photo it was made of.")
@click.option(
    "--style",
    "styles",
    required=True,
    multiple=True,
    metavar="FILE",
    help="The painting; may be given again for several, then means are printed.",
)
@json_option
@max_megapixels_option
@max_megabytes_option
@debug_option
def evaluate(
    result: str,
    content: str,
    styles: tuple[str, ...],
    as_json: bool,
    max_megapixels: float,
    max_megabytes: float,
    debug: bool,
) -> None:
    """Measure the stylized picture RESULT against the photo and the painting it was made of: style,
    content, palette, roughness and border, in ways that no preset optimises; and the costs that
    the paper minimises.
    """
    from impasto.evaluation import costs, evaluate
    from impasto.images.limits import Limits

    limits = Limits(max_megabytes, max_megapixels)
    numbers = evaluate(result, content, styles, limits=limits)
    paid = costs(result, content, styles, limits=limits).as_dict()
    if as_json:
        click.echo(json.dumps({**numbers.as_dict(), "costs": paid}))
        return
    table = Table("", "value", "best", "what it is")
    for name, value in numbers.as_dict().items():
        table.add_row(name.replace("_", " "), f"{value:.3f}", *MEANINGS[name])
    for name, value in paid.items():
        table.add_row(f"{name} cost", f"{value:.4g}", "0", COSTS[name])
    Console().print(table)
