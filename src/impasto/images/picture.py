"""A picture as the rest of the program sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from impasto.base.errors import ImageError
from impasto.images.limits import MIN_SIDE_PX
from impasto.images.sizes import Resize, fit_long_side, resize


@dataclass(frozen=True, eq=False)
class Picture:
    """``rgb`` (1, 3, H, W) and ``alpha`` (1, 1, H, W) or None, float32 in [0, 1], sRGB; N instead
    of 1 for a batch.

    ``name`` is what a person calls it (a path, or "stdin"); ``sha256`` is the hash of the
    file's bytes, None for pixels that came from memory. A ``blank`` one has nothing to see; a
    ``built_in`` one stands for the style of a pre-trained network with that ``name``. One with the
    bytes of a ``style_file`` stands for the style in that file. ``full_size`` is (height,
    width) in the file, where it may have been read at a smaller size. ``notes`` are sentences for
    the user about what of the file isn't used.
    """

    rgb: Tensor
    alpha: Tensor | None = None
    name: str = "image"
    sha256: str | None = None
    blank: bool = False
    built_in: bool = False
    style_file: bytes | None = None
    full_size: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def grey(cls, width: int, height: int, name: str) -> Picture:
        """A blank picture: what a texture is painted on."""
        rgb = torch.full((1, 1, 1, 1), 0.5).expand(1, 3, height, width)  # takes no memory
        return cls(rgb, name=name, blank=True)

    @classmethod
    def probe(cls, width: int, height: int) -> Picture:
        """Return a picture that stands for a photo or a painting of its size."""
        return replace(cls.grey(width, height, "probe"), blank=False)

    @property
    def is_fixed(self) -> bool:
        """Whether it stands for a built-in or learned style instead of a style image."""
        return self.built_in or self.style_file is not None

    @property
    def height(self) -> int:
        return int(self.rgb.shape[-2])

    @property
    def width(self) -> int:
        return int(self.rgb.shape[-1])

    def with_note(self, sentence: str) -> Picture:
        """Return the picture with one more sentence for the user."""
        return replace(self, notes=(*self.notes, sentence))

    @property
    def size_in_file(self) -> tuple[int, int]:
        """Return (height, width) before any reduction."""
        return self.full_size or (self.height, self.width)

    def note(self) -> dict[str, Any]:
        """What it takes to find the picture again, or to make it, if it is blank."""
        if self.blank:
            return {"width": self.width, "height": self.height}
        return {"name": self.name, "sha256": self.sha256}

    def fitted_size(self, long_side: int, how: Resize) -> tuple[int, int]:
        """Return the (height, width) of ``fitted``."""
        return fit_long_side(*self.size_in_file, long_side, how)

    def fitted(self, long_side: int, how: Resize) -> Picture:
        """Resized to a long side of ``long_side`` px, aspect kept.

        Raises ImageError if the short side would then be under 32 px.
        """
        height, width = self.fitted_size(long_side, how)
        if min(height, width) < MIN_SIDE_PX:
            raise ImageError(
                f"{self.name} would be {width}×{height} px at size {long_side}; both sides need"
                f" at least {MIN_SIDE_PX} px: choose a larger size"
            )
        alpha = None if self.alpha is None else resize(self.alpha, height, width, "antialias")
        return replace(self, rgb=resize(self.rgb, height, width, how), alpha=alpha)

    def trimmed(self, percent: float) -> Picture:
        """Without its edges: ``percent`` of the long side from each of them, as far as 32 px are
        left.
        """
        wanted = round(max(self.height, self.width) * percent / 100)
        cut = max(0, min(wanted, (min(self.height, self.width) - MIN_SIDE_PX) // 2))
        rows, columns = slice(cut, self.height - cut), slice(cut, self.width - cut)
        alpha = None if self.alpha is None else self.alpha[..., rows, columns]
        return replace(self, rgb=self.rgb[..., rows, columns], alpha=alpha, full_size=None)
