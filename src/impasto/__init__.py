"""Neural style transfer: a photo and a painting become a new picture.

>>> import impasto
>>> impasto.stylize("photo.jpg", "painting.jpg").save("stylized.png")
"""

from __future__ import annotations

import importlib
import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto import checkpoint, notebook, plots
    from impasto.api import estimate, iterate, prepare, resume, run, stylize
    from impasto.errors import ImpastoError
    from impasto.evaluation import costs, evaluate
    from impasto.history import History
    from impasto.images.limits import Limits
    from impasto.images.picture import Picture
    from impasto.images.read import read
    from impasto.inspection import look
    from impasto.recipe import Recipe
    from impasto.result import Progress, Result
    from impasto.series import variations
    from impasto.stylizer import Stylizer
    from impasto.synthesis import reconstruct, texture
    from impasto.timelapse import Timelapse
    from impasto.video.film import Film, FilmProgress
    from impasto.video.frames import Cut

# Convolutions run on a thread pool of their own. OpenMP's threads, which do the rest, must not keep
# the cores busy waiting meanwhile: that costs a fifth of a step. OpenMP reads this once, when torch
# is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

__all__ = [
    "Cut",
    "Film",
    "FilmProgress",
    "History",
    "ImpastoError",
    "Limits",
    "Picture",
    "Progress",
    "Recipe",
    "Result",
    "Stylizer",
    "Timelapse",
    "__version__",
    "checkpoint",
    "costs",
    "estimate",
    "evaluate",
    "iterate",
    "look",
    "notebook",
    "plots",
    "prepare",
    "read",
    "reconstruct",
    "resume",
    "run",
    "stylize",
    "texture",
    "variations",
]

_MODULES = ("checkpoint", "notebook", "plots")
_HOMES = {
    "Cut": "impasto.video.frames",
    "Film": "impasto.video.film",
    "FilmProgress": "impasto.video.film",
    "History": "impasto.history",
    "ImpastoError": "impasto.errors",
    "Limits": "impasto.images.limits",
    "Picture": "impasto.images.picture",
    "Progress": "impasto.result",
    "Recipe": "impasto.recipe",
    "Result": "impasto.result",
    "Stylizer": "impasto.stylizer",
    "Timelapse": "impasto.timelapse",
    "estimate": "impasto.api",
    "costs": "impasto.evaluation",
    "evaluate": "impasto.evaluation",
    "iterate": "impasto.api",
    "look": "impasto.inspection",
    "prepare": "impasto.api",
    "read": "impasto.images.read",
    "reconstruct": "impasto.synthesis",
    "resume": "impasto.api",
    "run": "impasto.api",
    "stylize": "impasto.api",
    "texture": "impasto.synthesis",
    "variations": "impasto.series",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: torch takes seconds, ``--help`` needs none."""
    if name == "__version__":
        return version("impasto")
    if name in _MODULES:
        return importlib.import_module(f"impasto.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
