"""TIFF files that Pillow can't read, or reads in 8 bits: 16-bit, floating-point, planar, CMYK with
alpha.

Pillow reads all other TIFF files.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from impasto.errors import ImageError
from impasto.images import icc
from impasto.images.deep import decode_with_opencv
from impasto.images.limits import Limits
from impasto.images.opening import check_pixels

logging.getLogger("tifffile").addHandler(logging.NullHandler())
"""Otherwise it writes to standard error what it thinks of a damaged file."""

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


@dataclass(frozen=True, eq=False)
class TiffImage:
    """What a TIFF file holds.

    Attributes:
        samples: (H, W) or (H, W, 3 or 4), uint8, uint16 or float in [0, 1], turned upright; None
            where Pillow reads the file rightly.
        profile: The ICC profile, where the samples are still to be converted by it.
        pages: Pages of full resolution.
    """

    samples: np.ndarray | None
    profile: bytes | None = None
    pages: int = 1


def read_tiff(data: bytes, name: str, limits: Limits, *, fallback: bool = False) -> TiffImage:
    """Read a TIFF file, as far as Pillow doesn't.

    Args:
        data: The file.
        name: What to call it.
        limits: Of its pixels.
        fallback: Whether Pillow has refused the file.

    Raises:
        ImageError: A raw camera file, or more pixels than the limit.
    """
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page, is_first = _largest_page(file, name)
            pages = sum(not _is_reduced(page) for page in file.pages)
            check_pixels(page.imagewidth, page.imagelength, name, limits)
            if not (fallback or page.bitspersample > 8 or not is_first or _is_cmyka(page)):
                return TiffImage(None, pages=pages)
            profile = page.tags.get(ICC_PROFILE)
            profile = None if profile is None or icc.is_srgb(profile.value) else profile.value
            if page.photometric.name == "SEPARATED":
                samples = _from_cmyk(page, profile)
                return TiffImage(None if samples is None else _upright(page, samples), None, pages)
            if page.photometric.name not in READABLE:
                return TiffImage(None, pages=pages)
            return TiffImage(_upright(page, _channels_last(page, data)), profile, pages)
    except ImageError:
        raise
    except Exception:  # tifffile raises many kinds; Pillow's sentence is the better one
        return TiffImage(None)


READABLE = ("RGB", "MINISBLACK", "MINISWHITE")
CMYK_CHANNELS = 4


def _is_cmyka(page: Any) -> bool:
    return bool(page.photometric.name == "SEPARATED" and page.samplesperpixel > CMYK_CHANNELS)


def _is_reduced(page: Any) -> bool:
    return bool(page.is_reduced)


def _from_cmyk(page: Any, profile: bytes | None) -> np.ndarray | None:
    """Return a page of CMYK with alpha as (H, W, 4) uint8; None for one without, left to Pillow."""
    if not _is_cmyka(page):
        return None
    array = _planes_last(page, page.asarray())
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(array[..., :CMYK_CHANNELS]), "CMYK")
    if profile is not None:
        image = icc.to_srgb(image, profile)
    return np.dstack([np.asarray(image.convert("RGB")), array[..., CMYK_CHANNELS]])


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
    whole = next((page for page in pages if not _is_reduced(page)), pages[0])
    return whole, whole is pages[0]


def _decoded(page: Any, data: bytes) -> np.ndarray:
    """Decode a page; OpenCV knows compressions that tifffile doesn't, such as LZW."""
    try:
        return _planes_last(page, page.asarray())
    except ValueError as error:
        if page.index != 0 or "imagecodecs" not in str(error):
            raise
    array = decode_with_opencv(data)
    if array is None or array.dtype != page.dtype:
        raise ValueError("of a kind that OpenCV can't decode")
    return array


def _planes_last(page: Any, array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, 0, -1) if page.axes.startswith("S") else array


def _channels_last(page: Any, data: bytes) -> np.ndarray:
    """Return the samples (H, W, C) of a page, black as 0, alpha not multiplied in."""
    array = _decoded(page, data)
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
