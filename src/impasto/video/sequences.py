"""Frames → PNGs in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from impasto import files
from impasto.images.write import Encoding, encode_image

PATTERN = "frame-%05d.png"


class SequenceWriter:
    """Writes numbered PNGs: by a pattern, or into a folder. ``kept`` are there already."""

    def __init__(self, output: Path, kept: int) -> None:
        if output.is_dir():
            output = output / PATTERN
        files.make_folder(output.parent)
        self.pattern, self.count = output, kept

    def write(self, pixels: np.ndarray, pts: int) -> None:
        """Raises OutputError."""
        path = self.pattern.with_name(self.pattern.name % (self.count + 1))
        files.write_atomically(path, encode_image(Image.fromarray(pixels), Encoding("png")))
        self.count += 1

    def relies_on(self, frames: int) -> bool:
        return True

    def end_segment(self) -> None:
        """Every picture is a file already."""

    def abandon(self) -> None:
        """Every picture is a file already."""

    def close(self) -> None:
        """Every picture is a file already."""
