"""Pictures from arrays and tensors."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from impasto.base.errors import ImageError
from impasto.images.picture import Picture

OUT_OF_RANGE = "a float image must be between 0 and 1 everywhere; divide by its maximum"
BAND_ROWS = 8
"""Rows of a reduced picture that are computed at a time."""


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
    height, width = (max(1, round(side / factor)) for side in array.shape[:2])
    has_alpha = array.shape[2] == 4
    small = np.empty((height, width, array.shape[2]), np.float32)
    rows = np.linspace(0, array.shape[0], height + 1)
    columns = np.linspace(0, array.shape[1], width + 1)
    for top in range(0, height, BAND_ROWS):  # band by band: a copy in float would be large
        edges = rows[top : top + BAND_ROWS + 1]
        first = int(edges[0])
        band = array[first : math.ceil(edges[-1])].astype(np.float32)
        if has_alpha:
            band[..., :3] *= band[..., 3:]
        small[top : top + BAND_ROWS] = _averaged(_averaged(band, edges - first, 0), columns, 1)
    if has_alpha:
        small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    if array.dtype.kind == "f":  # averages may be a rounding error outside
        return np.clip(small, array.min(), array.max())
    return np.rint(small).astype(array.dtype)


def _averaged(array: np.ndarray, edges: np.ndarray, axis: int) -> np.ndarray:
    """Average the parts of an axis between consecutive edges.

    A sample on an edge counts for both parts, by its share in each.
    """
    # Not by a product of matrices: its threads would wait actively for cores that others use.
    first = edges[:-1].astype(int)
    average: np.ndarray | float = 0.0
    for offset in range(int((np.ceil(edges[1:]) - first).max())):
        index = first + offset
        overlap = np.minimum(edges[1:], index + 1) - np.maximum(edges[:-1], index)
        weights = (np.maximum(overlap, 0) / np.diff(edges)).astype(np.float32)
        shape = [-1 if each == axis else 1 for each in range(array.ndim)]
        average = average + array.take(index, axis, mode="clip") * weights.reshape(shape)
    return np.asarray(average)


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
