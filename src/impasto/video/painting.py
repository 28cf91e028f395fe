"""The painter of a film's or a live session's frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from impasto.images.picture import Picture
from impasto.library import api
from impasto.methods.base import FilmStyles, FramePainter, method_of
from impasto.runs.job import Job
from impasto.settings.build import build

METHOD_FOR_IMAGES = "instant"
"""The method of a film whose styles need different methods. It accepts any style image."""


@dataclass(frozen=True)
class Key:
    """The styles of a film from ``time`` on, in seconds. Between two keys, styles are blended."""

    time: float
    styles: api.Styles


def in_one_pass(keys: Sequence[Key]) -> tuple[str, list[Key]]:
    """Return the feed-forward method for all styles of a film, and the styles that it accepts."""
    found = [(key.time, *api.in_one_pass(key.styles)) for key in keys]
    methods = {method for _, method, _ in found}
    if len(methods) == 1:
        return methods.pop(), [Key(time, styles) for time, _, styles in found]
    return METHOD_FOR_IMAGES, list(keys)


def frame_painter(
    keys: Sequence[Key], settings: Mapping[str, Any], first: np.ndarray, *, steady: bool
) -> FramePainter:
    """Return the painter of the method that the settings ask for.

    Without a method or a preset, frames are painted in one pass, see ``api.in_one_pass``.

    Args:
        keys: The styles, and when each begins.
        settings: Settings of a recipe, by name; "preset" may be among them.
        first: The first frame, (H, W, 3), uint8.
        steady: Whether the frames of a shot should match.

    Raises:
        RecipeError, ImageError: The settings or styles can't be used.
    """
    if not {"method", "preset", "recipe"} & settings.keys():
        method, keys = in_one_pass(keys)
        settings = {**settings, "method": method}
    sources = {name: settings[name] for name in ("preset", "recipe") if name in settings}
    recipe_settings = {
        name: value
        for name, value in settings.items()
        if name not in ("preset", "recipe", "limits")
    }
    pairs = [api.read_styles(key.styles) for key in keys]

    def prepare(
        frame: Picture,
        *,
        defaults: Mapping[str, Any] = {},
        overrides: Mapping[str, Any] = {},
    ) -> list[Job]:
        # A preset or recipe may be for a print; frames keep their size.
        chosen = {**defaults, **settings, "size": 0, "print": None, **overrides}
        return [api.prepare(frame, styles, **chosen) for styles in pairs]

    styles = FilmStyles([key.time for key in keys], prepare)
    return method_of(build(recipe_settings, **sources)).frame_painter(styles, first, steady=steady)
