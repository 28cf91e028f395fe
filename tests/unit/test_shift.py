"""Views of shifted images."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from impasto.images.shift import Views

SHIFTS = [(0, 0), (3, 5), (-5, 2), (6, -3), (-2, -6), (0, 7)]


@pytest.mark.parametrize("seamless", [False, True])
@pytest.mark.parametrize("number", range(len(SHIFTS)))
def test_a_view_is_the_shifted_image_and_its_adjoint_is_autograds(number, seamless):
    down, right = SHIFTS[number]
    image = torch.rand(1, 3, 20, 23, dtype=torch.float64, requires_grad=True)
    if seamless:
        expected = image.roll((down, right), (-2, -1))
    else:
        padded = functional.pad(image, (8,) * 4, mode="reflect")
        expected = padded[..., 8 - down : 28 - down, 8 - right : 31 - right]
    views = Views(SHIFTS, 20, 23, seamless=seamless)
    views.select(number + len(SHIFTS))
    assert torch.equal(views.of(image.detach()), expected.detach())
    gradient = torch.rand_like(expected)
    (expected_gradient,) = torch.autograd.grad(expected, image, gradient)
    torch.testing.assert_close(views.adjoint(gradient), expected_gradient)


def test_selecting_a_view_overwrites_the_last_one_in_place():
    views = Views(SHIFTS, 20, 23)
    places = [index.data_ptr() for index in views.selected]
    views.select(2)
    assert [index.data_ptr() for index in views.selected] == places
