"""Animated GIF, PNG and WebP as films.

Pillow decodes them: FFmpeg has no decoder for animated WebP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.errors import ImageError
from impasto.images import icc
from impasto.images.limits import Limits
from impasto.images.opening import DAMAGE, open_image
from impasto.video.frames import BT709, INSTANT_S, JPEG_RANGE, SRGB, WHOLE, Clip, Colour, Cut, Frame

FORMATS = ("GIF", "PNG", "WEBP")
MILLISECOND = Fraction(1, 1000)
MIN_DURATION_MS, USUAL_DURATION_MS = 20, 100
"""Browsers show a frame that is said to be shorter than the one as long as the other."""


def is_animation(path: str) -> bool:
    """Return whether a file is an animated GIF, PNG or WebP."""
    try:
        with Path(path).open("rb") as file, open_image(file, path, Limits()) as image:
            return image.format in FORMATS and bool(getattr(image, "is_animated", False))
    except (OSError, ImageError):
        return False


@dataclass(frozen=True)
class _Timing:
    """The number of a frame in the file, and when it is shown, ms."""

    number: int
    start: int
    end: int


class Animation:
    """An animated image as a source of frames. Raises ImageError: it can't be decoded."""

    def __init__(self, path: str, size: int | None) -> None:
        self.path, self.paths = path, [Path(path)]
        self.skipped, self.cut_short, self.is_interlaced = 0, False, False
        with self._opened() as image:
            self.profile = image.info.get("icc_profile")
            self.timings, has_alpha = self._scan(image)
        if not self.timings:
            raise ImageError(f"{path} has no frame that can be decoded")
        total = self.timings[-1].end
        clip = Clip(
            name=path,
            width=image.width,
            height=image.height,
            rate=Fraction(1000 * len(self.timings), total),
            time_base=MILLISECOND,
            seconds=total / 1000,
            frames=len(self.timings),
            colour=Colour(BT709, SRGB, 0, JPEG_RANGE),
            alpha=has_alpha,
            has_container=False,
        )
        self.clip = clip.fitted(size)

    def frames(self, cut: Cut = WHOLE, resume: int | None = None) -> Iterator[Frame]:
        """As ``reading.Source`` says."""
        first = round(cut.start * 1000) if resume is None else resume
        end = (cut.end - INSTANT_S) * 1000
        wanted = [timing for timing in self.timings if first <= timing.start < end]
        with self._opened() as image:
            for index, timing in enumerate(wanted[:: cut.every]):
                image.seek(timing.number)
                yield Frame(index, timing.start, timing.end, self._pixels(image))

    def _opened(self) -> Image.Image:
        return open_image(Path(self.path).open("rb"), self.path, Limits())

    def _scan(self, image: Image.Image) -> tuple[list[_Timing], bool]:
        """Return the times of the frames, and whether any of them has transparent pixels."""
        timings: list[_Timing] = []
        has_alpha, start = False, 0
        # A PNG may begin with a picture for programs that know no animation.
        for number in range(bool(image.info.get("default_image")), getattr(image, "n_frames", 1)):
            try:
                image.seek(number)
                alpha = image.convert("RGBA").getchannel("A")
            except DAMAGE:
                self.cut_short = True
                break
            has_alpha |= bool(np.asarray(alpha).min() < 255)
            duration = round(image.info.get("duration", 0))
            end = start + (duration if duration >= MIN_DURATION_MS else USUAL_DURATION_MS)
            timings.append(_Timing(number, start, end))
            start = end
        return timings, has_alpha

    def _pixels(self, image: Image.Image) -> np.ndarray:
        frame = image.convert("RGBA" if self.clip.alpha else "RGB")
        if self.profile and not icc.is_srgb(self.profile):
            alpha = frame.getchannel("A") if self.clip.alpha else None
            frame = icc.to_srgb(frame, self.profile).convert("RGB")
            if alpha is not None:
                frame.putalpha(alpha)
        size = self.clip.width, self.clip.height
        if frame.size != size:
            frame = frame.resize(size, Image.Resampling.LANCZOS)
        return np.asarray(frame)
