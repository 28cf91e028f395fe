"""A slot in which one thread leaves its newest item for another."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Slot(Generic[Item]):
    """Holds one item, which a newer one replaces.

    Nothing queues up, so that a slow reader is never late.

    Attributes:
        dropped: How many items were replaced before they were taken.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._closed = False
        self.dropped = 0

    def put(self, item: Item) -> None:
        with self._changed:
            if self._item is not None:
                self.dropped += 1
            self._item = item
            self._changed.notify_all()

    def take(self, timeout: float) -> Item | None:
        """Remove and return the item.

        Returns None if there is none for ``timeout`` seconds, or the slot is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout)
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def is_closed(self) -> bool:
        """Whether the slot is empty and stays so."""
        with self._changed:
            return self._closed and self._item is None
