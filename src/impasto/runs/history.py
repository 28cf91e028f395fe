"""What a run's losses were, when: for curves over steps and seconds, and reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from impasto.runs.progress import Progress


@dataclass(frozen=True)
class Point:
    """The weighted losses after ``step`` updates, ``seconds`` after the start, at a long side of
    ``scale`` px. ``layers``: those of each layer, see ``losses.objective.Losses``.
    """

    step: int
    scale: int
    seconds: float
    content: float
    style: float
    tv: float
    total: float
    layers: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class History:
    """Collects the losses of a run while somebody else looks at it.

    >>> history = impasto.History()
    >>> for progress in history.keep(impasto.iterate("photo.jpg", "painting.jpg")):
    ...     pass
    >>> impasto.plots.losses(history, over="seconds").savefig("losses.png")
    """

    def __init__(self, points: Iterable[Point] = ()) -> None:
        self.points = list(points)

    def keep(self, events: Iterable[Progress]) -> Iterator[Progress]:
        """The events themselves, noted as they pass."""
        for progress in events:
            self.add(progress)
            yield progress

    def add(self, progress: Progress) -> None:
        """Note one, if its method has losses."""
        losses = progress.losses
        if losses is not None:
            self.points.append(
                Point(
                    step=progress.step,
                    scale=progress.scale,
                    seconds=progress.seconds,
                    content=losses.content,
                    style=losses.style,
                    tv=losses.tv,
                    total=losses.total,
                    layers=dict(losses.layers),
                )
            )

    def as_list(self) -> list[dict[str, Any]]:
        """For JSON."""
        return [point.as_dict() for point in self.points]

    @classmethod
    def from_list(cls, rows: Iterable[dict[str, Any]]) -> History:
        """From JSON. Raises TypeError, KeyError: it isn't."""
        return cls(Point(**row) for row in rows)
