"""Images in forms: they are checked, and kept in the folder of a job.

No image is decoded here. Its type and size are read from the first bytes.
"""

from __future__ import annotations

import math
import shutil
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import psutil
from PIL import ExifTags, Image
from starlette.datastructures import UploadFile

from impasto.base import cgroups
from impasto.base.errors import ImageError
from impasto.images.limits import MIN_SIDE_PX, Limits
from impasto.images.opening import DAMAGE, PIXELS_PER_MPX, check_pixels, damaged, open_image
from impasto.studio.jobs.errors import ProblemError

BYTES_PER_MB = 1_000_000
UNLIMITED = sys.float_info.max
FORM_PICTURES = 2
"""Limit for the pixels of all pictures in a form, as a multiple of the limit for one picture."""
MEMORY_SHARE = 0.5
"""Largest share of the memory that reading the pictures of a form may take."""
BYTES_PER_PIXEL = 24
"""Peak memory while a picture is read in full, measured with 98 megapixels (2.1 GB). A picture that
is reduced while it is read takes a third of that.
"""
MAX_NAME_LETTERS = 80
"""Length to which the name of a file is cut, characters."""


@cache
def total_memory() -> int:
    """Return the memory of this machine, or the memory that was free in its container, bytes."""
    return int(min(psutil.virtual_memory().total, cgroups.free_memory()))


class PixelBudget:
    """The limit for the pixels of all pictures in a form, counted before any is decoded."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        in_memory = total_memory() * MEMORY_SHARE / BYTES_PER_PIXEL
        self.megapixels = min(
            FORM_PICTURES * limits.max_megapixels, math.floor(in_memory / PIXELS_PER_MPX)
        )
        self.spent = 0

    def spend(self, width: int, height: int, name: str) -> None:
        """Count the pixels of a picture.

        Raises:
            ProblemError: The picture is too large, or all pictures together are.
        """
        try:
            check_pixels(width, height, name, self.limits)
        except ImageError as error:
            raise ProblemError(413, str(error)) from None
        self.spent += width * height
        if self.spent > self.megapixels * PIXELS_PER_MPX:
            raise ProblemError(
                413,
                f"with {name} the pictures of this form have {self.spent / PIXELS_PER_MPX:.4g}"
                f" megapixels; the limit for all of them is {self.megapixels:g}",
            )


def keep_image(upload: UploadFile, path: Path, budget: PixelBudget) -> tuple[int, int]:
    """Check the type and size of an image, and copy its bytes to a file.

    Returns:
        The width and height of the upright image, px.

    Raises:
        ProblemError: The image is too large or too small.
        ImageError: The file isn't an image.
    """
    name = name_of(upload)
    check_bytes(upload, budget.limits)
    any_size = replace(budget.limits, max_megapixels=UNLIMITED)  # the budget checks the size
    with open_image(upload.file, name, any_size) as image:
        width, height = image.size
        budget.spend(width, height, name)
        if _is_rotated(image, name):
            width, height = height, width
    if min(width, height) < MIN_SIDE_PX:
        raise ProblemError(
            422, f"{name} is {width}×{height} px; both sides need at least {MIN_SIDE_PX} px"
        )
    upload.file.seek(0)
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file)
    return width, height


def check_bytes(upload: UploadFile, limits: Limits) -> None:
    """Check the size of a file.

    Raises:
        ImageError: The file is empty.
        ProblemError: The file is too large.
    """
    if not upload.size:
        raise ImageError(f"{name_of(upload)} is empty")
    if upload.size > limits.max_megabytes * BYTES_PER_MB:
        raise ProblemError(
            413,
            f"{name_of(upload)} is larger than {limits.max_megabytes:g} MB, the limit for a file",
        )


def name_of(upload: UploadFile) -> str:
    """Return the name of an uploaded file. It is only displayed, and never opened."""
    name = Path((upload.filename or "").replace("\\", "/")).name
    return "".join(letter for letter in name if letter.isprintable())[:MAX_NAME_LETTERS] or "image"


def _is_rotated(image: Image.Image, name: str) -> bool:
    """Return whether the EXIF orientation swaps width and height."""
    if image.format == "PNG":  # reading its EXIF, which follows the pixels, would decode them
        return False
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except DAMAGE as error:
        raise damaged(name, error) from error
