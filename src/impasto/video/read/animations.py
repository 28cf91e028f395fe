"""Animated GIF, PNG, WebP and transparent AVIF as frames.

Pillow decodes them, because FFmpeg has no decoder for animated WebP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from impasto.base.errors import ImageError
from impasto.images.decoding import Conversion
from impasto.images.limits import Limits
from impasto.images.opening import DAMAGE, open_image
from impasto.images.sizes import resize
from impasto.images.write import quantize
from impasto.video.frames import (
    BT709,
    INSTANT_S,
    JPEG_RANGE,
    SRGB,
    WHOLE,
    Clip,
    Colour,
    Cut,
    Frame,
    shown_from,
)

FORMATS = ("GIF", "PNG", "WEBP")
MILLISECOND = Fraction(1, 1000)
MIN_DURATION_MS, DEFAULT_DURATION_MS = 20, 100
"""Browsers show a frame with a stated duration below the first for as long as the second."""


def is_animation(path: str) -> bool:
    """Return whether a file is an animated GIF, PNG or WebP, or AVIF with transparency."""
    try:
        with Path(path).open("rb") as file, open_image(file, path, Limits()) as image:
            # FFmpeg reads an AVIF's transparency as a second film.
            is_supported = image.format in FORMATS or (
                image.format == "AVIF" and image.mode == "RGBA"
            )
            return is_supported and bool(getattr(image, "is_animated", False))
    except (OSError, ImageError):
        return False


@dataclass(frozen=True)
class _FrameTiming:
    """A frame's number in the file, and its start and end, ms."""

    number: int
    start: int
    end: int


class AnimatedImage:
    """An animated image as a source of frames; see ``FrameSource``.

    Raises:
        ImageError: It can't be decoded.
    """

    def __init__(self, path: str, size: int | None) -> None:
        self.path, self.paths = path, [Path(path)]
        self.skipped, self.is_cut_short, self.is_interlaced = 0, False, False
        with self._open() as image:
            self.conversion = Conversion.of(image, Path(path).read_bytes())
            height, width = self.conversion.upright_size(image)
            self.timings, has_alpha = self._scan(image)
        if not self.timings:
            raise ImageError(f"{path} has no frame that can be decoded")
        total = self.timings[-1].end
        clip = Clip(
            name=path,
            width=width,
            height=height,
            rate=Fraction(1000 * len(self.timings), total),
            time_base=MILLISECOND,
            seconds=total / 1000,
            frames=len(self.timings),
            colour=Colour(BT709, SRGB, 0, JPEG_RANGE),
            has_alpha=has_alpha,
            has_container=False,
        )
        self.clip = clip.fitted(size)

    def frames(self, cut: Cut = WHOLE, resume: int | None = None) -> Iterator[Frame]:
        """Yield frames; see ``FrameSource``."""
        timed = [(timing.start, timing.end, timing.number) for timing in self.timings]
        if resume is None:
            timed = list(shown_from(timed, round(cut.start * 1000), 0))
        end = (cut.end - INSTANT_S) * 1000
        selected = [each for each in timed if (resume or 0) <= each[0] < end][:: cut.every]
        by_number = {
            number: (index, start, ends) for index, (start, ends, number) in enumerate(selected)
        }
        with self._open() as image:
            for timing in self.timings:  # a frame may be drawn over all those before it
                image.seek(timing.number)
                image.load()
                if timing.number in by_number:
                    index, start, ends = by_number[timing.number]
                    yield Frame(index, start, ends, self._pixels(image))

    def _open(self) -> Image.Image:
        return open_image(Path(self.path).open("rb"), self.path, Limits())

    def _scan(self, image: Image.Image) -> tuple[list[_FrameTiming], bool]:
        """Return the times of the frames, and whether any of them has transparent pixels."""
        timings: list[_FrameTiming] = []
        has_alpha, start = False, 0
        # A PNG may begin with a picture for programs that don't support animations.
        for number in range(bool(image.info.get("default_image")), getattr(image, "n_frames", 1)):
            try:
                image.seek(number)
                alpha = image.convert("RGBA").getchannel("A")
            except DAMAGE:
                self.is_cut_short = True
                break
            has_alpha |= bool(np.asarray(alpha).min() < 255)
            duration = round(image.info.get("duration", 0))
            end = start + (duration if duration >= MIN_DURATION_MS else DEFAULT_DURATION_MS)
            timings.append(_FrameTiming(number, start, end))
            start = end
        return timings, has_alpha

    def _pixels(self, image: Image.Image) -> np.ndarray:
        """Return the current frame as (H, W, 3 or 4) of uint8 in the clip's size."""
        picture = self.conversion.picture(image, self.path)
        rgb = resize(picture.rgb, self.clip.height, self.clip.width, "antialias")
        pixels = rgb[0].permute(1, 2, 0).numpy()
        if self.clip.has_alpha:
            alpha = torch.ones_like(rgb[:, :1])
            if picture.alpha is not None:
                alpha = resize(picture.alpha, self.clip.height, self.clip.width, "antialias")
            pixels = np.concatenate([pixels, alpha[0].permute(1, 2, 0).numpy()], axis=2)
        return quantize(pixels, 8)
