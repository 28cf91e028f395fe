"""What the parts of the video pipeline hand to each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeVar

import numpy as np
from PIL import Image

from impasto.base.errors import ImageError, RecipeError
from impasto.images.limits import MIN_SIDE_PX
from impasto.images.sizes import fit_long_side


def as_image(pixels: np.ndarray) -> Image.Image:
    """(H, W, 3), or 4 with alpha, of uint8, as RGB."""
    return Image.fromarray(np.ascontiguousarray(pixels[..., :3]))


T = TypeVar("T")
UNSPECIFIED = 2
"""In FFmpeg's (and H.273's) tables of colour primaries, transfer functions and matrices."""
BT709, BT601, SRGB = 1, 5, 13
MPEG_RANGE, JPEG_RANGE = 1, 2


@dataclass(frozen=True)
class Colour:
    """How a file's numbers become colours: numbers of ITU-T H.273, and FFmpeg's of the range."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    range: int = MPEG_RANGE


@dataclass(frozen=True)
class Cut:
    """Which part of a film is taken: from ``start`` to ``end``, seconds, each ``every``-th frame,
    at a long side of ``size`` px (0: its own).
    """

    start: float = 0.0
    end: float = float("inf")
    every: int = 1
    size: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise RecipeError(f"a film from {self.start:g} s to {self.end:g} s has no frames")


WHOLE = Cut()
INSTANT_S = 1e-6
"""Times that differ by less are equal, seconds."""


@dataclass(frozen=True)
class Clip:
    """What a film says of itself; sizes are of its frames, upright.

    ``time_base`` is what its times are counted in, seconds, from ``origin`` on; ``aspect`` that of
    a pixel; ``frames`` and ``seconds`` are its claims, None where it makes none, ``claimed`` the
    seconds of its pictures alone. ``others`` are the kinds of the streams besides the pictures;
    ``has_container`` tells whether it is a file that FFmpeg opens.
    """

    name: str
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    origin: int = 0
    seconds: float | None = None
    claimed: float | None = None
    frames: int | None = None
    aspect: Fraction = Fraction(1)
    colour: Colour = Colour()
    hdr: bool = False
    alpha: bool = False
    others: tuple[str, ...] = ()
    has_container: bool = True

    def fitted(self, long_side: int | None) -> Clip:
        """Return the clip with frames of another long side, px; of its own without one.

        Raises:
            ImageError: The short side would be under 32 px.
        """
        height, width = self.height, self.width
        if long_side:
            height, width = fit_long_side(height, width, long_side, "antialias")
        if min(height, width) < MIN_SIDE_PX:
            raise ImageError(
                f"{self.name} is {width}×{height} px; both sides need at least {MIN_SIDE_PX} px"
            )
        return replace(self, height=height, width=width)

    @property
    def step(self) -> int:
        """From one frame to the next, usually."""
        return max(1, round(1 / (self.rate * self.time_base)))


def shown_from(
    timed: Iterable[tuple[int, int, T]], first: int, tolerance: int
) -> Iterator[tuple[int, int, T]]:
    """Leave out what is shown before ``first``; what is still shown then begins there.

    Args:
        timed: Start, end and anything, in order.
        first: The time to begin at.
        tolerance: So much may nothing be shown at first.
    """
    before: tuple[int, T] | None = None
    for start, end, item in timed:
        if start < first:
            before = end, item
            continue
        if before is not None and start - first > tolerance:
            yield first, start, before[1]
        before = None
        yield start, end, item
    if before is not None and before[0] > first:
        yield first, *before


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture of a film, upright: (H, W, 3), or 4 with alpha, of uint8. ``pts`` is its time in
    the clip's ``time_base``, as ``ends``, up to which it is shown; ``index`` counts the frames that
    were taken, ``skipped`` those before it that couldn't be decoded or have a time that goes back.
    """

    index: int
    pts: int
    ends: int
    pixels: np.ndarray
    skipped: int = 0
    notes: dict[str, object] = field(default_factory=dict)
    """What the stages say of it to those that come later."""
