"""Enlarging a stylized image with the photo as a guide."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from impasto.images.masks import box, luma
from impasto.images.seam import resize_wrapped
from impasto.images.sizes import resize

RADIUS_PX = 2
"""Of the neighbourhood, at the small size."""
FLATNESS = 1e-3
"""Variance of brightness below which a neighbourhood counts as flat: nothing is taken from it."""


def enlarge(image: Tensor, photo: Tensor, *, seamless: bool = False) -> Tensor:
    """``image`` (1, 3, h, w) at the size of ``photo`` (1, 3, H, W), with the photo's edges.

    Fast guided filter (He & Sun 2015): in each neighbourhood the image is taken for a linear
    function of the photo's brightness, image = a·brightness + b, at the small size; a and b are
    enlarged and applied to the large photo. What the photo doesn't explain, brush strokes, is in b.
    ``seamless``: the image's edges fit together, and go on doing so.
    """
    height, width = photo.shape[-2:]
    guide = luma(photo)
    small = resize(guide, image.shape[-2], image.shape[-1], "antialias")  # (1, 1, h, w)
    mean, mean_image = box(small, RADIUS_PX), box(image, RADIUS_PX)
    variance = box(small.square(), RADIUS_PX) - mean.square()
    covariance = box(small * image, RADIUS_PX) - mean * mean_image
    slope = box(covariance / (variance + FLATNESS), RADIUS_PX)  # a, (1, 3, h, w)

    def enlarged(x: Tensor) -> Tensor:
        return functional.interpolate(x, size=(height, width), mode="bilinear")

    smooth = (
        resize_wrapped(image, height, width)
        if seamless
        else resize(image, height, width, "antialias")
    )
    return (smooth + enlarged(slope) * (guide - enlarged(small))).clamp(0, 1)
