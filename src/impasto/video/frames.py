"""The data types of films: clips, cuts, frames and their colours."""

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
    """Return (H, W, 3 or 4) of uint8 as an RGB image."""
    return Image.fromarray(np.ascontiguousarray(pixels[..., :3]))


Item = TypeVar("Item")
UNSPECIFIED, BT709, BT601, SRGB = 2, 1, 5, 13
"""Numbers of colour primaries, transfer functions and matrices in ITU-T H.273, and in FFmpeg."""
MPEG_RANGE, JPEG_RANGE = 1, 2
"""FFmpeg's numbers of the ranges 16 to 235 and 0 to 255."""


@dataclass(frozen=True)
class Colour:
    """The meaning of a film's colour values, in numbers of ITU-T H.273; the range in FFmpeg's."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    range: int = MPEG_RANGE


@dataclass(frozen=True)
class Cut:
    """The part of a film to stylize.

    Attributes:
        start: Where to begin, seconds.
        end: Where to end, seconds.
        every: Only every N-th frame is taken.
        size: Long side of the frames, px; 0 keeps the film's own.
    """

    start: float = 0.0
    end: float = float("inf")
    every: int = 1
    size: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise RecipeError(f"a film from {self.start:g} s to {self.end:g} s has no frames")


WHOLE = Cut()
"""All frames in their own size."""
INSTANT_S = 1e-6
"""Times that differ by less are equal, seconds."""


@dataclass(frozen=True)
class Clip:
    """The properties that a film states.

    Attributes:
        name: Its path or address.
        width: Width of its upright frames, px.
        height: Their height, px.
        rate: Frames per second.
        time_base: The unit of its times, seconds.
        origin: The time at which it begins, in that unit.
        seconds: Its stated duration, or None.
        picture_seconds: The stated duration of its pictures alone, seconds, or None.
        frames: Its stated number of frames, or None.
        aspect: The aspect ratio of a pixel.
        colour: The meaning of its colour values.
        is_hdr: Whether it is in high dynamic range.
        has_alpha: Whether it has transparency.
        other_streams: The kinds of its other streams.
        has_container: Whether FFmpeg opens it, so that the other streams can be copied.
    """

    name: str
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    origin: int = 0
    seconds: float | None = None
    picture_seconds: float | None = None
    frames: int | None = None
    aspect: Fraction = Fraction(1)
    colour: Colour = Colour()
    is_hdr: bool = False
    has_alpha: bool = False
    other_streams: tuple[str, ...] = ()
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
        """The usual time from one frame to the next, in ``time_base``."""
        return max(1, round(1 / (self.rate * self.time_base)))


def shown_from(
    timed: Iterable[tuple[int, int, Item]], first: int, tolerance: int
) -> Iterator[tuple[int, int, Item]]:
    """Yield the items that are shown from a time on.

    An item that is shown before and after that time begins at it, unless the next item begins
    shortly after.

    Args:
        timed: Start, end and any value of each item, in order.
        first: The time to begin at.
        tolerance: How much later than ``first`` the first item may begin.
    """
    before: tuple[int, Item] | None = None
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
    """A decoded frame.

    Attributes:
        index: How many frames were taken before it.
        pts: The time at which it is shown, in the clip's ``time_base``.
        ends: The time until which it is shown.
        pixels: (H, W, 3 or 4) of uint8, upright, in sRGB.
        skipped: How many frames before it couldn't be decoded, or have a time that goes back.
        notes: What the pipeline's stages attach for later stages.
    """

    index: int
    pts: int
    ends: int
    pixels: np.ndarray
    skipped: int = 0
    notes: dict[str, object] = field(default_factory=dict)


def last_duration(frame: Frame, clip: Clip, cut: Cut) -> int:
    """Return the duration of a frame if it is the last of a cut, in the clip's time base."""
    duration = frame.ends - frame.pts
    if cut.every > 1:  # the frames that are left out after it count, too
        duration = max(duration, clip.step)
    if cut.end < float("inf"):
        end = clip.origin + round(cut.end / clip.time_base)
        duration = min(duration, end - frame.pts)
    return max(1, duration)
