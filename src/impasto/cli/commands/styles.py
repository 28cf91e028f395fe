"""``impasto styles``: the list of all styles, and the user's library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.base import files
from impasto.base.errors import ImpastoError, RecipeError
from impasto.cli.inputs import check_input
from impasto.cli.options import FILE, debug_option, force_option, json_option
from impasto.styles import catalogue, library
from impasto.styles.catalogue import StyleEntry

if TYPE_CHECKING:
    from PIL import Image

COLUMNS = 8
"""Number of columns of a sheet."""
SHEET_PX = 320
"""Long side of the stylized photos on a sheet, px."""


@click.group(invoke_without_command=True)
@click.option("--sheet", type=FILE, metavar="FILE.png", help="Write a contact sheet of all styles.")
@click.option(
    "--with",
    "photo",
    metavar="PHOTO",
    help="With --sheet: paint this photo in each style, by the fastest method.",
)
@force_option
@json_option
@debug_option
@click.pass_context
def styles(
    context: click.Context,
    sheet: Path | None,
    photo: str | None,
    force: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """List the styles by name, for impasto photo.jpg --style NAME, and manage your library.

    Your library is a folder of style files, which impasto learn writes.
    """
    if context.invoked_subcommand is not None:
        return
    if photo is not None and sheet is None:
        raise RecipeError("--with needs --sheet FILE.png, the sheet to draw")
    if photo is not None:
        check_input(photo)
    found = catalogue.entries()
    if sheet is not None:
        files.check_writable(sheet, force=force)
        _write_sheet(sheet, found, photo)
    if as_json:
        click.echo(json.dumps([_row(entry) for entry in found], ensure_ascii=False))
        return
    width = max(len(entry.name) for entry in found)
    for entry in found:
        click.echo(f"{entry.name:<{width}}  {_kind(entry)}")


@styles.command()
@click.argument("name")
@json_option
@debug_option
def show(name: str, as_json: bool, debug: bool) -> None:
    """Describe the style NAME, or the style file NAME."""
    path = Path(name)
    if files.is_file(path):
        entry = StyleEntry(path.stem, path.stem, "yours", path)
    else:
        entry = catalogue.find(name)
    info = entry.info()
    values: dict[str, Any] = _row(entry)
    if info is not None and entry.file is not None:
        values |= info.model_dump(mode="json", exclude={"thumbnail", "history"}, exclude_none=True)
        values["file"] = str(entry.file)
        values["bytes"] = entry.file.stat().st_size
        if info.history:
            values["losses"] = info.history[-1].model_dump()
    if as_json:
        click.echo(json.dumps(values, ensure_ascii=False))
        return
    for key, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        click.echo(f"{key:<15}{text}")


@styles.command("import")
@click.argument("file", type=FILE)
@click.option("--name", metavar="NAME", help="Name in your library; by default, that of the file.")
@force_option
@debug_option
def import_(file: Path, name: str | None, force: bool, debug: bool) -> None:
    """Copy the style file FILE to your library."""
    click.echo(str(library.add(file, name, force=force)))


@styles.command()
@click.argument("old")
@click.argument("new")
@debug_option
def rename(old: str, new: str, debug: bool) -> None:
    """Rename the style OLD in your library to NEW."""
    click.echo(str(library.rename(old, new)))


@styles.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME [NAME ...]")
@debug_option
def rm(names: tuple[str, ...], debug: bool) -> None:
    """Delete styles from your library."""
    for name in names:
        library.find(name)
    for name in dict.fromkeys(names):
        library.remove(name)
        click.echo(f"deleted {name}")


def _kind(entry: StyleEntry) -> str:
    """Return a short description of the kind of a style."""
    if entry.origin == "yours":
        return "learned, in your library"
    if entry.origin == "built-in":
        return "built in, for the method instant"
    return "a painting" if entry.file is None else "a painting, with a learned style"


def _row(entry: StyleEntry) -> dict[str, Any]:
    """Return the JSON object of a style in the list."""
    return {"name": entry.name, "title": entry.title, "origin": entry.origin}


def _write_sheet(path: Path, found: list[StyleEntry], photo: str | None) -> None:
    """Write a contact sheet of styles: their thumbnails, or a photo in each style."""
    from impasto.images.sheet import Panel, contact_sheet
    from impasto.images.write import Encoding, encode_image, format_for

    panels = []
    for entry in found:
        try:
            image = entry.thumbnail() if photo is None else _painted(photo, entry)
        except ImpastoError as error:
            click.echo(f"{entry.name}: {error}", err=True)
            continue
        panels.append(Panel(image, entry.name))
    rows = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    files.write_atomically(path, encode_image(contact_sheet(rows), Encoding(format_for(path))))


def _painted(photo: str, entry: StyleEntry) -> Image.Image:
    """Return a photo in a style, painted in one pass."""
    from impasto.library import api

    style = entry.name if entry.file is None else str(entry.file)
    source = entry.painting if entry.file is None and entry.painting is not None else style
    method, pairs = api.in_one_pass(source)
    return api.stylize(photo, pairs, method=method, size=SHEET_PX).image
