"""``impasto methods``: the algorithms."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from impasto.cli.options import debug_option, json_option
from impasto.settings.methods import DEFAULT_METHOD, METHODS
from impasto.settings.recipe import Recipe


@click.command
@json_option
@debug_option
def methods(as_json: bool, debug: bool) -> None:
    """List the methods, and the settings that only one of them has."""
    known = {
        name: {
            "summary": method.summary,
            "settings": [own for own in method.settings.model_fields if own not in COMMON],
        }
        for name, method in METHODS.usable()
    }
    if as_json:
        click.echo(json.dumps(known))
        return
    table = Table("method", "what it does", "its own settings")
    for name, method in known.items():
        default = " (default)" if name == DEFAULT_METHOD else ""
        table.add_row(name, f"{method['summary']}{default}", ", ".join(method["settings"]))
    Console().print(table)


COMMON = frozenset(Recipe.model_fields)
"""The settings that every method has."""
