"""``impasto evaluate``: measures of a stylized picture or film."""

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
"""Measure → its best value and its meaning."""

FILM_MEANINGS = {
    "warping_error": "change where the source's motion explains it, × 1000 (Lai et al. 2018)",
    "frame_difference": "change of brightness over the source's",
    "flicker": "deviation over time where the source stands still, of 255",
    "sharpness": "slope from pixel to pixel, of 255",
}
COSTS = {
    "content": "Gatys et al. 2016, equation 1",
    "style": "equation 5",
    "total": "equation 7: 1e-3 · content + style",
}


@click.command
@click.argument("result")
@click.option(
    "--content", required=True, metavar="FILE", help="The photo (or film) that it was made from."
)
@click.option(
    "--style",
    "styles",
    multiple=True,
    metavar="FILE",
    help="The painting; may be repeated, and then means are printed.",
)
@click.option("--video", is_flag=True, help="RESULT is a film: measure its temporal stability.")
@click.option(
    "--reference",
    metavar="FILE",
    help="With --video, the same film made frame by frame (--stability 0), to compare with.",
)
@json_option
@max_megapixels_option
@max_megabytes_option
@debug_option
def evaluate(
    result: str,
    content: str,
    styles: tuple[str, ...],
    video: bool,
    reference: str | None,
    as_json: bool,
    max_megapixels: float,
    max_megabytes: float,
    debug: bool,
) -> None:
    """Measure the stylized picture RESULT against the photo and the painting that it was made from.

    The measures are style, content, palette, roughness and border, which no preset optimises, and
    the costs that the paper minimises. With --video, they are those of the film's temporal
    stability, by the motion of the film that it was made from.
    """
    if video:
        _show_steadiness(result, content, reference, as_json=as_json)
        return
    if not styles:
        raise click.UsageError("--style is missing: the painting it was made of")
    if reference is not None:
        raise click.UsageError("--reference goes with --video")
    from impasto.images.limits import Limits
    from impasto.measures.evaluation import costs, evaluate

    limits = Limits(max_megabytes, max_megapixels)
    numbers = evaluate(result, content, styles, limits=limits)
    paper_costs = costs(result, content, styles, limits=limits).as_dict()
    if as_json:
        click.echo(json.dumps({**numbers.as_dict(), "costs": paper_costs}))
        return
    table = Table("", "value", "best", "what it is")
    for name, value in numbers.as_dict().items():
        table.add_row(name.replace("_", " "), f"{value:.3f}", *MEANINGS[name])
    for name, value in paper_costs.items():
        table.add_row(f"{name} cost", f"{value:.4g}", "0", COSTS[name])
    Console().print(table)


def _show_steadiness(result: str, content: str, reference: str | None, *, as_json: bool) -> None:
    """Print the measures of a film, and those of a reference beside them."""
    from impasto.video.measure import measure

    measured = measure(result, content).as_dict()
    other = None if reference is None else measure(reference, content).as_dict()
    if as_json:
        click.echo(json.dumps(measured if other is None else {**measured, "reference": other}))
        return
    columns = ("", "value", *(() if other is None else ("reference", "ratio")), "what it is")
    table = Table(*columns)
    for name, meaning in FILM_MEANINGS.items():
        shown = [_number(measured[name])]
        if other is not None:
            shown += [_number(other[name]), _ratio(measured[name], other[name])]
        table.add_row(name.replace("_", " "), *shown, meaning)
    Console().print(table)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _ratio(value: float | None, other: float | None) -> str:
    return f"{value / other:.3f}" if value is not None and other else "–"
