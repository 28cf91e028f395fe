"""The methods by name. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from impasto.methods import instant, optimize
from impasto.runs.plan import Estimate
from impasto.runs.result import Job, Progress, Snapshot


@dataclass(frozen=True)
class Method:
    """``run`` yields Progress; ``check`` raises DeviceError if there isn't the memory for a job;
    ``estimate`` says what it would take.
    """

    run: Callable[[Job, Snapshot | None], Iterator[Progress]]
    check: Callable[[Job], object]
    estimate: Callable[[Job], Estimate]


METHODS = {
    "optimize": Method(optimize.optimize, optimize.plan_of, optimize.estimate),
    "instant": Method(instant.instant, instant.check, instant.estimate),
}
