from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.base.errors import ImageError
from impasto.images.picture import Picture
from impasto.images.sizes import fit_long_side, resize

SIDES = st.integers(32, 5000)


@given(SIDES, SIDES, SIDES)
def test_the_long_side_is_the_size_and_the_aspect_stays(height, width, size):
    fitted = fit_long_side(height, width, size, "antialias")
    assert max(fitted) == size
    assert abs(fitted[0] * width - fitted[1] * height) <= max(height, width)


def test_the_tutorial_cuts_instead_of_rounding():
    assert fit_long_side(300, 451, 512, "tutorial") == (340, 512)
    assert fit_long_side(300, 451, 512, "antialias") == (341, 512)


def test_small_images_are_scaled_up():
    assert fit_long_side(40, 80, 512, "antialias") == (256, 512)


def test_antialiasing_averages_what_it_merges():
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[..., ::2] = 1
    assert resize(stripes, 16, 16, "antialias").std() < 0.05
    assert resize(stripes, 16, 16, "tutorial").mean() == pytest.approx(0.5, abs=0.01)


def test_resizing_stays_in_range():
    edges = (torch.rand(1, 3, 40, 40) > 0.5).float()
    resized = resize(edges, 93, 71, "antialias")
    assert resized.min() >= 0
    assert resized.max() <= 1


def test_a_panorama_that_would_become_too_thin_is_refused():
    with pytest.raises(ImageError, match="would be 128×13 px at size 128"):
        Picture(torch.zeros(1, 3, 40, 400)).fitted(128, "antialias")
