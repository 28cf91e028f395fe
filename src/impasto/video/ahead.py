"""Stages of a pipeline, each in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

DEPTH = 3
"""How many items wait between two stages."""


def ahead(items: Iterator[Item], depth: int = DEPTH) -> Iterator[Item]:
    """``items``, made in a thread, up to ``depth`` before they are wanted. What goes wrong there is
    raised here; when this is closed, that ends.
    """
    made: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    closed = threading.Event()

    def put(kind: str, value: Any) -> None:
        while not closed.is_set():
            try:
                made.put((kind, value), timeout=0.1)
                return
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put("item", item)
                if closed.is_set():
                    break
            put("end", None)
        except BaseException as error:
            put("error", error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = made.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        closed.set()
        thread.join()
