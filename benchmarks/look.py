"""The look: recipes tried on the development set, with ``impasto evaluate``'s numbers.

    python benchmarks/look.py studio "less content:--content-weight 0.1" --into /tmp/look
                              [--pairs benchmarks/look_pairs.txt] [--only ink] [--size 512]

A recipe is a preset, or ``NAME:FLAGS`` with the command line's flags. Pictures are written to
``--into/NAME/PHOTO_STYLE.png`` and not made again if they are there. Prints and writes the numbers
of every picture and their means, the seconds, and the work in steps of the full size.
"""

from __future__ import annotations

import json
import shlex
import statistics
from pathlib import Path
from typing import Any

import common

import impasto
from impasto.methods.optimize.plan import plan_scales

PAIRS = Path(__file__).with_name("look_pairs.txt")
SHOWN = ("style_covariance", "style_wasserstein", "content_features", "roughness", "palette")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("recipes", nargs="+", help="a preset, or NAME:FLAGS")
    parser.add_argument("--into", type=Path, default=Path("look"))
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--only", default="", help="part of a pair's name")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    pairs = [pair for pair in read_pairs(arguments.pairs) if arguments.only in pair_name(*pair)]
    means = {}
    for text in arguments.recipes:
        name, settings = parse_recipe(text)
        settings = {"size": arguments.size, "device": arguments.device, **settings}
        rows = [measured(arguments.into / name, *pair, settings) for pair in pairs]
        means[name] = {
            key: statistics.fmean(row[key] for row in rows) for key in rows[0] if key != "pair"
        }
        print_row(name, {"pair": "mean", **means[name]})
    common.finish(arguments, {"size": arguments.size, "means": means})


def read_pairs(path: Path) -> list[tuple[Path, Path]]:
    """Photo and style image of each line; those whose images aren't at hand are left out."""
    root = Path(__file__).parents[1]
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    pairs = [tuple(root / part for part in line.split("\t")) for line in lines]
    return [(photo, style) for photo, style in pairs if photo.exists() and style.exists()]


def pair_name(photo: Path, style: Path) -> str:
    return f"{photo.stem}_{style.stem}"


def parse_recipe(text: str) -> tuple[str, dict[str, Any]]:
    """``NAME:--flag value …`` → its name and settings; a bare name is a preset's."""
    name, colon, flags = text.partition(":")
    if not colon:
        return name, {"preset": name}
    words = shlex.split(flags)
    keys = [word.removeprefix("--").replace("-", "_") for word in words[::2]]
    return name, dict(zip(keys, words[1::2], strict=True))


def measured(into: Path, photo: Path, style: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Make a picture, unless it is there, and measure it."""
    into.mkdir(parents=True, exist_ok=True)
    picture = into / f"{pair_name(photo, style)}.png"
    figures = picture.with_suffix(".json")
    if not figures.exists():
        result = impasto.stylize(photo, style, **settings)
        result.save(picture, force=True)
        numbers = impasto.evaluate(picture, photo, style).as_dict()
        row = {"pair": picture.stem, "seconds": result.seconds, "work": work(result), **numbers}
        figures.write_text(json.dumps(row))
    kept: dict[str, Any] = json.loads(figures.read_text())
    print_row(into.name, kept)
    return kept


def work(result: Any) -> float:
    """Steps of the full size that would update as many pixels as the run did."""
    height, width = result.height, result.width
    scales = plan_scales(result.recipe, height, width)
    return float(sum(scale.work for scale in scales) / (height * width))


def print_row(name: str, row: dict[str, Any]) -> None:
    numbers = "  ".join(f"{key[:9]} {row[key]:.3f}" for key in SHOWN)
    print(f"{name:12} {row['pair']:34} {row['seconds']:5.1f} s {row['work']:4.0f}  {numbers}")


if __name__ == "__main__":
    main()
