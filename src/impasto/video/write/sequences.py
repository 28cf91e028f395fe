"""Writing frames as numbered PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.base import files
from impasto.base.errors import OutputError
from impasto.images.write import Encoding, encode_image
from impasto.video.numbered import NUMBER_FIELD, image_files

DEFAULT_PATTERN = "frame-%05d.png"


def check_sequence(output: Path, inputs: Sequence[Path], *, should_replace: bool = False) -> None:
    """Check that a sequence of images can be written.

    Args:
        output: A folder or a pattern.
        inputs: The files that are read.
        should_replace: Whether existing images are replaced.

    Raises:
        OutputError: There are images of that name, these are among the inputs, or the folder can't
            be written to.
    """
    pattern = _pattern_of(output)
    if pattern.parent.is_dir():
        existing = image_files(str(pattern))
        input_paths = {path.resolve() for path in inputs}
        if not input_paths.isdisjoint(path.resolve() for path in existing):
            raise OutputError(f"{output} is what is read; choose another name for what is made")
        first = existing[0] if existing else numbered(pattern, 1)
        files.check_writable(first, force=should_replace)
    else:
        files.check_writable(pattern.parent)


def is_sequence(output: Path) -> bool:
    """Return whether an output is a folder or a pattern of PNG files."""
    is_pattern = NUMBER_FIELD.search(output.name) is not None and output.suffix.lower() == ".png"
    return is_pattern or output.is_dir()


def clear_sequence(output: Path) -> None:
    """Remove existing images, so that none of them is left among the new ones."""
    pattern = _pattern_of(output)
    for path in image_files(str(pattern)):
        path.unlink()


def numbered(pattern: Path, number: int) -> Path:
    """Return the file of a number."""
    return pattern.with_name(
        NUMBER_FIELD.sub(lambda found: found[0] % number, pattern.name, count=1)
    )


def _pattern_of(output: Path) -> Path:
    """Return the pattern of an output, which for a folder is the default pattern in it."""
    return output / DEFAULT_PATTERN if output.is_dir() else output


class SequenceWriter:
    """Writes numbered PNG files.

    Args:
        output: A folder or a pattern.
        count: How many images an interrupted run has written already.
    """

    def __init__(self, output: Path, count: int) -> None:
        self.pattern, self.count = _pattern_of(output), count
        files.make_folder(self.pattern.parent)

    def write(self, pixels: np.ndarray, pts: int) -> None:
        """Write the next frame, (H, W, 3 or 4) of uint8. Raises OutputError."""
        path = numbered(self.pattern, self.count + 1)
        files.write_atomically(path, encode_image(Image.fromarray(pixels), Encoding("png")))
        self.count += 1

    def has_written(self, frames: int) -> bool:
        return True

    def end_segment(self) -> None:
        """Do nothing: every frame is a finished file."""

    def abandon(self) -> None:
        """Do nothing: every frame is a finished file."""

    def close(self) -> None:
        """Do nothing: every frame is a finished file."""
