"""The losses of a run over its steps and seconds, for curves and reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from impasto.runs.progress import Progress


@dataclass(frozen=True)
class Point:
    """The weighted losses at one step of a run.

    Attributes:
        step: The number of updates so far.
        scale: The long side of the image, px.
        seconds: Time since the start, seconds.
        content: The content loss.
        style: The style loss.
        tv: The total variation loss.
        total: The sum of all losses.
        layers: The losses of each layer, see ``losses.objective.Losses``.
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
    """Records the losses of a run while its events pass to the caller.

    >>> history = impasto.History()
    >>> for progress in history.keep(impasto.iterate("photo.jpg", "painting.jpg")):
    ...     pass
    >>> impasto.plots.losses(history, over="seconds").savefig("losses.png")
    """

    def __init__(self, points: Iterable[Point] = ()) -> None:
        self.points = list(points)

    def keep(self, events: Iterable[Progress]) -> Iterator[Progress]:
        """Record the losses of each event and yield the event."""
        for progress in events:
            self.add(progress)
            yield progress

    def add(self, progress: Progress) -> None:
        """Record the losses of an event, if its method has losses."""
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
        """Return the points as values for JSON."""
        return [point.as_dict() for point in self.points]

    @classmethod
    def from_list(cls, rows: Iterable[dict[str, Any]]) -> History:
        """Return a history from values that ``as_list`` returned.

        Raises:
            TypeError: A row has other keys than a ``Point``.
        """
        return cls(Point(**row) for row in rows)
