"""Frames → PNGs in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.base import files
from impasto.base.errors import OutputError
from impasto.images.write import Encoding, encode_image
from impasto.video.reading import NUMBERED, sequence_files

PATTERN = "frame-%05d.png"


def check_sequence(output: Path, read: Sequence[Path], *, force: bool = False) -> None:
    """Raises OutputError: pictures of that name are there, or are those that are ``read``; or
    the folder can't be written to.
    """
    pattern = pattern_of(output)
    if pattern.parent.is_dir():
        there = sequence_files(str(pattern))
        if not {path.resolve() for path in there}.isdisjoint(path.resolve() for path in read):
            raise OutputError(f"{output} is what is read; choose another name for what is made")
        files.check_writable(there[0] if there else numbered(pattern, 1), force=force)
    else:
        files.check_writable(pattern.parent)


def is_sequence(output: Path) -> bool:
    """Whether that is a folder, or a pattern of PNGs."""
    named = NUMBERED.search(output.name) is not None and output.suffix.lower() == ".png"
    return named or output.is_dir()


def clear_sequence(output: Path) -> None:
    """Remove the pictures of that name, so that none of them is left among new ones."""
    pattern = pattern_of(output)
    for path in sequence_files(str(pattern)):
        path.unlink()


def numbered(pattern: Path, number: int) -> Path:
    """The file of that number."""
    return pattern.with_name(NUMBERED.sub(lambda found: found[0] % number, pattern.name, count=1))


def pattern_of(output: Path) -> Path:
    """Where pictures go: a pattern, or one in a folder."""
    return output / PATTERN if output.is_dir() else output


class SequenceWriter:
    """Writes numbered PNGs: by a pattern, or into a folder. ``kept`` are there already."""

    def __init__(self, output: Path, kept: int) -> None:
        self.pattern, self.count = pattern_of(output), kept
        files.make_folder(self.pattern.parent)

    def write(self, pixels: np.ndarray, pts: int) -> None:
        """Raises OutputError."""
        path = numbered(self.pattern, self.count + 1)
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
