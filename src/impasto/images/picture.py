"""A picture as the rest of the program sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from impasto.errors import ImageError
from impasto.images.sizes import Resize, fit_long_side, resize

MIN_SIDE_PX = 32
"""VGG-19 halves a picture four times below its fifth block: less leaves nothing to look at."""


@dataclass(frozen=True, eq=False)
class Picture:
    """``rgb`` (1, 3, H, W) and ``alpha`` (1, 1, H, W) or None, float32 in [0, 1], sRGB.

    ``name`` is what a person calls it (a path, or "stdin"); ``sha256`` is the hash of the
    file's bytes, None for pixels that came from memory.
    """

    rgb: Tensor
    alpha: Tensor | None = None
    name: str = "image"
    sha256: str | None = None

    @property
    def height(self) -> int:
        return int(self.rgb.shape[-2])

    @property
    def width(self) -> int:
        return int(self.rgb.shape[-1])

    def fitted(self, long_side: int, how: Resize) -> Picture:
        """Resized to a long side of ``long_side`` px, aspect kept.

        Raises ImageError if the short side would then be under 32 px.
        """
        height, width = fit_long_side(self.height, self.width, long_side, how)
        if min(height, width) < MIN_SIDE_PX:
            raise ImageError(
                f"{self.name} would be {width}×{height} px at size {long_side}; both sides need"
                f" at least {MIN_SIDE_PX} px: choose a larger size"
            )
        alpha = None if self.alpha is None else resize(self.alpha, height, width, "antialias")
        return replace(self, rgb=resize(self.rgb, height, width, how), alpha=alpha)
