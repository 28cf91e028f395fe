"""The settings of the method ``instant``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from impasto.settings.recipe import Recipe


class InstantSettings(Recipe):
    """Every setting of a run of the method ``instant``."""

    method: Literal["instant"] = Field(
        default="instant", description="the algorithm (impasto methods)"
    )
    statistics: Literal["whole", "thumbnail"] = Field(
        default="whole",
        description="instant: normalise by the whole picture, or quicker by a small version of it",
    )
