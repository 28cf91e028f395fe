"""``impasto report``: one page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from impasto.base import files
from impasto.base.errors import ImageError
from impasto.cli.options import FILE, debug_option, force_option
from impasto.cli.recorded_inputs import find_recorded
from impasto.settings.records import Original, read_note, read_record

MEASURED_FIELDS = ("output", "width", "height", "steps", "seconds", "peak_rss_mb")


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
    record = read_record(run) if run.suffix.lower() == ".json" else None
    note = record or read_note(run)
    picture = run if record is None else _picture_of(record.output, run)

    from impasto.runs.history import History
    from impasto.views.report import Run, run_report

    def find(original: Original) -> str | None:
        try:
            return find_recorded(original, run)
        except ImageError as error:
            click.echo(f"{error}: left out", err=True)
            return None

    styles = [find(style) for style in note.styles]
    measured = note.model_dump(include={*MEASURED_FIELDS}, exclude_none=True)
    machine = {} if record is None else record.machine
    points = [] if record is None else [point.model_dump() for point in record.history]
    page = run_report(
        Run(
            picture,
            find(note.content) if note.content.name else None,
            [_source(style) for style in styles if style is not None],
            note.model_dump(),
            {**measured, **machine},
            History.from_list(points),
        )
    )
    files.write_atomically(output, page.encode("utf-8", "replace"))
    click.echo(str(output))


def _source(style: str) -> Any:
    """Return the file of a style image, or the thumbnail of a built-in or learned style."""
    from impasto.networks import styles
    from impasto.styles import library, names

    if names.is_built_in(style):
        return styles.thumbnail(style)
    painting = names.painting(style)
    if painting is not None:
        return painting
    learned = names.style_file(style)
    return style if learned is None else library.info_of(learned).thumbnail


def _picture_of(output: str, run: Path) -> Path:
    """Return the picture of a run.

    Its path in the record may be relative to the working folder or to the record, or the picture
    may have been moved together with the record.

    Raises:
        ImageError: It isn't there.
    """
    for candidate in (Path(output), run.parent / output, run.parent / Path(output).name):
        if output and files.is_file(candidate):
            return candidate
    raise ImageError(f"{run} is about {output or 'no picture'}, which isn't here")
