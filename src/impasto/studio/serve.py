"""Running the server."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

import uvicorn

from impasto.errors import OutputError, reason
from impasto.studio import lock
from impasto.studio.app import create_app
from impasto.studio.settings import WILDCARDS, Settings

CONNECTIONS = 1000
GOODBYE_S = 2
MOST_BYTES_OF_A_MESSAGE = 10_000_000


def serve(settings: Settings, *, say: Callable[[str], object], open_browser: bool) -> None:
    """Serve until Ctrl-C or SIGTERM; ``say`` the address and what happens.

    Raises OutputError: the address or the data folder is in use.
    """
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    listener = _listen(settings)
    settings = replace(settings, port=listener.getsockname()[1])
    held = lock.hold(settings.data)
    app = create_app(settings, () if held is None else (held,))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GOODBYE_S,
        limit_concurrency=CONNECTIONS,
        ws_max_size=MOST_BYTES_OF_A_MESSAGE,
    )
    host = "127.0.0.1" if settings.host in WILDCARDS else settings.host
    host = f"[{host}]" if ":" in host else host
    token = f"/?token={quote(settings.token)}" if settings.token else "/"
    address = f"http://{host}:{settings.port}{token}"
    say(f"the studio is at {address}")
    say(f"pictures are kept in {settings.data}; Ctrl-C ends it")
    if open_browser:
        webbrowser.open(address)
    for number in (signal.SIGINT, signal.SIGTERM):  # the server has handlers of its own, and these
        signal.signal(number, lambda *_: None)  # get the signal once more when it has ended
    uvicorn.Server(config).run(sockets=[listener])
    say("the studio has ended; what was being painted goes on at the next start")


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(CONNECTIONS)  # who comes before the server is ready waits
    except (OSError, UnicodeError) as error:
        listener.close()
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise OutputError(f"can't listen on {settings.host}:{settings.port}: {why}") from error
    return listener
