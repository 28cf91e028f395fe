"""The methods by name. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from impasto.methods.optimize import optimize
from impasto.result import Job, Progress, Snapshot

Method = Callable[[Job, Snapshot | None], Iterator[Progress]]

METHODS: dict[str, Method] = {"optimize": optimize}
