"""The settings of the method ``learned``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from impasto.methods.feed_forward.settings import FeedForwardSettings


class LearnedSettings(FeedForwardSettings):
    """Every setting of a run of the method ``learned``."""

    method: Literal["learned"] = Field(
        default="learned", description="the algorithm (impasto methods)"
    )
