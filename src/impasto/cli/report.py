"""``impasto report``: one page about a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from impasto import files
from impasto.cli.options import FILE, debug_option, force_option
from impasto.cli.originals import find_again
from impasto.errors import ImageError, RecipeError, reason

MEASURED = ("output", "width", "height", "steps", "seconds", "peak_rss_mb")


@click.command
@click.argument("run", type=FILE)
@click.option("-o", "--output", type=FILE, metavar="FILE.html", help="RUN.html by default.")
@force_option
@debug_option
def report(run: Path, output: Path | None, force: bool, debug: bool) -> None:
    """Write one self-contained HTML page about RUN: what --record wrote (RUN.json), or a picture
    that impasto made. Pictures, before and after, settings, losses, timings, machine.
    """
    output = output or run.with_suffix(".html")
    files.check_writable(output, force=force)
    note = _note(run)
    picture = run
    if run.suffix.lower() == ".json":
        picture = _beside(str(note.get("output", "")), run)

    from impasto import report as reports
    from impasto.history import History

    def found(entry: dict[str, Any]) -> str | None:
        try:
            return find_again(entry, run)
        except ImageError as error:
            click.echo(f"{error}: left out", err=True)
            return None

    content = note.get("content", {})
    styles = [found(style) for style in note.get("styles", [])]
    measured = {name: note[name] for name in MEASURED if note.get(name) is not None}
    page = reports.run_report(
        reports.Run(
            picture,
            found(content) if content.get("name") else None,
            [_source(style) for style in styles if style is not None],
            note,
            {**measured, **note.get("machine", {})},
            History.from_list(note.get("history", [])),
        )
    )
    files.write_atomically(output, page.encode("utf-8", "replace"))
    click.echo(str(output))


def _source(style: str) -> Any:
    """A painting's file, or how a built-in style looks."""
    from impasto.networks import styles

    built_in = style in styles.NAMES and not files.exists(Path(style))
    return styles.thumbnail(style) if built_in else style


def _note(run: Path) -> dict[str, Any]:
    if run.suffix.lower() != ".json":
        from impasto.images import metadata

        return metadata.read_note(run)
    try:
        note = json.loads(run.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{run} can't be read: {reason(error)}") from error
    except ValueError as error:
        raise RecipeError(f"{run} isn't JSON: {error}") from error
    if (
        not isinstance(note, dict)
        or not isinstance(note.get("recipe"), dict)
        or "history" not in note
    ):
        raise RecipeError(f"{run} isn't what impasto --record writes")
    return note


def _beside(output: str, run: Path) -> Path:
    """The picture of a run: where it was, seen from here or from the record, or beside it."""
    for candidate in (Path(output), run.parent / output, run.parent / Path(output).name):
        if output and files.is_file(candidate):
            return candidate
    raise ImageError(f"{run} is about {output or 'no picture'}, which isn't here")
