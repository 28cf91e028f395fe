"""Series of pictures in which one or two settings are varied."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from PIL import Image

from impasto.base.errors import RecipeError, unknown
from impasto.images.limits import Limits
from impasto.images.read import Source, read
from impasto.images.sheet import Panel, contact_sheet
from impasto.library import api
from impasto.runs.job import Job
from impasto.runs.progress import last
from impasto.runs.result import Result
from impasto.settings.keywords import SettingsKeywords
from impasto.settings.methods import all_settings
from impasto.settings.recipe import Recipe

Grid = Mapping[str, Iterable[Any]]
"""One or two settings with their values. On a sheet the first varies across, the second down."""

MAX_SINGLE_ROW = 4
"""Largest number of pictures that a series with one setting shows in a single row."""


@dataclass(frozen=True)
class Variation:
    """One run of a series, whose input has been checked.

    Attributes:
        settings: The varied settings and their values.
        prepare: Makes the job when it is needed, since all jobs may not fit into the memory.
    """

    settings: dict[str, Any]
    prepare: Callable[[], Job]

    @property
    def label(self) -> str:
        """A label such as ``strength=1, style_scale=0.5``."""
        return ", ".join(_labels(name, [value])[0] for name, value in self.settings.items())


def variations(
    content: Source,
    style: api.Styles,
    *,
    grid: Grid,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    limits: Limits | None = None,
    **settings: Unpack[SettingsKeywords],
) -> Iterator[tuple[dict[str, Any], Result]]:
    """Make a stylized image for every combination of the values of one or two settings.

    Bad input in any combination is refused at once. A seed makes a difference only if the run
    starts from noise. The other arguments and the errors are those of ``stylize``.

    Args:
        content: The content image.
        style: The style image or images.
        grid: The varied settings, each with its values.
        preset: The preset from which the settings start.
        recipe: A recipe from which they start instead.
        limits: Limits for the images.
        settings: Other settings by name.

    Yields:
        The varied settings and the Result. The first setting of the grid changes fastest.

    >>> grid = {"content_weight": [0.05, 0.1, 0.2], "preset": ["studio", "gatys"]}
    >>> for varied, result in impasto.variations("photo.jpg", "painting.jpg", grid=grid):
    ...     result.save(f"{varied['preset']}_{varied['content_weight']}.png")
    >>> seeds = impasto.variations(photo, painting, grid={"seed": range(4)}, init="noise")
    """
    planned = plan(
        content, style, grid=grid, preset=preset, recipe=recipe, limits=limits, **settings
    )

    def finished(job: Job) -> Result:
        return last(api.run(job)).result()

    return ((dict(variation.settings), finished(variation.prepare())) for variation in planned)


def plan(
    content: Source,
    style: api.Styles,
    *,
    grid: Grid,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    limits: Limits | None = None,
    **settings: Unpack[SettingsKeywords],
) -> list[Variation]:
    """Return the runs of ``variations``, checked. The arguments and errors are the same."""
    chosen = combinations(grid)
    for name in grid:
        if settings.get(name) is not None or (name == "preset" and preset is not None):
            raise RecipeError(f"{name} is both given and varied; leave one of them out")
    photo = read(content, limits=limits)  # standard input can be read only once
    pairs = api.read_styles(style, limits)

    def prepare(varied: dict[str, Any]) -> Job:
        merged = {"preset": preset, **settings, **varied}
        return api.prepare(photo, pairs, recipe=recipe, limits=limits, **merged)

    planned = []
    for varied in chosen:
        prepare(varied)
        planned.append(Variation(varied, partial(prepare, varied)))
    return planned


def combinations(grid: Grid) -> list[dict[str, Any]]:
    """Return every combination of the grid's values, row by row.

    Raises:
        RecipeError: A setting is unknown or has no values, or there are not one or two settings.
    """
    values = {name: list(choices) for name, choices in grid.items()}
    if not 1 <= len(values) <= 2:
        raise RecipeError(f"one or two settings can be varied at a time, not {len(values)}")
    for name, choices in values.items():
        if name not in all_settings():
            raise RecipeError(unknown("setting", name, all_settings()))
        if not choices:
            raise RecipeError(f"{name} needs at least one value")
    names = list(values)
    slowest_first = [values[name] for name in reversed(names)]
    return [
        dict(zip(names, reversed(chosen), strict=True))
        for chosen in itertools.product(*slowest_first)
    ]


def sheet(grid: Grid, pictures: Sequence[Image.Image | None]) -> Image.Image:
    """Return the labelled contact sheet of a series.

    Args:
        grid: The varied settings, each with its values.
        pictures: The pictures in the order of ``combinations``. None, or a missing picture at the
            end, leaves a place empty.
    """
    (across, first), *more = [(name, list(values)) for name, values in grid.items()]
    images = [*pictures, *itertools.repeat(None, len(combinations(grid)) - len(pictures))]
    labels = _labels(across, first)
    if more:
        panels = [Panel(image) for image in images]
        rows = _in_rows(panels, len(first))
        return contact_sheet(rows, column_labels=labels, row_labels=_labels(*more[0])[: len(rows)])
    panels = [Panel(*pair) for pair in zip(images, labels, strict=True)]
    columns = len(first) if len(first) <= MAX_SINGLE_ROW else math.ceil(math.sqrt(len(first)))
    return contact_sheet(_in_rows(panels, columns))


def _in_rows(panels: list[Panel], columns: int) -> list[list[Panel]]:
    """Arrange panels in rows, and leave out empty rows."""
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    return [row for row in rows if any(panel.image for panel in row)] or rows


def _labels(name: str, values: Iterable[Any]) -> list[str]:
    return [f"{name}={_text(value)}" for value in values]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}:{_text(weight)}" for key, weight in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
