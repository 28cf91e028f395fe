"""Runs the server: address, certificate, lock and signals."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from urllib.parse import quote

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from impasto.base.errors import OutputError, reason
from impasto.studio.jobs.store import Store
from impasto.studio.server import lock
from impasto.studio.server.app import create_app
from impasto.studio.server.certificate import check, fingerprint, own_address, own_certificate
from impasto.studio.server.connections import (
    Connections,
    RequestProtocol,
    new_event_loop,
    raise_descriptor_limit,
)
from impasto.studio.server.settings import WILDCARDS, Settings, prepare_data_folder

BACKLOG = 1000
"""Connections that may wait until the server is ready."""
SHUTDOWN_S = 2
"""Seconds that requests have to end at shutdown."""
MAX_SOCKET_MESSAGE_BYTES = 10_000_000


def serve(settings: Settings, *, say: Callable[[str], object], open_browser: bool) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        settings: How the studio is started.
        say: Prints a line for the user.
        open_browser: Open the page in a browser.

    Raises:
        OutputError: The address or the data folder is in use, or can't be used.
    """
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    prepare_data_folder(settings.data)
    listener = _listen(settings)
    settings = replace(settings, port=listener.getsockname()[1])
    certificate = _certificate(settings)
    held = lock.hold(settings.data)
    Store(settings.data).close()  # its errors come before the address is printed
    app = create_app(settings, () if held is None else (held,))
    shared = Connections(raise_descriptor_limit())
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=SHUTDOWN_S,
        http=partial(RequestProtocol, shared=shared),  # type: ignore[arg-type]
        ws=_Socket,
        ws_max_size=MAX_SOCKET_MESSAGE_BYTES,
        ssl_certfile=certificate,
    )
    address = _address(settings, "127.0.0.1" if settings.host in WILDCARDS else settings.host)
    say(f"the studio is at {address}")
    if settings.host in WILDCARDS and (own := own_address()) is not None:
        say(f"other machines reach it at {_address(settings, own)}")
    if certificate is not None and settings.certificate is None:
        say(
            "browsers ask once whether to believe its certificate, whose SHA-256 is"
            f" {fingerprint(certificate)}"
        )
    say(f"pictures are kept in {settings.data}; Ctrl-C ends it")
    if open_browser:
        webbrowser.open(address)
    # uvicorn has handlers of its own. When it has ended it sends the signal again, to these.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    with asyncio.Runner(loop_factory=partial(new_event_loop, shared)) as runner:
        runner.run(_Server(config).serve(sockets=[listener]))
    say("the studio has ended; what was being painted goes on at the next start")


class _Server(uvicorn.Server):
    """A server that shuts down once."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ignore a second signal: it would end the workers before they write checkpoints."""
        if not self.should_exit:
            super().handle_exit(sig, frame)


class _Socket(WebSocketsSansIOProtocol):
    """A WebSocket that can be shut down at any moment."""

    def shutdown(self) -> None:
        """Shut down, also while the client is closing the socket, where uvicorn raises an error."""
        try:
            super().shutdown()
        except InvalidState:
            self.transport.close()


def _certificate(settings: Settings) -> Path | None:
    """Return the file of the certificate, or None without https. Raise OutputError."""
    if settings.certificate is not None:
        check(settings.certificate)
        return settings.certificate
    if not settings.https:
        return None
    names = () if settings.host in WILDCARDS else (settings.host,)
    return own_certificate(settings.data, [*names, *settings.names])


def _address(settings: Settings, host: str) -> str:
    """Return the address of the page."""
    host = f"[{host}]" if ":" in host else host
    token = f"/?token={quote(settings.token)}" if settings.token else "/"
    return f"{settings.scheme}://{host}:{settings.port}{token}"


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        listener.close()
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise OutputError(f"can't listen on {settings.host}:{settings.port}: {why}") from error
    return listener
