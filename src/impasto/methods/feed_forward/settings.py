"""The settings of the methods that paint in one pass of a network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from impasto.settings.recipe import Recipe


class FeedForwardSettings(Recipe):
    """The settings of every method that paints in one pass of a network."""

    statistics: Literal["whole", "thumbnail"] = Field(
        default="whole",
        description="instant and learned: normalise by the whole picture, or quicker by a small"
        " version of it",
    )
