"""The settings of a training. This module doesn't import torch."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from impasto.base.errors import RecipeError
from impasto.networks.network_shape import NetworkSize

Quality = Literal["draft", "good", "best"]
CPU_SECONDS: dict[Quality, float] = {"draft": 120, "good": 600, "best": 3600}
GPU_SECONDS: dict[Quality, float] = {"draft": 20, "good": 60, "best": 300}
"""Seconds of a training by quality, on a CPU and on a GPU, if neither time nor steps are given."""
MIN_STYLE_PX = 64
"""Shortest side of a style image, px. A smaller image has no strokes to learn."""
UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
"""Seconds in each unit of time."""


def seconds(value: Any) -> Any:
    """Convert ``"90"``, ``"90s"``, ``"3m"`` or ``"1h"`` to seconds; return other values unchanged.

    Raises:
        RecipeError: The text isn't a time.
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|)\s*", value, re.IGNORECASE)
    if match is None:
        raise RecipeError(f"a time is a number of seconds, or 90s, 3m or 1h, not {value!r:.40}")
    return float(match[1]) * UNITS[match[2].lower()]


class LearnSettings(BaseModel):
    """The settings of a training, besides the recipe of the look."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: NetworkSize = Field(
        default="fast", description="size of the network: fast for films, fine for pictures"
    )
    quality: Quality = Field(default="good", description="length of the training")
    time: Annotated[float | None, BeforeValidator(seconds)] = Field(
        default=None,
        gt=0,
        le=1e6,
        description="length of the training in time, instead of a quality: 90s, 3m or 1h",
    )
    steps: int | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="length of the training in steps, instead of a quality",
    )
    batch: int | None = Field(
        default=None, ge=1, le=64, description="number of crops per step; by default 1, on a GPU 4"
    )
    crop: int = Field(
        default=256,
        ge=128,
        le=1024,
        multiple_of=16,
        description="side of the square crops of the photos, px",
    )
    learning_rate: float = Field(default=4e-3, gt=0, le=1, description="learning rate of Adam")
    steadiness: float = Field(
        default=5.0,
        ge=0,
        allow_inf_nan=False,
        description="weight of the steadiness loss, which reduces flicker in films",
    )
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="seed of all random numbers")

    def budget(self, device: str) -> float | None:
        """Return the seconds of the training on a type of device; None if only steps limit it."""
        if self.time is not None or self.steps is not None:
            return self.time
        return (CPU_SECONDS if device == "cpu" else GPU_SECONDS)[self.quality]

    def batch_size(self, device: str) -> int:
        """Return the number of crops per step on a type of device."""
        return self.batch or (1 if device == "cpu" else 4)
