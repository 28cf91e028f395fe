"""Reading images: whatever holds pixels becomes a Picture.

The type is told from the bytes, never from the name. What a viewer would show is what is read: EXIF
orientation is applied, embedded ICC profiles are converted to sRGB, grey and CMYK become RGB.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.base.errors import ImageError, reason
from impasto.images.arrays import filled, from_array, from_tensor
from impasto.images.decoding import NeededSide, decode, from_pil
from impasto.images.limits import MIN_SIDE_PX, Limits
from impasto.images.opening import check_pixels
from impasto.images.picture import Picture

STANDARD_INPUT = "-"
BYTES_PER_MB = 1_000_000


@dataclass(frozen=True)
class NamedFile:
    """A file that people know by another name: an upload."""

    path: Path
    name: str


Source = str | Path | NamedFile | bytes | Image.Image | np.ndarray | Tensor | Picture
"""Whatever an image is read from. The text ``"-"`` is standard input."""


def read(
    source: Source,
    *,
    limits: Limits | None = None,
    min_side: int = MIN_SIDE_PX,
    name: str = "image",
    needed_side: NeededSide | None = None,
) -> Picture:
    """Read an image.

    ``source``: a path (``str`` or ``Path``), ``"-"`` for standard input, ``bytes``, a PIL image, a
    numpy array (H, W) or (H, W, 1/3/4) of uint8, uint16 or float in [0, 1], or a torch tensor
    ([1,] 1/3/4, H, W) of uint8 or float in [0, 1]. ``name`` is what to call bytes.
    ``needed_side`` is a function of (height, width) that gives the long side that is needed, px:
    larger files are then read at a smaller size, at least twice that, which saves memory and time.

    Returns a Picture: rgb float32 (1, 3, H, W) in [0, 1], transparency kept aside. Raises
    ImageError: not there, not an image, damaged, too large (``limits``) or under ``min_side`` px.
    """
    limits = limits or Limits()
    if isinstance(source, Picture):
        picture = source
    elif isinstance(source, (str, Path)):
        name = "stdin" if str(source) == STANDARD_INPUT else str(source) or "''"
        picture = decode(_file_bytes(source, name, limits), name, limits, needed_side)
    elif isinstance(source, NamedFile):
        data = _file_bytes(source.path, source.name, limits)
        picture = decode(data, source.name, limits, needed_side)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        picture = decode(bytes(source), name, limits, needed_side)
    elif isinstance(source, Image.Image):
        check_pixels(source.width, source.height, "image", limits)
        picture = from_pil(source, "image", limits, needed_side)
    elif isinstance(source, np.ndarray):
        picture = from_array(source, "array")
    elif isinstance(source, Tensor):
        picture = from_tensor(source)
    else:
        raise ImageError(
            f"{type(source).__name__} isn't a type of image; give a path, bytes, a PIL image, a"
            " numpy array or a torch tensor"
        )
    if not picture.blank:  # how large that can be, memory knows
        check_pixels(picture.width, picture.height, picture.name, limits)
    height, width = picture.size_in_file
    if min(height, width) < min_side:
        raise ImageError(
            f"{picture.name} is {width}×{height} px; both sides need at least {min_side} px"
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
        return Picture(filled(rgb, alpha), alpha.contiguous(), "batch")
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
