"""TIFF files that Pillow can't read, or reads in 8 bits: 16-bit, floating-point, planar.

Pillow reads all other TIFF files.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import tifffile

from impasto.errors import ImageError
from impasto.images.limits import Limits
from impasto.images.opening import check_pixels

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
DNG_VERSION, ORIENTATION, ICC_PROFILE = 50706, 274, 34675
COLOR_FILTER_ARRAY, LINEAR_RAW = 32803, 34892
ASSOCIATED_ALPHA = 1
ORIENTATIONS = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}
"""Functions of an array (H, W, ...) that turn it upright, by the orientation of TIFF and EXIF."""


def is_tiff(data: bytes) -> bool:
    """Return whether these are the bytes of a TIFF file."""
    return data[:4] in SIGNATURES


def read_tiff(
    data: bytes, name: str, limits: Limits, is_srgb: Callable[[bytes], bool]
) -> np.ndarray | None:
    """Read a TIFF file as (H, W, 3 or 4), uint8, uint16 or float in [0, 1], turned upright.

    ``is_srgb`` tells whether a profile leaves colours as they are. Returns None for a file that is
    left to Pillow: of 8 bits, or with another profile, since conversions to sRGB have 8 bits.

    Raises:
        ImageError: A raw camera file, or more pixels than the limit.
    """
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page, is_first = _largest_page(file, name)
            check_pixels(page.imagewidth, page.imagelength, name, limits)
            if (is_first and page.bitspersample <= 8) or page.photometric.name not in READABLE:
                return None
            profile = page.tags.get(ICC_PROFILE)
            if profile and not is_srgb(profile.value) and page.bitspersample <= 16 and is_first:
                return None
            return _upright(page, _channels_last(page))
    except ImageError:
        raise
    except Exception:  # tifffile raises many kinds; Pillow's sentence is the better one
        return None


READABLE = ("RGB", "MINISBLACK", "MINISWHITE")


def _largest_page(file: tifffile.TiffFile, name: str) -> tuple[Any, bool]:
    """Return the page with the picture, and whether it is the first one.

    The first page of a raw camera file is a thumbnail.
    """
    pages: list[Any] = list(file.pages)
    below = [sub for page in pages for sub in (page.pages or ())]
    photometrics = {int(page.photometric) for page in (*pages, *below)}
    if DNG_VERSION in pages[0].tags or photometrics & {COLOR_FILTER_ARRAY, LINEAR_RAW}:
        raise ImageError(
            f"{name} is a raw camera file; develop it first, and save it as TIFF, PNG or JPEG"
        )
    whole = next((page for page in pages if not page.is_reduced), pages[0])
    return whole, whole is pages[0]


def _channels_last(page: Any) -> np.ndarray:
    """Return the samples (H, W, C) of a page, black as 0, alpha not multiplied in."""
    array: np.ndarray = page.asarray()
    if page.axes.startswith("S"):  # planes one after the other
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.dtype.kind == "u" and array.dtype.itemsize > 2:
        array = array / np.float64(np.iinfo(array.dtype).max)
    if page.photometric.name == "MINISWHITE":
        array = (np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1) - array
    colors = 3 if page.photometric.name == "RGB" else 1
    color, extra = array[..., :colors], array[..., colors : colors + 1]
    if not extra.shape[-1]:
        return color if colors == 3 else color[..., 0]
    if page.extrasamples and page.extrasamples[0] == ASSOCIATED_ALPHA:
        most = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
        opacity = np.maximum(extra / most, 1e-9)
        color = np.minimum(color / opacity, most).astype(array.dtype)
    return np.concatenate([np.broadcast_to(color, (*color.shape[:2], 3)), extra], axis=-1)


def _upright(page: Any, array: np.ndarray) -> np.ndarray:
    tag = page.tags.get(ORIENTATION)
    turn = ORIENTATIONS.get(int(tag.value)) if tag else None
    return array if turn is None else turn(array)
