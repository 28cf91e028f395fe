"""The settings of the method ``instant``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from impasto.methods.feed_forward.settings import FeedForwardSettings


class InstantSettings(FeedForwardSettings):
    """Every setting of a run of the method ``instant``."""

    method: Literal["instant"] = Field(
        default="instant", description="the algorithm (impasto methods)"
    )
