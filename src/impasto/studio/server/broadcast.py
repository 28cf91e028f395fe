"""The pictures that ``impasto live SOURCE studio`` sends, and the viewers of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

MAX_VIEWERS = 32
"""A viewer that doesn't read holds a picture, up to 1 MB, in memory."""


class Broadcast:
    """The latest picture of a live session on the command line, for any number of viewers."""

    def __init__(self) -> None:
        self.picture: bytes | None = None
        self.boundary = secrets.token_hex(16)
        """Separates the pictures. A sender can't guess it, so a picture can't contain a part."""
        self.viewers: set[asyncio.Event] = set()

    def publish(self, picture: bytes) -> None:
        """Replace the picture and wake the viewers."""
        self.picture = picture
        for viewer in self.viewers:
            viewer.set()

    @property
    def is_full(self) -> bool:
        """True if no further viewer is allowed."""
        return len(self.viewers) >= MAX_VIEWERS

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the latest picture, whenever it changes, as a part of a multipart body."""
        if self.is_full:  # other viewers came between the check of the endpoint and this one
            return
        changed = asyncio.Event()
        self.viewers.add(changed)
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
            self.viewers.discard(changed)
