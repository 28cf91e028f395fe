"""Numbered images as frames."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from impasto.base.errors import ImageError
from impasto.images.picture import Picture
from impasto.images.read import read
from impasto.images.sizes import fit_long_side
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
)
from impasto.video.numbered import image_files


class ImageSequence:
    """The images of a folder or pattern as a source of frames; see ``FrameSource``.

    Raises:
        ImageError: There is no image that can be read.
    """

    def __init__(self, path: str, size: int | None, rate: Fraction) -> None:
        self.paths = image_files(path)
        if not self.paths:
            raise ImageError(f"{path} holds no images")
        self.path, self.skipped, self.is_cut_short = path, 0, False
        self.is_interlaced = False
        first = self._first()
        height, width = first.height, first.width
        if size:
            height, width = fit_long_side(height, width, size, "antialias")
        self.clip = Clip(
            name=path,
            width=width,
            height=height,
            rate=rate,
            time_base=1 / rate,
            seconds=float(len(self.paths) / rate),
            frames=len(self.paths),
            colour=Colour(BT709, SRGB, 0, JPEG_RANGE),
            has_alpha=first.alpha is not None,
            has_container=False,
        )

    def frames(self, cut: Cut = WHOLE, resume: int | None = None) -> Iterator[Frame]:
        """Yield frames; see ``FrameSource``. An image that can't be read is skipped and counted."""
        rate, kept, seen = self.clip.rate, 0, 0
        first = round(cut.start * rate) if resume is None else resume
        for index, path in enumerate(self.paths):
            if index < first:
                continue
            if index / rate >= cut.end - INSTANT_S:
                return
            if seen % cut.every == 0:
                try:
                    pixels = self._pixels(path)
                except ImageError:
                    self.skipped += 1
                    continue
                yield Frame(kept, index, index + 1, pixels, self.skipped)
                kept += 1
            seen += 1

    def _first(self) -> Picture:
        """Return the first image that can be read. Raises ImageError if there is none."""
        for path in self.paths[:-1]:
            with suppress(ImageError):
                return read(path)
        return read(self.paths[-1])

    def _pixels(self, path: Path) -> np.ndarray:
        """Return an image as (H, W, 3 or 4) of uint8 in the clip's size."""
        picture = read(path)
        rgb = picture.rgb[0].permute(1, 2, 0).numpy()  # (H, W, 3)
        if self.clip.has_alpha:
            alpha = np.ones_like(rgb[..., :1])
            if picture.alpha is not None:
                alpha = picture.alpha[0, 0].numpy()[..., None]
            rgb = np.concatenate([rgb, alpha], axis=2)
        pixels = quantize(rgb, 8)
        if pixels.shape[:2] != (self.clip.height, self.clip.width):
            kind = "rgba" if self.clip.has_alpha else "rgb24"
            frame = av.VideoFrame.from_ndarray(pixels, format=kind)
            frame = frame.reformat(
                width=self.clip.width, height=self.clip.height, interpolation="AREA"
            )
            pixels = frame.to_ndarray()
        return pixels
