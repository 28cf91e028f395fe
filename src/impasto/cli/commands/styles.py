"""``impasto styles``: the built-in styles."""

from __future__ import annotations

import io
import json
from pathlib import Path

import click

from impasto.base import files
from impasto.cli.options import FILE, debug_option, force_option, json_option
from impasto.networks.styles import NAMES, thumbnail

COLUMNS = 9


@click.command
@click.option("--sheet", type=FILE, metavar="FILE.png", help="Draw one photo in each of them.")
@force_option
@json_option
@debug_option
def styles(sheet: Path | None, force: bool, as_json: bool, debug: bool) -> None:
    """List the built-in styles, which need no painting: impasto photo.jpg --style NAME."""
    if sheet is not None:
        files.check_writable(sheet, force=force)
        files.write_atomically(sheet, _sheet(sheet))
    if as_json:
        click.echo(json.dumps(list(NAMES)))
    else:
        click.echo("\n".join(NAMES))


def _sheet(path: Path) -> bytes:
    """Return a sheet of all styles, encoded as the file's name asks for."""
    from PIL import Image

    from impasto.images.sheet import Panel, contact_sheet
    from impasto.images.write import Encoding, encode_image, format_for

    panels = [Panel(Image.open(io.BytesIO(thumbnail(name))), name) for name in NAMES]
    rows = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    return encode_image(contact_sheet(rows), Encoding(format_for(path)))
