"""A stylized frame and its original as the pixels that are written."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from impasto.video.frames import Clip, Frame
from impasto.video.masks import FilmMask


@dataclass
class Compositor:
    """Composites stylized frames with their originals.

    Attributes:
        clip: The source.
        mask: Where to paint; None is everywhere. Elsewhere the original stays.
        keeps_alpha: Whether the output has the source's transparency. Otherwise it becomes black.
    """

    clip: Clip
    mask: FilmMask | None
    keeps_alpha: bool

    def composite(self, frame: Frame, painted: np.ndarray) -> np.ndarray:
        """Return the pixels to write, (H, W, 3 or 4) of uint8.

        Args:
            frame: The source's frame.
            painted: The stylized frame, (H, W, 3) of float32, 0 to 255.
        """
        if self.mask is not None:
            seconds = float((frame.pts - self.clip.origin) * self.clip.time_base)
            share = self.mask.at(seconds)[..., None]
            original = frame.pixels[..., :3].astype(np.float32)
            painted = original + share * (painted - original)
        rgb = cv2.convertScaleAbs(painted)
        if not self.clip.has_alpha:
            return rgb
        if self.keeps_alpha:
            return np.dstack([rgb, frame.pixels[..., 3]])
        return (rgb * (frame.pixels[..., 3:] / 255)).astype(np.uint8)
