"""Reading images: whatever holds pixels becomes a Picture.

The type is told from the bytes, never from the name. What a viewer would show is what is read: EXIF
orientation is applied, embedded ICC profiles are converted to sRGB, grey and CMYK become RGB.
"""

from __future__ import annotations

import hashlib
import io
import sys
import warnings
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

from impasto.errors import ImageError, reason
from impasto.images.limits import MIN_SIDE_PX, Limits
from impasto.images.opening import (
    DAMAGE,
    check_pixels,
    damaged,
    open_image,
    opened,
    png_without_text,
)
from impasto.images.picture import Picture
from impasto.images.tiff import ORIENTATIONS, is_tiff, read_tiff

Source = Any
"""A path, ``"-"`` (standard input), bytes, PIL image, numpy array, torch tensor, or Picture."""

STANDARD_INPUT = "-"
BYTES_PER_MB = 1_000_000
OUT_OF_RANGE = "a float image must be between 0 and 1 everywhere; divide by its maximum"


def read(
    source: Source,
    *,
    limits: Limits | None = None,
    min_side: int = MIN_SIDE_PX,
    name: str = "image",
) -> Picture:
    """Read an image.

    ``source``: a path (``str`` or ``Path``), ``"-"`` for standard input, ``bytes``, a PIL image, a
    numpy array (H, W) or (H, W, 1/3/4) of uint8, uint16 or float in [0, 1], or a torch tensor
    ([1,] 1/3/4, H, W) of uint8 or float in [0, 1]. ``name`` is what to call bytes.

    Returns a Picture: rgb float32 (1, 3, H, W) in [0, 1], transparency kept aside. Raises
    ImageError: not there, not an image, damaged, too large (``limits``) or under ``min_side`` px.
    """
    limits = limits or Limits()
    if isinstance(source, Picture):
        picture = source
    elif isinstance(source, (str, Path)):
        name = "stdin" if str(source) == STANDARD_INPUT else str(source) or "''"
        picture = _decode(_file_bytes(source, name, limits), name, limits)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        picture = replace(_decode(bytes(source), name, limits), name=name)
    elif isinstance(source, Image.Image):
        check_pixels(source.width, source.height, "image", limits)
        picture = _guarded(source, "image")
    elif isinstance(source, np.ndarray):
        picture = _from_array(source, "array")
    elif isinstance(source, Tensor):
        picture = _from_tensor(source)
    else:
        raise ImageError(
            f"{type(source).__name__} isn't a type of image; give a path, bytes, a PIL image, a"
            " numpy array or a torch tensor"
        )
    if not picture.blank:  # how large that can be, memory knows
        check_pixels(picture.width, picture.height, picture.name, limits)
    if min(picture.width, picture.height) < min_side:
        raise ImageError(
            f"{picture.name} is {picture.width}×{picture.height} px; both sides need at least"
            f" {min_side} px"
        )
    return picture


def read_batch(pixels: Tensor) -> Picture:
    """Read a batch of images of one size on its device, without making the host wait for it.

    Args:
        pixels: (N, 1 or 3 or 4, H, W), bool, uint8 or float in [0, 1], which is not checked.

    Returns:
        A Picture of the batch on the same device. A fourth channel is kept as its transparency,
        even where all of it is opaque.
    """
    most = 255 if pixels.dtype == torch.uint8 else 1
    pixels = (pixels.float() / most).contiguous()
    if pixels.shape[1] == 4:
        rgb, alpha = pixels[:, :3], pixels[:, 3:]
        return Picture(_filled(rgb, alpha), alpha.contiguous(), "batch")
    return Picture(pixels.expand(-1, 3, -1, -1).contiguous(), None, "batch")


def _file_bytes(source: str | Path, name: str, limits: Limits) -> bytes:
    most = int(limits.max_megabytes * BYTES_PER_MB)
    try:
        if str(source) == STANDARD_INPUT:
            data = sys.stdin.buffer.read(most + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(most + 1)  # one more than allowed, whatever the size is said to be
    except FileNotFoundError as error:
        raise ImageError(f"{name}: there is no such file") from error
    except IsADirectoryError as error:
        raise ImageError(f"{name} is a folder, not an image") from error
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise ImageError(f"{name} can't be read: {why}") from error
    if len(data) > most:
        raise ImageError(f"{name} is larger than {limits.max_megabytes:g} MB, the limit for a file")
    if not data:
        raise ImageError(f"{name} is empty")
    return data


def _decode(data: bytes, name: str, limits: Limits) -> Picture:
    samples = read_tiff(data, name, limits, _is_srgb) if is_tiff(data) else None
    if samples is not None:
        picture = _from_array(samples, name)
    else:
        pixels = png_without_text(data)
        picture = _guarded(open_image(io.BytesIO(pixels), name, limits), name, pixels)
    return replace(picture, sha256=hashlib.sha256(data).hexdigest())


def _guarded(image: Image.Image, name: str, data: bytes | None = None) -> Picture:
    """``_from_pil``, with every damage told in one way."""
    try:
        with warnings.catch_warnings():  # about oddities in a file that is read all the same
            warnings.simplefilter("ignore")
            return _from_pil(image, name, data)
    except DAMAGE as error:
        raise damaged(name, error) from error


def _from_pil(image: Image.Image, name: str, data: bytes | None = None) -> Picture:
    profile: bytes | None = image.info.get("icc_profile")
    if profile and _is_srgb(profile):
        profile = None
    deep = None if profile else _sixteen_bits(image, data)
    if deep is not None:
        return _from_array(_oriented(deep, image), name)
    image = _turned(image)
    if image.mode.startswith(("I", "F")):
        grey = _grey_array(image)
        clear = image.info.get("transparency")
        if clear is not None and not profile:
            visible = np.asarray(image) != clear
            return _from_array(np.dstack([grey, grey, grey, visible.astype(np.float64)]), name)
        if not profile:
            return _from_array(grey, name)
        image = Image.fromarray(np.rint(grey * 255).astype(np.uint8))  # profiles are 8 bits only
    alpha = None
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    if profile:
        image = _to_srgb(image, profile)
    rgb = np.asarray(image.convert("RGB"))
    if alpha is not None:
        rgb = np.dstack([rgb, alpha])
    return _from_array(rgb, name)


def _turned(image: Image.Image) -> Image.Image:
    """Return the image upright, or as it is where its EXIF block can't be read."""
    try:
        return ImageOps.exif_transpose(image)
    except DAMAGE:
        image.load()  # what is damaged in the pixels themselves is reported
        return image


@lru_cache(maxsize=8)
def _is_srgb(profile: bytes) -> bool:
    """Return whether a profile leaves colours as they are. Its name may say anything."""
    levels = np.linspace(0, 255, SRGB_LEVELS).round().astype(np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    try:
        converted = ImageCms.profileToProfile(
            Image.fromarray(colors),
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    difference = np.abs(np.asarray(converted).astype(int) - colors.astype(int))
    return bool(difference.max() <= SRGB_TOLERANCE)


def _is_grey(image: Image.Image) -> bool:
    """Return whether an image of any mode has no colours."""
    if image.mode in ("1", "L", "LA", "La"):
        return True
    rgb = np.asarray(image.convert("RGB"))
    return bool((rgb == rgb[..., :1]).all())


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert by the embedded profile; one that is broken or of another colour space is ignored,
    as browsers do.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode not in ("CMYK", "LAB"):
            is_grey = source.profile.xcolor_space.strip() == "GRAY"
            if is_grey and not _is_grey(image):
                return image
            image = image.convert("L" if is_grey else "RGB")
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return image if converted is None else converted


def _sixteen_bits(image: Image.Image, data: bytes | None) -> np.ndarray | None:
    """The samples of a 16-bit RGB or RGBA file (H, W, 3/4) uint16, or None if it isn't one.

    Pillow has no 16-bit colour mode and keeps the high bytes only. Its unpacker for the other byte
    order keeps the low bytes, so decoding twice gives both.
    """
    tiles = getattr(image, "tile", None)
    if data is None or image.mode not in ("RGB", "RGBA") or not tiles:
        return None
    if "transparency" in image.info:  # one colour stands for transparent: Pillow knows how
        return None
    arguments = tiles[0].args
    raw = arguments[0] if isinstance(arguments, tuple) else arguments
    if raw not in _OTHER_BYTE_ORDER or len({str(tile.args) for tile in tiles}) > 1:
        return None

    def decoded(raw_mode: str) -> np.ndarray:
        copy = opened(io.BytesIO(data))
        copy.tile = [  # type: ignore[attr-defined]
            tile._replace(
                args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
            )
            for tile in copy.tile  # type: ignore[attr-defined]
        ]
        return np.asarray(copy).astype(np.uint16)

    high, low = decoded(raw), decoded(_OTHER_BYTE_ORDER[raw])
    samples: np.ndarray = high << 8 | low
    return samples


_OTHER_BYTE_ORDER = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
"""Pillow's raw modes of 16-bit PNG, and those that keep the other byte."""

SRGB_LEVELS = 5
SRGB_TOLERANCE = 4
"""Levels of 255 by which a profile may move a colour and still be sRGB: profiles of sRGB round
their curves in several ways."""
_EXIF_ORIENTATION = 0x0112


def _oriented(array: np.ndarray, image: Image.Image) -> np.ndarray:
    try:
        turn = ORIENTATIONS.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    except DAMAGE:
        return array
    return array if turn is None else turn(array)


def _grey_array(image: Image.Image) -> np.ndarray:
    """16-bit grey, and floating-point grey that is in [0, 1] already, as float in [0, 1].

    Pillow's mode "I" is 32 bits wide and holds 16-bit files; what other range its values have, no
    file says. Raises ImageError.
    """
    values = np.asarray(image).astype(np.float64)
    if image.mode != "F":
        values /= 65535
    if values.size and not (values.min() >= 0 and values.max() <= 1):  # NaN fails this too
        raise ImageError(
            "a picture of floating-point or 32-bit numbers must be between 0 and 1 (16-bit: 65535)"
            " everywhere; divide by its maximum"
        )
    return values


def _from_array(array: np.ndarray, name: str) -> Picture:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ImageError(
            f"an array of shape {array.shape} isn't an image; it should be (H, W) or (H, W, 3 or 4)"
        )
    pixels = torch.from_numpy(unit_range(array)).permute(2, 0, 1)[None]  # (1, C, H, W)
    return _split_alpha(pixels.contiguous(), name)


def _from_tensor(tensor: Tensor) -> Picture:
    try:
        pixels = tensor.detach().cpu()
        pixels = pixels.float() if pixels.is_floating_point() else pixels
        array = pixels.numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise ImageError(f"a tensor of {tensor.dtype} like this isn't an image: {error}") from error
    while pixels.ndim in (2, 3):
        pixels, array = pixels[None], array[None]
    if pixels.ndim != 4 or pixels.shape[0] != 1 or pixels.shape[1] not in (1, 3, 4):
        raise ImageError(
            f"a tensor of shape {tuple(tensor.shape)} isn't an image; it should be ([1,] 3 or 4,"
            " H, W)"
        )
    return _split_alpha(torch.from_numpy(unit_range(array)), "tensor")


def unit_range(array: np.ndarray) -> np.ndarray:
    """Convert the values of an image to float32 in [0, 1]. Raises ImageError."""
    if array.dtype == np.bool_:
        return array.astype(np.float32)
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        most = np.float32(np.iinfo(array.dtype).max)
        return np.ascontiguousarray(array).astype(np.float32) / most
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(
            f"an image of {array.dtype} isn't understood; use uint8, uint16 or float in [0, 1]"
        )
    if array.size and not (array.min() >= 0 and array.max() <= 1):  # NaN fails this too
        raise ImageError(OUT_OF_RANGE)
    return array.astype(np.float32)


def _split_alpha(pixels: Tensor, name: str) -> Picture:
    if pixels.shape[1] == 1:
        pixels = pixels.expand(-1, 3, -1, -1).contiguous()
    if pixels.shape[1] == 3:
        return Picture(pixels, None, name)
    rgb, alpha = pixels[:, :3], pixels[:, 3:]
    if bool((alpha == 1).all()):
        return Picture(rgb.contiguous(), None, name)
    return Picture(_filled(rgb, alpha), alpha.contiguous(), name)


def _filled(rgb: Tensor, alpha: Tensor) -> Tensor:
    """Give pixels that nobody sees the mean colour of those that are seen: what files have there is
    arbitrary, and the networks would take it for part of the picture.
    """
    weight = alpha.sum(dim=(2, 3), keepdim=True)  # (N, 1, 1, 1)
    mean = (rgb * alpha).sum(dim=(2, 3), keepdim=True) / weight
    mean = torch.where(weight > 0, mean, torch.ones_like(mean))
    return torch.where(alpha > 0, rgb, mean).contiguous()
