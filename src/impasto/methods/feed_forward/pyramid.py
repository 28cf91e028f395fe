"""Halving and doubling of images, in bands of rows to save memory."""

from __future__ import annotations

from math import ceil

from torch import Tensor
from torch.nn import functional

from impasto.images.sizes import resize

ROWS = 512
"""Number of rows that are resized at once."""


def with_coarser(finer: Tensor, coarser: Tensor) -> Tensor:
    """Replace the coarse content of ``finer`` by ``coarser``, in place, and return it.

    Args:
        finer: An image (N, 3, H, W), which gives the fine detail.
        coarser: A smaller version (N, 3, h, w), which gives everything else.
    """
    height, width = coarser.shape[-2:]
    if (height, width) == (ceil(finer.shape[-2] / 2), ceil(finer.shape[-1] / 2)):
        _add_doubled(finer, coarser - halved(finer, 2))
    else:
        difference = coarser - resize(finer, height, width, "antialias")
        finer += functional.interpolate(difference, size=finer.shape[-2:], mode="bilinear")
    return finer.clamp_(0, 1)


def halved(image: Tensor, factor: int) -> Tensor:
    """Average blocks of 2×2 pixels until the image is ``factor`` times smaller.

    Blocks at an odd edge have fewer pixels.

    Args:
        image: The image, (N, C, H, W).
        factor: A power of two.
    """
    if factor == 1:
        return image
    height, width = image.shape[-2:]
    half = image.new_empty(*image.shape[:2], ceil(height / 2), ceil(width / 2))
    for top in range(0, height, ROWS):
        band = image[..., top : top + ROWS, :].contiguous()
        odd = (0, width % 2, 0, band.shape[-2] % 2)
        band = functional.pad(band, odd, "replicate") if any(odd) else band
        # Equal to average pooling, but several times faster.
        small = functional.interpolate(band, scale_factor=0.5, mode="bilinear")
        half[..., top // 2 : top // 2 + small.shape[-2], :] = small
    return halved(half, factor // 2)


def _add_doubled(image: Tensor, small: Tensor, rows: int = ROWS // 2) -> None:
    """Add ``small``, enlarged by two, to ``image``, in bands of rows."""
    height, width = image.shape[-2:]
    for top in range(0, small.shape[-2], rows):
        above = min(1, top)
        band = small[..., top - above : top + rows + 1, :]
        large = functional.interpolate(band, scale_factor=2, mode="bilinear")
        bottom = min(height, 2 * (top + rows))
        image[..., 2 * top : bottom, :] += large[
            ..., 2 * above : 2 * above + bottom - 2 * top, :width
        ]
