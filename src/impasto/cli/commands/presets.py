"""``impasto presets``: the list of presets."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from impasto.base.errors import RecipeError, unknown
from impasto.cli.options import debug_option, json_option
from impasto.settings import recipe_files
from impasto.settings.build import build
from impasto.settings.recipe_files import DEFAULT_PRESET, user_preset_folder


@click.command
@click.argument("name", required=False)
@json_option
@debug_option
def presets(name: str | None, as_json: bool, debug: bool) -> None:
    """List the presets, or print the TOML file of one: save it, change it, and give it to --preset
    or --recipe, or keep it among your own.
    """
    known = recipe_files.presets()
    if name is not None:
        if name not in known:
            raise RecipeError(unknown("preset", name, known))
        if as_json:
            click.echo(build(preset=name).model_dump_json())
        else:
            click.echo(known[name].text(), nl=False)
        return
    if as_json:
        click.echo(json.dumps({preset.name: preset.about for preset in known.values()}))
        return
    table = Table("preset", "what it does")
    for preset in known.values():
        is_default = preset.name == DEFAULT_PRESET
        table.add_row(preset.name, f"{preset.about} (default)" if is_default else preset.about)
    Console().print(table)
    folder = user_preset_folder()
    if folder is not None:
        click.echo(f"Your own presets are the TOML files in {folder}")
