"""What a live session on the command line shows to the studio's page."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

MAX_WATCHERS = 32
"""One that doesn't read holds a picture, up to 1 MB, in memory."""


class Watched:
    """The newest picture that ``impasto live SOURCE studio`` sends, for whoever watches."""

    def __init__(self) -> None:
        self.picture: bytes | None = None
        self.boundary = secrets.token_hex(16)
        """Separates the pictures. Nobody who sends one can guess it, and put another part in it."""
        self.listeners: set[asyncio.Event] = set()

    def show(self, picture: bytes) -> None:
        self.picture = picture
        for listener in self.listeners:
            listener.set()

    @property
    def is_full(self) -> bool:
        """True if no further watcher is allowed."""
        return len(self.listeners) >= MAX_WATCHERS

    async def parts(self) -> AsyncIterator[bytes]:
        """As parts of a multipart/x-mixed-replace body, always the newest."""
        if self.is_full:  # others were quicker
            return
        changed = asyncio.Event()
        self.listeners.add(changed)
        if self.picture is not None:
            changed.set()
        try:
            while True:
                await changed.wait()
                changed.clear()
                picture = self.picture or b""
                head = (
                    f"--{self.boundary}\r\nContent-Type: image/jpeg\r\n"
                    f"Content-Length: {len(picture)}\r\n\r\n"
                )
                yield head.encode() + picture + b"\r\n"
        finally:
            self.listeners.discard(changed)
