"""Pictures from arrays and tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from impasto.base.errors import ImageError
from impasto.images.picture import Picture

OUT_OF_RANGE = "a float image must be between 0 and 1 everywhere; divide by its maximum"


def from_array(array: np.ndarray, name: str) -> Picture:
    """Make a picture of (H, W) or (H, W, 1 or 3 or 4), uint8, uint16 or float in [0, 1], sRGB.

    Raises:
        ImageError: It has another shape, another type of numbers, or other values.
    """
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ImageError(
            f"an array of shape {array.shape} isn't an image; it should be (H, W) or (H, W, 3 or 4)"
        )
    pixels = unit_range(array.transpose(2, 0, 1))  # (C, H, W)
    return _split_alpha(torch.from_numpy(np.ascontiguousarray(pixels))[None], name)


def from_tensor(tensor: Tensor) -> Picture:
    """Make a picture of ([1,] 1 or 3 or 4, H, W), uint8 or float in [0, 1], sRGB.

    Raises:
        ImageError: As for ``from_array``.
    """
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


def reduced(array: np.ndarray, factor: int) -> np.ndarray:
    """Average (H, W, C) over squares of about ``factor`` px, weighted by alpha if C is 4.

    Args:
        array: uint8, uint16, or float in [0, 1].
        factor: How many times smaller both sides become, to at least 1 px.

    Returns:
        The same type, integers rounded; float32 for any floating point.
    """
    import cv2  # takes time to import, and is rarely needed here

    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    size = max(1, round(array.shape[1] / factor)), max(1, round(array.shape[0] / factor))
    if array.shape[2] < 4:
        small = cv2.resize(array, size, interpolation=cv2.INTER_AREA)
        small = small.reshape(size[1], size[0], -1)
    else:
        weighted = array.astype(np.float32)
        weighted[..., :3] *= weighted[..., 3:]
        small = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA)
        small[..., :3] = small[..., :3] / np.maximum(small[..., 3:], 1e-6)
    if array.dtype.kind == "f":  # averages may be a rounding error outside
        values: np.ndarray = np.clip(small, array.min(), array.max())
        return values
    return np.rint(small).astype(array.dtype)


def unit_range(array: np.ndarray) -> np.ndarray:
    """Convert the values of an image to float32 in [0, 1]. Raises ImageError."""
    if array.dtype == np.bool_:
        return array.astype(np.float32)
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        most = np.float32(np.iinfo(array.dtype).max)
        scaled: np.ndarray = np.divide(array, most, dtype=np.float32, order="C")
        return scaled
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
    return Picture(filled(rgb, alpha), alpha.contiguous(), name)


def filled(rgb: Tensor, alpha: Tensor) -> Tensor:
    """Give pixels that nobody sees the mean colour of those that are seen: what files have there is
    arbitrary, and the networks would take it for part of the picture.
    """
    weight = alpha.sum(dim=(2, 3), keepdim=True)  # (N, 1, 1, 1)
    mean = (rgb * alpha).sum(dim=(2, 3), keepdim=True) / weight
    mean = torch.where(weight > 0, mean, torch.ones_like(mean))
    return torch.where(alpha > 0, rgb, mean).contiguous()
