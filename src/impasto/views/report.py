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
    """The inputs of a report about a run.

    Attributes:
        picture: The stylized image.
        content: The content image, or None if it isn't at hand.
        styles: The style images.
        note: The note inside the picture.
        measured: Seconds, steps, memory and machine.
        history: The losses over time.
    """

    picture: Source
    content: Source | None
    styles: Sequence[Source]
    note: Mapping[str, Any]
    measured: Mapping[str, Any] = field(default_factory=dict)
    history: History = field(default_factory=History)


def run_report(run: Run) -> str:
    """Return the page about a run: inputs, picture, wipe, settings, losses, timings, machine."""
    picture = shown(run.picture)
    content = None if run.content is None else shown(run.content)
    inputs = {} if content is None else {"content": content}
    inputs |= {f"style {index + 1}": shown(style) for index, style in enumerate(run.styles)}
    versions = [
        (f"{kind} {name}", value)
        for kind in ("computed", "versions")
        for name, value in run.note.get(kind, {}).items()
    ]
    return html.page(
        "run.html",
        title=_title(run.note),
        inputs=inputs,
        picture=picture,
        before=None if content is None else html.same_size(content, picture),
        curves=_curves(run.history) if run.history.points else {},
        measured=[(name.replace("_", " "), value) for name, value in run.measured.items()],
        settings=sorted(run.note.get("recipe", {}).items()),
        versions=versions,
    )


def _title(note: Mapping[str, Any]) -> str:
    """Return the names of the images that a picture was made from."""
    names = [part.get("name") for part in (note.get("content", {}), *note.get("styles", []))]
    return " + ".join(Path(name).name for name in names if name) or "A picture"


def _curves(history: History) -> dict[str, Any]:
    """Return matplotlib Figures by their captions."""
    return {
        "losses over steps": plots.losses(history, over="steps"),
        "losses over seconds": plots.losses(history, over="seconds"),
        "losses by layer": plots.losses(history, by="layer"),
    }


@dataclass(frozen=True)
class Pair:
    """The results of several methods for one pair: table rows, pictures and histories by name."""

    name: str
    content: Source
    style: Source
    rows: Sequence[Mapping[str, Any]]
    pictures: Mapping[str, Source]
    histories: Mapping[str, History]


def comparison_report(
    pairs: Sequence[Pair], means: Sequence[Mapping[str, Any]], machine: Mapping[str, str]
) -> str:
    """Return the page about several methods: of each pair the pictures, the table and the curves;
    means and ranks of several pairs.
    """
    return html.page(
        "comparison.html",
        title="Methods compared",
        means=_table(means) if len(pairs) > 1 else None,
        pairs=[
            {
                "name": pair.name,
                "sheet": plots.contact_sheet(
                    {"content": pair.content, "style": pair.style, **pair.pictures}
                ),
                "table": _table(pair.rows),
                "convergence": plots.convergence(pair.histories),
            }
            for pair in pairs
        ],
        machine=machine.items(),
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return mappings with the same keys as the header and the rows of a table."""
    header = list(rows[0]) if rows else []
    return {"header": header, "rows": [[row.get(name, "") for name in header] for row in rows]}


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
