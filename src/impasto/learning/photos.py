"""The photos with which a network is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from impasto.base import files
from impasto.base.errors import ImageError, reason
from impasto.images.limits import Limits
from impasto.images.read import read
from impasto.styles import bundled

PHOTO_PX = 640
"""Long side of the photos in memory, px. Smaller photos keep their size."""
MIN_PHOTO_PX = 64
"""Shortest side of a photo, px."""
MAX_PHOTOS = 2000
"""Largest number of photos from a folder. At ``PHOTO_PX`` they take at most 2.5 GB."""
SUFFIXES = frozenset({
    ".avif", ".bmp", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp",
})  # fmt: skip


def training_photos(folder: str | None, limits: Limits | None = None) -> list[Tensor]:
    """Return the bundled training photos and those in a folder, (3, H, W), uint8.

    Args:
        folder: The user's folder of photos, or None.
        limits: Limits for the photos.

    Raises:
        ImageError: The folder doesn't exist or has no photos, or a photo can't be read.
    """
    paths = bundled.training_photos()
    if folder is not None:
        paths = [*paths, *photos_in(Path(folder))]
    if not paths:
        raise ImageError("there are no photos to train with; give a folder of photos")
    return read_photos(paths, limits)


def photos_in(folder: Path) -> list[Path]:
    """Return the photos in a folder and its subfolders, at most ``MAX_PHOTOS``; no hidden files.

    Raises:
        ImageError: The folder doesn't exist, can't be read, or has no photos.
    """
    if not files.is_folder(folder):
        raise ImageError(f"{folder}: there is no such folder of photos")
    try:
        found = sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
    except OSError as error:
        raise ImageError(f"{folder} can't be read: {reason(error)}") from error
    if not found:
        raise ImageError(f"{folder} has no photos in it")
    return found[:MAX_PHOTOS]


def read_photos(paths: Sequence[Path], limits: Limits | None = None) -> list[Tensor]:
    """Read photos as tensors (3, H, W), uint8, reduced to a long side of ``PHOTO_PX``.

    Raises:
        ImageError: A photo can't be read, or is too small.
    """
    photos = []
    for path in paths:
        photo = read(path, limits=limits, min_side=MIN_PHOTO_PX, needed_side=lambda *_: PHOTO_PX)
        size = min(PHOTO_PX, max(photo.height, photo.width))
        fitted = photo.fitted(size, "antialias").rgb
        photos.append(fitted[0].mul(255).round().to(torch.uint8))
    return photos
