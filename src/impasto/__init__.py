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
    from impasto.base.errors import ImpastoError
    from impasto.images.limits import Limits
    from impasto.images.picture import Picture
    from impasto.images.read import read
    from impasto.library.api import estimate, iterate, prepare, resume, run, stylize
    from impasto.library.series import variations
    from impasto.library.stylizer import Stylizer
    from impasto.library.synthesis import reconstruct, texture
    from impasto.measures.evaluation import costs, evaluate
    from impasto.measures.inspection import look
    from impasto.runs import checkpoint
    from impasto.runs.history import History
    from impasto.runs.progress import Progress
    from impasto.runs.result import Result
    from impasto.runs.timelapse import Timelapse
    from impasto.settings.recipe import Recipe
    from impasto.video.film import Film
    from impasto.video.frames import Cut
    from impasto.video.progress import FilmProgress
    from impasto.views import notebook, plots

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

_MODULES = {
    "checkpoint": "impasto.library.checkpoint",
    "notebook": "impasto.views.notebook",
    "plots": "impasto.views.plots",
}
_HOMES = {
    "Cut": "impasto.video.frames",
    "Film": "impasto.video.film",
    "FilmProgress": "impasto.video.progress",
    "History": "impasto.runs.history",
    "ImpastoError": "impasto.base.errors",
    "Limits": "impasto.images.limits",
    "Picture": "impasto.images.picture",
    "Progress": "impasto.runs.result",
    "Recipe": "impasto.settings.recipe",
    "Result": "impasto.runs.result",
    "Stylizer": "impasto.library.stylizer",
    "Timelapse": "impasto.runs.timelapse",
    "estimate": "impasto.library.api",
    "costs": "impasto.measures.evaluation",
    "evaluate": "impasto.measures.evaluation",
    "iterate": "impasto.library.api",
    "look": "impasto.measures.inspection",
    "prepare": "impasto.library.api",
    "read": "impasto.images.read",
    "reconstruct": "impasto.library.synthesis",
    "resume": "impasto.library.api",
    "run": "impasto.library.api",
    "stylize": "impasto.library.api",
    "texture": "impasto.library.synthesis",
    "variations": "impasto.library.series",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: torch takes seconds, ``--help`` needs none."""
    if name == "__version__":
        return version("impasto")
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
