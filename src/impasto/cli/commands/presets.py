"""``impasto presets``: the list of presets."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from impasto.base.errors import RecipeError, unknown
from impasto.cli.options import debug_option, json_option
from impasto.settings.recipe import build
from impasto.settings.recipe_files import (
    DEFAULT_PRESET,
    preset_about,
    preset_files,
    user_preset_folder,
)


@click.command
@click.argument("name", required=False)
@json_option
@debug_option
def presets(name: str | None, as_json: bool, debug: bool) -> None:
    """List the presets, or print the TOML file of one: save it, change it, and give it to --preset
    or --recipe, or keep it among your own.
    """
    files = preset_files()
    if name is not None:
        if name not in files:
            raise RecipeError(unknown("preset", name, files))
        if as_json:
            click.echo(build(preset=name).model_dump_json())
        else:
            click.echo(files[name].read_text(encoding="utf-8"), nl=False)
        return
    if as_json:
        click.echo(json.dumps({name: preset_about(path) for name, path in files.items()}))
        return
    table = Table("preset", "what it does")
    for preset, path in files.items():
        about = preset_about(path)
        table.add_row(preset, f"{about} (default)" if preset == DEFAULT_PRESET else about)
    Console().print(table)
    folder = user_preset_folder()
    if folder is not None:
        click.echo(f"Your own presets are the TOML files in {folder}")
