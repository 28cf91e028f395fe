"""What a worker says of a long job on the way: how often, and the picture so far."""

from __future__ import annotations

import time
from pathlib import Path

from PIL import Image

from impasto.base import files
from impasto.images.write import Encoding, encode_image

NEWS_EVERY_S = 0.2
PREVIEW_EVERY_S = 0.7
PREVIEW_PX = 1024


class Due:
    """Whether something that is done every so many seconds is due; asked, it counts from now on."""

    def __init__(self, every_s: float) -> None:
        self.every_s, self.last = every_s, 0.0

    def __call__(self, *, anyway: bool = False) -> bool:
        now = time.monotonic()
        due = anyway or now - self.last > self.every_s
        self.last = now if due else self.last
        return due


def write_preview(folder: Path, image: Image.Image) -> None:
    """The picture so far, small."""
    image.thumbnail((PREVIEW_PX, PREVIEW_PX))
    files.write_atomically(folder / "preview.jpg", encode_image(image, Encoding("jpeg")))
