"""Opening whatever frames can be read from."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from impasto.base.errors import RecipeError
from impasto.video.containers import check_file
from impasto.video.numbered import NUMBER_FIELD
from impasto.video.read.animations import AnimatedImage, is_animation
from impasto.video.read.films import FilmReader
from impasto.video.read.frame_source import FrameSource
from impasto.video.read.image_folders import ImageSequence

DEFAULT_RATE = Fraction(25)
"""Frames per second of a sequence of images."""


def open_source(path: str, size: int | None, rate: Fraction | None = None) -> FrameSource:
    """Open a film, an animated image, a folder of images or a pattern (``frame-%04d.png``).

    Args:
        path: What to open.
        size: Long side of the frames, px; None keeps their own size.
        rate: Frames per second of a sequence of images.

    Raises:
        ImageError: It can't be opened.
        RecipeError: ``rate`` was given for a film.
    """
    if Path(path).is_dir() or (NUMBER_FIELD.search(path) and not Path(path).exists()):
        return ImageSequence(path, size, rate or DEFAULT_RATE)
    if rate is not None:
        raise RecipeError(f"{path} has a rate of its own; --rate is for images")
    check_file(path)
    return AnimatedImage(path, size) if is_animation(path) else FilmReader(path, size)
