"""``impasto classify``: the ImageNet classes that VGG-19 sees in an image."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from impasto.cli.options import (
    FILE,
    debug_option,
    json_option,
    max_megabytes_option,
    max_megapixels_option,
)


@click.command
@click.argument("image")
@click.option(
    "--weights",
    type=FILE,
    metavar="FILE",
    help="VGG-19 with its top: a Keras .h5 or torchvision .pth file; by default the pulled one.",
)
@click.option("--top", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many.")
@json_option
@max_megapixels_option
@max_megabytes_option
@debug_option
def classify(
    image: str,
    weights: Path | None,
    top: int,
    as_json: bool,
    max_megapixels: float,
    max_megabytes: float,
    debug: bool,
) -> None:
    """Say which of ImageNet's 1,000 classes VGG-19 sees in IMAGE, with probabilities.

    It needs the weights with the top, which are large: impasto models pull vgg19-keras-top
    """
    from impasto.images.limits import Limits
    from impasto.images.read import read
    from impasto.networks.classifier import top_classes
    from impasto.networks.load import load_classifier

    picture = read(image, limits=Limits(max_megabytes, max_megapixels))
    classes = top_classes(load_classifier(weights), picture.rgb, top)
    if as_json:
        rows = [{"class": name, "probability": probability} for name, probability in classes]
        click.echo(json.dumps({"image": image, "classes": rows}))
        return
    table = Table("class", "probability")
    for name, probability in classes:
        table.add_row(name, f"{probability:.1%}")
    Console().print(table)
