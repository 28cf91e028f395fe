from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.base.errors import ImageError
from impasto.images.masks import blur, fit_mask, only_inside, read_mask, split


def left_half(height=40, width=60):
    mask = torch.zeros(1, 1, height, width)
    mask[..., : width // 2] = 1
    return mask


def test_white_is_here_and_grey_is_half():
    grey = np.array([[0, 64, 128, 255]] * 2, np.uint8)
    mask = read_mask(grey)
    assert mask.shape == (1, 1, 2, 4), "a mask may be smaller than a picture"
    np.testing.assert_allclose(mask[0, 0, 0] * 255, grey[0], atol=1e-3)
    assert mask.max() <= 1


def test_a_mask_with_transparency_is_its_transparency():
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 255))
    image.paste((255, 255, 255, 0), (0, 0, 20, 40))
    assert torch.equal(read_mask(image), 1 - left_half(40, 40))
    opaque = Image.new("RGBA", (40, 40), (255, 255, 255, 255))
    assert read_mask(opaque).min() == 1


def test_a_mask_that_is_black_everywhere_is_refused():
    with pytest.raises(ImageError, match="black everywhere: nothing would be painted"):
        read_mask(Image.new("L", (40, 40)))


def test_a_mask_of_another_size_and_aspect_is_stretched():
    fitted = fit_mask(left_half(100, 30), 40, 64)
    assert fitted.shape == (1, 1, 40, 64)
    assert fitted[..., :30].min() > 0.9999
    assert fitted[..., 34:].max() == 0


def test_feathering_softens_the_edge_and_nothing_else():
    fitted = fit_mask(left_half(50, 200), 50, 200, feather=10)
    assert fitted[..., :90].min() > 0.9999
    assert fitted[..., 110:].max() == 0
    row = fitted[0, 0, 25]
    assert (row.diff() <= 0).all()
    assert 15 <= ((row > 0) & (row < 1)).sum() <= 20, "10 % of 200 px"
    assert torch.equal(fit_mask(left_half(), 40, 60, feather=0), left_half())


@pytest.mark.parametrize("radius", [1, 2, 5])
def test_a_blur_leaves_a_constant_alone_up_to_the_rim(radius):
    constant = torch.full((1, 3, 20, 30), 0.3)
    torch.testing.assert_close(blur(constant, radius), constant)


def test_regions_that_overlap_share_each_pixel():
    whole, left, soft = torch.ones(1, 1, 40, 60), left_half(), torch.full((1, 1, 40, 60), 0.25)
    parts, rest = split([whole, left, soft])
    torch.testing.assert_close(sum(parts) + rest, whole)
    assert rest.max() == 0, "the first covers everything"
    assert torch.equal(parts[2], soft), "the last is on top"
    assert parts[1][..., :30].unique().tolist() == [0.75]
    assert parts[0][..., :30].max() == 0
    assert parts[0][..., 30:].unique().tolist() == [0.75]


def test_one_region_leaves_the_rest():
    parts, rest = split([left_half()])
    assert torch.equal(parts[0], left_half())
    assert torch.equal(rest, 1 - left_half())


def test_outside_of_a_mask_the_photo_stays_to_the_bit():
    photo, stylized = torch.rand(2, 1, 3, 40, 60)
    mask = fit_mask(left_half(), 40, 60, feather=20)
    mixed = only_inside(stylized, photo, mask)
    outside, inside = (mask == 0).expand_as(photo), (mask == 1).expand_as(photo)
    assert torch.equal(mixed[outside], photo[outside])
    assert torch.equal(mixed[inside], stylized[inside])
    between = ~outside & ~inside
    low, high = torch.minimum(photo, stylized), torch.maximum(photo, stylized)
    assert between.any()
    assert ((mixed >= low - 1e-6) & (mixed <= high + 1e-6)).all()
