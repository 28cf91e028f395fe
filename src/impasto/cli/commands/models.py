"""``impasto models``: the network weights, installed and available."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn
from rich.table import Table

from impasto.base.errors import WeightsError
from impasto.cli.options import debug_option, json_option
from impasto.networks import weights


@click.group
def models() -> None:
    """List, check, fetch and remove network weights."""


@models.command("list")
@json_option
@debug_option
def list_models(as_json: bool, debug: bool) -> None:
    """List the weights: size, licence, source, and whether they are here and undamaged."""
    rows = [
        {
            "name": entry.name,
            "description": entry.description,
            "size": entry.size,
            "licence": entry.licence,
            "source": entry.url or entry.source,
            "digest": entry.digest,
            "state": weights.state(entry),
        }
        for entry in weights.CATALOGUE.values()
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    table = Table("name", "what", "size", "licence", "source", "here")
    for row, entry in zip(rows, weights.CATALOGUE.values(), strict=True):
        size = f"{entry.size / 1e6:.0f} MB"
        state = str(row["state"])
        table.add_row(entry.name, entry.description, size, entry.licence, entry.source, state)
    Console().print(table)


@models.command()
@click.argument("name", required=False)
@debug_option
def verify(name: str | None, debug: bool) -> None:
    """Check the hash of NAME, or of all weights that are here."""
    entries = [weights.find(name)] if name else list(weights.CATALOGUE.values())
    for entry in entries:
        if name is None and weights.state(entry) == "missing":
            continue
        path = weights.verified_path(entry)
        click.echo(f"{entry.name}: ok ({entry.digest}, {path})")


@models.command()
@click.argument("name")
@debug_option
def path(name: str, debug: bool) -> None:
    """Print the file of NAME."""
    entry = weights.find(name)
    if weights.state(entry) == "missing":
        weights.verified_path(entry)  # says how to get it
    click.echo(str(entry.path))


@models.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Fetch it again even if it is here.")
@debug_option
def pull(name: str, force: bool, debug: bool) -> None:
    """Fetch NAME from its official source into the cache."""
    entry = weights.find(name)
    if entry.url is None:
        weights.verified_path(entry)
        click.echo(f"{name} comes with impasto and is in order")
        return
    if not force and weights.state(entry) == "ok":
        click.echo(f"{name} is here already: {entry.path}")
        return
    if weights.offline():
        raise WeightsError(
            f"{name} can't be fetched: IMPASTO_OFFLINE forbids the network; unset it, or put the"
            f" file at {entry.path} yourself"
        )
    from impasto.networks import download

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=entry.size)
        for received in download.fetch(entry.url, entry.path, entry.digest):
            bar.update(task, completed=received)
    click.echo(str(entry.path))


@models.command()
@click.argument("name")
@debug_option
def rm(name: str, debug: bool) -> None:
    """Remove the fetched file of NAME from the cache."""
    entry = weights.find(name)
    if entry.url is None:
        raise WeightsError(f"{name} comes with impasto and can't be removed")
    if not weights.remove(entry.path):
        raise WeightsError(f"the weights {name} aren't here; there is nothing to remove")
    click.echo(f"removed {entry.path}")
