"""Subscriptions to the events of jobs."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from impasto.studio.jobs.store import FINISHED, Store, StoredEvent

KEEP_ALIVE_S = 15.0
"""Longest time without an event. A keep-alive then shows whether the connection is closed."""


class Subscriptions:
    """The subscribers of jobs, which are woken when the store has a new event."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.subscribers: dict[str, set[asyncio.Event]] = defaultdict(set)
        """ID of a job → one ``asyncio.Event`` per subscriber, set when the job has changed."""
        self.is_closed = False

    def notify(self, job_id: str) -> None:
        """Wake the subscribers of a job."""
        for event in self.subscribers.get(job_id, ()):
            event.set()

    def close(self) -> None:
        """End all subscriptions."""
        self.is_closed = True
        for job_id in list(self.subscribers):
            self.notify(job_id)

    async def events(self, job_id: str, after: int) -> AsyncIterator[StoredEvent | None]:
        """Yield the events of a job until it ends.

        Args:
            job_id: The ID of the job.
            after: The number of the last event that the subscriber knows.

        Yields:
            Each later event, or None after ``KEEP_ALIVE_S`` without an event.
        """
        changed = asyncio.Event()
        self.subscribers[job_id].add(changed)
        try:
            while not self.is_closed:
                changed.clear()
                for event in self.store.events(job_id, after):
                    after = event.number
                    yield event
                    if event.kind in FINISHED:
                        return
                job = self.store.get(job_id)
                if job is None or not job.is_active:
                    return
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        await changed.wait()
                except TimeoutError:
                    yield None
        finally:
            self.subscribers[job_id].discard(changed)
