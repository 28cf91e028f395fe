"""One self-contained page about a run, and one about several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from impasto.images.read import Source, read
from impasto.images.write import quantize
from impasto.runs.history import History
from impasto.views import html, plots

SHOWN_PX = 900


@dataclass(frozen=True)
class Run:
    """What is known of a run. ``note`` is what the picture says of itself; ``measured`` what else
    there is: seconds, steps, memory, machine.
    """

    picture: Source
    content: Source | None
    styles: Sequence[Source]
    note: Mapping[str, Any]
    measured: Mapping[str, Any] = field(default_factory=dict)
    history: History = field(default_factory=History)


def run_report(run: Run) -> str:
    """The page: inputs, picture, wipe, settings, losses, timings, machine."""
    made = shown(run.picture)
    parts = []
    inputs = {} if run.content is None else {"content": shown(run.content)}
    inputs |= {f"style {index + 1}": shown(style) for index, style in enumerate(run.styles)}
    if inputs:
        parts.append(html.section("Inputs", html.side_by_side(inputs)))
    parts.append(html.section("Picture", html.picture(made)))
    if run.content is not None:
        parts.append(html.section("Before and after", html.wipe(shown(run.content), made)))
    if run.history.points:
        parts.append(html.section("Losses", *_curves(run.history)))
    measured = [(name.replace("_", " "), value) for name, value in run.measured.items()]
    if measured:
        parts.append(html.section("Measured", html.table(measured)))
    settings = run.note.get("recipe", {})
    parts.append(html.section("Settings", html.table(sorted(settings.items()))))
    about = [
        (f"{kind} {name}", value)
        for kind in ("computed", "versions")
        for name, value in run.note.get(kind, {}).items()
    ]
    parts.append(html.section("Made with", html.table(about)))
    names = [
        part.get("name") for part in (run.note.get("content", {}), *run.note.get("styles", []))
    ]
    title = " + ".join(Path(name).name for name in names if name) or "A picture"
    return html.page(title, *parts)


def _curves(history: History) -> list[str]:
    return [
        html.chart(plots.losses(history, over="steps"), "losses over steps"),
        html.chart(plots.losses(history, over="seconds"), "losses over seconds"),
        html.chart(plots.losses(history, by="layer"), "losses by layer"),
    ]


@dataclass(frozen=True)
class Pair:
    """What several methods made of one pair: rows of the table, pictures and histories by name."""

    name: str
    content: Source
    style: Source
    rows: Sequence[Mapping[str, Any]]
    pictures: Mapping[str, Source]
    histories: Mapping[str, History]


def comparison_report(
    pairs: Sequence[Pair], means: Sequence[Mapping[str, Any]], machine: Mapping[str, str]
) -> str:
    """The page: of each pair the pictures, the table and the curves; means and ranks of several."""
    parts = []
    if len(pairs) > 1:
        parts.append(html.section("All pairs: means, and mean ranks", rows_table(means)))
    for pair in pairs:
        images = {"content": pair.content, "style": pair.style, **pair.pictures}
        parts.append(
            html.section(
                pair.name,
                html.chart(plots.contact_sheet(images), "the pictures"),
                rows_table(pair.rows),
                html.chart(plots.convergence(pair.histories), "convergence over seconds"),
            )
        )
    parts.append(html.section("Machine", html.table(machine.items())))
    return html.page("Methods compared", *parts)


def rows_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Mappings with the same keys as a table."""
    header = list(rows[0]) if rows else []
    return html.table([[row.get(name, "") for name in header] for row in rows], header)


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same in Markdown."""
    header = list(rows[0]) if rows else []
    lines = [header, ["---"] * len(header), *([_short(row.get(n)) for n in header] for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def _short(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else escape(str(value), quote=False)


def shown(source: Source) -> Image.Image:
    """A picture as a page shows it."""
    image = Image.fromarray(quantize(plots.array(read(source)), 8))
    image.thumbnail((SHOWN_PX, SHOWN_PX))
    return image
