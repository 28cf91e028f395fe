from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from recipes import build_optimize

import impasto
from impasto.images.enlarge import enlarge
from impasto.images.masks import luma
from impasto.images.sizes import resize
from impasto.methods.optimize.plan import plan_scales
from impasto.methods.optimize.snapshot import OptimizeSnapshot

SMALL: dict[str, Any] = {"preset": "tutorial", "steps": 3}


@pytest.fixture(scope="module")
def large(photo_image) -> torch.Tensor:
    """The photo, (1, 3, 64, 96)."""
    return torch.from_numpy(np.asarray(photo_image) / np.float32(255)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("sign", [1, -1])
def test_edges_come_back_from_the_photo_whatever_their_colours(sign, large):
    """What is linear in the photo's brightness at the small size is so at the large one."""
    color = torch.tensor([0.8, 0.5, 0.2]).view(1, 3, 1, 1)
    wanted = 0.5 + sign * color * (luma(large) - 0.5)
    small = resize(wanted, 32, 48, "antialias")
    guided = (enlarge(small, large) - wanted).square().mean()
    bicubic = (resize(small, 64, 96, "antialias") - wanted).square().mean()
    assert guided < 0.6 * bicubic


def test_strokes_that_the_photo_does_not_have_stay_as_they_are(large):
    strokes = torch.rand(1, 3, 16, 24)
    flat = torch.full_like(large, 0.4)
    torch.testing.assert_close(enlarge(strokes, flat), resize(strokes, 64, 96, "antialias"))


def test_noise_of_a_flat_photo_is_not_amplified():
    noisy = (0.5 + 0.004 * torch.randn(1, 3, 64, 96)).clamp(0, 1)
    strokes = torch.rand(1, 3, 16, 24)
    change = enlarge(strokes, noisy) - resize(strokes, 64, 96, "antialias")
    assert change.abs().max() < 0.05


def test_what_is_enlarged_stays_in_range(large):
    extreme = (torch.rand(1, 3, 16, 24) > 0.5).float()
    out = enlarge(extreme, large)
    assert out.shape == large.shape
    assert out.min() >= 0
    assert out.max() <= 1


def test_a_picture_painted_at_a_smaller_size_has_the_full_size(photo, painting):
    events = list(impasto.iterate(photo, painting, **SMALL, size=96, work_size=48))
    assert {event.scale for event in events} == {48}
    result = events[-1].result()
    assert (result.width, result.height) == (96, 64)
    snapshot = events[-1].snapshot
    assert isinstance(snapshot, OptimizeSnapshot)
    painted = snapshot.image
    back = resize(torch.from_numpy(result.array).permute(2, 0, 1)[None], 32, 48, "antialias")
    assert (back - painted).abs().mean() < 0.03, "it is the same picture"


def test_a_work_size_beyond_the_size_changes_nothing():
    small, plain = build_optimize({"work_size": 800, "size": 512}), build_optimize({"size": 512})
    assert plan_scales(small, 340, 512) == plan_scales(plain, 340, 512)


def test_a_panorama_is_never_painted_smaller_than_the_network_can_see():
    (scale,) = plan_scales(build_optimize({"work_size": 64, "polish": 0}), 50, 500)
    assert (scale.height, scale.width) == (32, 320)
