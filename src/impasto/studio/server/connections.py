"""Connections to the server: how many there may be, and how long one may do nothing.

uvicorn limits neither the time that a request's header takes nor the time that a client takes to
read its answer. Either would let a few hundred silent connections use up all file descriptors.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import time
from collections.abc import Callable
from ssl import SSLContext
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from impasto.base.errors import reason
from impasto.studio.jobs.errors import BRIEF_RETRY
from impasto.studio.server import problems
from impasto.studio.workers.throttle import Throttle

log = logging.getLogger("impasto.studio")

MAX_CONNECTIONS = 1000
MIN_CONNECTIONS = 8
DESCRIPTORS = 4096
"""The number that is asked for. Many systems allow a process 256 or 1024 by default."""
RESERVED_DESCRIPTORS = 16
"""Descriptors kept for the database, the workers' pipes and the libraries."""
HEADER_S = 20.0
"""Seconds that a connection may be without a complete request header, or a TLS handshake."""
STALLED_S = 120.0
"""Seconds that a client may leave its answer unread. The system sends some megabytes ahead, so a
client that reads 20 kB a second is not cut off.
"""
PROMPT_S = 1.0
"""Seconds that a new connection has for its request before it may have to make room."""
ACCEPT_RETRY_S = 0.05
DISCARD_S = 2.0
"""Seconds in which the body of a refused request is read. Many clients read no answer before."""
LOG_EVERY_S = 600.0


class Connections:
    """The connections of a server that wait for a request, the oldest first."""

    def __init__(self, limit: int = MAX_CONNECTIONS) -> None:
        self.limit = limit
        self.waiting: dict[RequestProtocol, float] = {}
        """The time at which each connection began to wait, by ``time.monotonic``."""
        self.log_throttle = Throttle(LOG_EVERY_S)

    def make_room(self) -> bool:
        """End the connection that has waited longest. Return False if none has waited long."""
        if self.log_throttle.is_due():
            log.warning("there are %d connections, the most that there may be", self.limit)
        return self.end_oldest(PROMPT_S)

    def end_oldest(self, min_wait_s: float = 0.0) -> bool:
        """End the connection that has waited longest. Return whether there was one.

        Args:
            min_wait_s: Leave connections alone that have waited for fewer seconds.
        """
        oldest, since = next(iter(self.waiting.items()), (None, 0.0))
        if oldest is None or time.monotonic() - since < min_wait_s:
            return False
        oldest.end()
        return True


class RequestProtocol(H11Protocol):
    """HTTP that ends connections without a complete request, and those whose client doesn't read.

    Where there are too many connections, the one that has waited longest for a request makes room
    for a new one. If none has waited long, the new one is answered with 503.
    """

    def __init__(self, *arguments: Any, shared: Connections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.shared = shared
        self.header_s = HEADER_S
        self.header_timer: asyncio.TimerHandle | None = None
        self.reading_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.shared.limit and not self.shared.make_room():
            self.app = refuse
            self.header_s = PROMPT_S
        self._limit_waiting()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._limit_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._limit_waiting()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._limit_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel_reading_timer()
        if self.transport.is_closing():  # once the rest has been read
            self._limit_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()
        self._cancel_reading_timer()

    def end(self) -> None:
        """Close the connection at once, whatever is unsent."""
        self._stop_waiting()
        self.transport.abort()

    def _on_header_timeout(self) -> None:
        if self.transport.get_write_buffer_size():  # the answer before is still being read
            self._stop_waiting()
            self._limit_reading()
        else:
            self.end()

    def _limit_reading(self) -> None:
        if self.reading_timer is None:
            self.reading_timer = self.loop.call_later(STALLED_S, self.end)

    def _cancel_reading_timer(self) -> None:
        if self.reading_timer is not None:
            self.reading_timer.cancel()
            self.reading_timer = None

    def _limit_waiting(self) -> None:
        """Start the clock when there is no request to answer, and stop it when there is one.

        What arrives meanwhile doesn't restart it, so that a header can't be sent a byte at a time.
        """
        answering = self.cycle is not None and not self.cycle.response_complete
        upgraded = self.transport.get_protocol() is not self  # to a WebSocket
        if answering or upgraded:
            self._stop_waiting()
        elif self.header_timer is None:
            self.header_timer = self.loop.call_later(self.header_s, self._on_header_timeout)
            self.shared.waiting[self] = time.monotonic()

    def _stop_waiting(self) -> None:
        self.shared.waiting.pop(self, None)
        if self.header_timer is not None:
            self.header_timer.cancel()
            self.header_timer = None


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Answer that there are too many connections."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_S):
            while (await receive()).get("more_body"):
                pass
    headers = {**BRIEF_RETRY, "Connection": "close"}
    answer = problems.response(503, "too many are connected; try again later", headers)
    await answer(scope, receive, send)


def raise_descriptor_limit() -> int:
    """Raise this process's limit of open files. Return how many connections the limit allows.

    Half of the descriptors stay for what the requests open: uploads and pictures.
    """
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource  # noqa: PLC0415, Windows has none

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, soft // 2 - RESERVED_DESCRIPTORS))


class Listener:
    """Accepts connections as an asyncio server does, and goes on when no descriptor is left.

    asyncio's own server then tries again a thousand times a second, and reports every time.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: Callable[[], asyncio.Protocol],
        sock: socket.socket,
        ssl: SSLContext | None,
        shared: Connections,
    ) -> None:
        sock.setblocking(False)
        self.loop, self.factory, self.sock, self.ssl, self.shared = loop, factory, sock, ssl, shared
        self.handshakes: dict[asyncio.Task[None], None] = {}
        """The TLS handshakes in progress, the oldest first."""
        self.log_throttle = Throttle(LOG_EVERY_S)
        self.accepting = loop.create_task(self._accept())

    def close(self) -> None:
        """Accept no more connections."""
        self.accepting.cancel()
        for task in self.handshakes:
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until ``close`` has taken effect."""
        await asyncio.wait([self.accepting, *self.handshakes])

    async def _accept(self) -> None:
        while True:
            try:
                sock, _ = await self.loop.sock_accept(self.sock)
            except ConnectionError:  # the client has left already
                continue
            except OSError as error:
                await self._recover(error)
                continue
            task = self.loop.create_task(self._begin(sock))
            self.handshakes[task] = None
            task.add_done_callback(self.handshakes.pop)
            if len(self.handshakes) > self.shared.limit:
                next(iter(self.handshakes)).cancel()

    async def _begin(self, sock: socket.socket) -> None:
        limits = {} if self.ssl is None else {"ssl_handshake_timeout": HEADER_S}
        try:
            await self.loop.connect_accepted_socket(self.factory, sock, ssl=self.ssl, **limits)
        except OSError as error:  # the client has left, or speaks no TLS
            log.debug("a connection that didn't begin: %s", error)

    async def _recover(self, error: OSError) -> None:
        """Make room for a connection that couldn't be accepted for want of descriptors."""
        if self.log_throttle.is_due():
            log.error("no connection can be accepted: %s", reason(error))
        if self.handshakes:
            next(iter(self.handshakes)).cancel()
        self.shared.end_oldest()
        await asyncio.sleep(ACCEPT_RETRY_S)


def new_event_loop(shared: Connections) -> asyncio.AbstractEventLoop:
    """Return a loop whose servers are listeners of this module."""
    loop = asyncio.new_event_loop()

    async def create_server(
        factory: Callable[[], asyncio.Protocol],
        *,
        sock: socket.socket,
        ssl: SSLContext | None = None,
        backlog: int = 0,
    ) -> Listener:
        return Listener(loop, factory, sock, ssl, shared)

    loop.create_server = create_server  # type: ignore[method-assign, assignment]
    return loop
