"""Iterators that run ahead in a thread: the stages of the film pipeline."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

DEPTH = 3
"""The number of items that may wait between two stages."""


def prefetch(items: Iterator[Item], depth: int = DEPTH) -> Generator[Item, None, None]:
    """Yield the items of an iterator that runs in a thread.

    An error in the iterator is raised here. When this generator is closed, the iterator is, too.

    Args:
        items: The iterator.
        depth: How many items may wait.
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    is_closed = threading.Event()

    def put(kind: str, value: Any) -> None:
        while not is_closed.is_set():
            try:
                ready.put((kind, value), timeout=0.1)
                return
            except queue.Full:
                continue

    def run() -> None:
        try:
            for item in items:
                put("item", item)
                if is_closed.is_set():
                    break
            put("end", None)
        except BaseException as error:
            put("error", error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        is_closed.set()
        thread.join()
