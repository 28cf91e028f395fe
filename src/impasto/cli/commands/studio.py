"""``impasto studio``: the web page and the REST API."""

from __future__ import annotations

from pathlib import Path

import click

from impasto.base import extras
from impasto.cli.options import debug_option
from impasto.studio.server.settings import DEFAULT_HOST, DEFAULT_PORT, Settings, default_data_folder

SHUTDOWN_S = 3


@click.command
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen on; 0 selects a free one.",
)
@click.option(
    "--token",
    metavar="TEXT",
    envvar="IMPASTO_STUDIO_TOKEN",
    help="Access token. Required unless the server is local only.",
)
@click.option("--name", "names", multiple=True, metavar="HOST", help="A host name of the server.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=default_data_folder,
    metavar="DIR",
    help="Folder of pictures and their history.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="How many pictures are made at the same time.",
)
@click.option(
    "--queue",
    type=click.IntRange(1, 10000),
    default=50,
    show_default=True,
    help="How many jobs may wait.",
)
@click.option(
    "--keep-days",
    type=click.FloatRange(0),
    default=30,
    show_default=True,
    help="Pictures older than that are deleted.",
)
@click.option(
    "--keep-gigabytes",
    type=click.FloatRange(0),
    default=10,
    show_default=True,
    help="The oldest pictures are deleted if all take more than that.",
)
@click.option(
    "--https",
    is_flag=True,
    help="Use HTTPS with a certificate made by the server; a phone's camera needs it.",
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path),
    metavar="PEM",
    help="Use HTTPS with this certificate and its key, in one file.",
)
@click.option("--open", "open_browser", is_flag=True, help="Open the page in a browser.")
@debug_option
def studio(
    host: str,
    port: int,
    token: str | None,
    names: tuple[str, ...],
    data: Path,
    workers: int,
    queue: int,
    keep_days: float,
    keep_gigabytes: float,
    https: bool,
    certificate: Path | None,
    open_browser: bool,
    debug: bool,
) -> int:
    """Serve a page to make pictures in, and a REST API, until Ctrl-C."""
    settings = Settings(
        data.absolute(), host, port, token, names, workers, queue,
        keep_days=keep_days, keep_gigabytes=keep_gigabytes, https=https, certificate=certificate,
    )  # fmt: skip

    extras.require("studio")

    from impasto.studio.server.serve import serve

    serve(settings, say=click.echo, open_browser=open_browser)
    return 0
