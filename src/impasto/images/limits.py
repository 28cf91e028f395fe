"""How large an image may be. Nothing here needs torch, so help texts can use it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from impasto.base.errors import ImageError

MIN_SIDE_PX = 32
"""VGG-19 halves a picture four times below its fifth block: less leaves nothing to look at."""


@dataclass(frozen=True)
class Limits:
    """What is refused before it is decoded: a file can be tiny and its picture enormous."""

    max_megabytes: float = 512
    max_megapixels: float = 200

    def __post_init__(self) -> None:
        for limit in (self.max_megabytes, self.max_megapixels):
            if not (math.isfinite(limit) and limit > 0):
                raise ImageError(f"a limit should be a finite number above 0, not {limit}")


LARGE = Limits(max_megabytes=4000, max_megapixels=1100)
"""For what impasto has made or checked before: no picture of it is larger."""
