"""Decoding TIFF files.

tifffile decodes grey, RGB and CMYK of 8 bits and more, in every layout and compression. Pillow
decodes the other kinds: fewer bits, palettes, LAB, YCbCr, JPEG inside of TIFF.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from impasto.base.errors import ImageError
from impasto.base.logs import quiet_logger
from impasto.images import icc
from impasto.images.limits import Limits
from impasto.images.opening import check_pixels, damaged

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
DNG_VERSION, ORIENTATION, ICC_PROFILE = 50706, 274, 34675
COLOR_FILTER_ARRAY, LINEAR_RAW = 32803, 34892
ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA = 1, 2
COLORS = {"MINISBLACK": 1, "MINISWHITE": 1, "RGB": 3, "SEPARATED": 4}
"""Channels besides alpha, by the names of photometric interpretations that tifffile decodes."""
JPEG_COMPRESSIONS = (6, 7, 34892)
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


@dataclass(frozen=True, eq=False)
class TiffImage:
    """The contents of a TIFF file.

    Attributes:
        samples: (H, W, 1 or 3 or 4), uint8, uint16 or float in [0, 1], turned upright; None for a
            kind that Pillow decodes.
        profile: The ICC profile, where the samples are still to be converted by it.
        page: The number of the page with the picture.
        pages: How many pages of full resolution there are.
    """

    samples: np.ndarray | None = None
    profile: bytes | None = None
    page: int = 0
    pages: int = 1


def is_tiff(data: bytes) -> bool:
    """Return whether these are the bytes of a TIFF file."""
    return data[:4] in SIGNATURES


def read_tiff(data: bytes, name: str, limits: Limits) -> TiffImage:
    """Read a TIFF file, as far as Pillow doesn't.

    Raises:
        ImageError: A raw camera file, damaged, or with more pixels than the limit.
    """
    with quiet_logger("tifffile"):  # it warns about damage, which the errors below say
        return _read_tiff(data, name, limits)


def _read_tiff(data: bytes, name: str, limits: Limits) -> TiffImage:
    """Do what ``read_tiff`` does."""
    try:
        file = tifffile.TiffFile(io.BytesIO(data))
        pages: list[Any] = list(file.pages)
        number = _number_of_picture(pages, name)
        page = pages[number]
        check_pixels(page.imagewidth, page.imagelength, name, limits)
        found = TiffImage(page=number, pages=sum(not _is_reduced(page) for page in pages))
        is_decoded_here = _is_decoded_here(page)
    except ImageError:
        raise
    except Exception:  # tifffile raises many kinds; Pillow says what is wrong with the file
        return TiffImage()
    if not is_decoded_here:
        return found
    try:
        samples, profile = _samples(page)
    except Exception as error:
        raise damaged(name, error) from ValueError(str(error))
    return TiffImage(samples, profile, number, found.pages)


def _number_of_picture(pages: list[Any], name: str) -> int:
    """Return the number of the first page of full resolution. A raw camera file has none."""
    below = [sub for page in pages for sub in (page.pages or ())]
    photometrics = {int(page.photometric) for page in (*pages, *below)}
    if DNG_VERSION in pages[0].tags or photometrics & {COLOR_FILTER_ARRAY, LINEAR_RAW}:
        raise ImageError(
            f"{name} is a raw camera file; develop it first, and save it as TIFF, PNG or JPEG"
        )
    return next((n for n, page in enumerate(pages) if not _is_reduced(page)), 0)


def _is_reduced(page: Any) -> bool:
    return bool(page.is_reduced)


def _is_decoded_here(page: Any) -> bool:
    if page.photometric.name == "PALETTE":
        return bool(page.bitspersample > 8)
    is_known = page.photometric.name in COLORS and page.compression not in JPEG_COMPRESSIONS
    return bool(is_known and page.bitspersample >= 8)


def _samples(page: Any) -> tuple[np.ndarray, bytes | None]:
    """Return the samples of a page, upright, and the profile by which to convert them."""
    if not all(page.databytecounts):  # tifffile would take them for black
        raise ValueError("parts of it have no data")
    array: np.ndarray = page.asarray()
    if page.photometric.name == "PALETTE":
        return np.moveaxis(page.colormap[:, array], 0, -1), None
    if page.axes.startswith("S"):  # planes one after the other
        array = np.moveaxis(array, 0, -1)
    array = array if array.ndim == 3 else array[:, :, None]  # (H, W, C)
    array = _in_full_range(array, page.bitspersample)
    colors, alpha = _split_alpha(array, page)
    tag = page.tags.get(ICC_PROFILE)
    profile = None if tag is None or icc.is_srgb(bytes(tag.value)) else bytes(tag.value)
    if page.photometric.name == "MINISWHITE":
        colors = _highest(colors) - colors
    if page.photometric.name == "SEPARATED":
        colors, profile = _from_cmyk(colors, profile), None
        alpha = None if alpha is None else _eight_bits(alpha)
    if alpha is not None:
        colors = np.concatenate([np.broadcast_to(colors, (*colors.shape[:2], 3)), alpha], axis=2)
    orientation = page.tags.get(ORIENTATION)
    turn = ORIENTATIONS.get(int(orientation.value)) if orientation else None
    return (colors if turn is None else turn(colors)), profile


def _in_full_range(array: np.ndarray, bits: int) -> np.ndarray:
    """Return unsigned integers of 8 or 16 bits, or float32: 12 bits become 16."""
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if bits not in (8, 16):
        return (array / np.float64(2**bits - 1)).astype(np.float32)
    return array


def _split_alpha(array: np.ndarray, page: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the colors, not multiplied by alpha, and alpha if there is any.

    A further sample that isn't marked as alpha is something else, such as a spot color.
    """
    count = COLORS[page.photometric.name]
    colors, extra = array[..., :count], array[..., count : count + 1]
    kind = int(page.extrasamples[0]) if page.extrasamples and extra.shape[2] else 0
    if kind not in (ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA):
        return colors, None
    if kind == ASSOCIATED_ALPHA:
        most = _highest(array)
        opacity = np.maximum(extra / np.float32(most), 1e-9)
        if page.photometric.name == "MINISWHITE":  # black is 1, and multiplied as such
            colors = most - np.minimum((most - colors) / opacity, most).astype(array.dtype)
        else:
            colors = np.minimum(colors / opacity, most).astype(array.dtype)
    return colors, extra


def _highest(array: np.ndarray) -> int:
    return int(np.iinfo(array.dtype).max) if array.dtype.kind == "u" else 1


def _eight_bits(array: np.ndarray) -> np.ndarray:
    return np.rint(array * (255 / _highest(array))).astype(np.uint8)


def _from_cmyk(inks: np.ndarray, profile: bytes | None) -> np.ndarray:
    """Return (H, W, 4) of inks as (H, W, 3) uint8 in sRGB; Pillow converts CMYK in 8 bits only."""
    image = Image.fromarray(np.ascontiguousarray(_eight_bits(inks)), "CMYK")
    if profile is not None:
        image = icc.to_srgb(image, profile)
    return np.asarray(image.convert("RGB"))
