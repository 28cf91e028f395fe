"""``impasto studio``: the web page and the REST API."""

from __future__ import annotations

from pathlib import Path

import click

from impasto.base import extras
from impasto.cli.options import debug_option
from impasto.studio.settings import DEFAULT_HOST, DEFAULT_PORT, Settings, default_data_folder

SHUTDOWN_S = 3


@click.command
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="Where to listen.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--token",
    metavar="TEXT",
    envvar="IMPASTO_STUDIO_TOKEN",
    help="Who doesn't give it is refused; needed where other machines can reach it.",
)
@click.option("--name", "names", multiple=True, metavar="HOST", help="A host name it is known by.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=default_data_folder,
    metavar="DIR",
    help="Where pictures and their history are kept.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Pictures painted at once.",
)
@click.option(
    "--queue",
    type=click.IntRange(1, 10000),
    default=50,
    show_default=True,
    help="How many may wait.",
)
@click.option(
    "--keep-days",
    type=click.FloatRange(0),
    default=30,
    show_default=True,
    help="Pictures older than that go.",
)
@click.option(
    "--keep-gigabytes",
    type=click.FloatRange(0),
    default=10,
    show_default=True,
    help="The oldest go when all take more than that.",
)
@click.option(
    "--https",
    is_flag=True,
    help="Encrypted, with a certificate of its own: a phone's camera needs it.",
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path),
    metavar="PEM",
    help="Encrypted, with this certificate and its key, in one file.",
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

    from impasto.studio.serve import serve

    serve(settings, say=click.echo, open_browser=open_browser)
    return 0
