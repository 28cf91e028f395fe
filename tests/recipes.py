"""Recipes of the method ``optimize``, for tests of what its settings mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.methods.optimize.settings import OptimizeSettings
from impasto.settings.build import build
from impasto.settings.recipe import Recipe


def build_optimize(
    settings: Mapping[str, Any] | None = None,
    *,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
) -> OptimizeSettings:
    """Build a recipe as ``build`` does, and check that it is one of the method ``optimize``."""
    return OptimizeSettings.of(build(settings, preset=preset, recipe=recipe))
