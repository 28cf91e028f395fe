"""What a live session on the command line shows to the studio's page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

BOUNDARY = "picture"


class Watched:
    """The newest picture that ``impasto live SOURCE studio`` sends, for whoever watches."""

    def __init__(self) -> None:
        self.picture: bytes | None = None
        self.listeners: set[asyncio.Event] = set()

    def show(self, picture: bytes) -> None:
        self.picture = picture
        for listener in self.listeners:
            listener.set()

    async def parts(self) -> AsyncIterator[bytes]:
        """As parts of a multipart/x-mixed-replace body, always the newest."""
        changed = asyncio.Event()
        self.listeners.add(changed)
        if self.picture is not None:
            changed.set()
        try:
            while True:
                await changed.wait()
                changed.clear()
                picture = self.picture or b""
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}"
                yield head.encode() + b"\r\n\r\n" + picture + b"\r\n"
        finally:
            self.listeners.discard(changed)
