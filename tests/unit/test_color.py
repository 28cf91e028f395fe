from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from impasto.images.color import from_oklab, keep_colors, match_histogram, match_palette, to_oklab

ONE = st.floats(0, 1, width=32)
COLORS = st.tuples(ONE, ONE, ONE)
MATCHES = [keep_colors, match_palette, match_histogram]


def tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


def flat(*rgb, height=32, width=48):
    return torch.tensor(rgb).view(1, 3, 1, 1).expand(1, 3, height, width).clone()


def muted(image):
    """The same picture with a third of its contrast: recoloured, it stays within sRGB."""
    lab = to_oklab(image)
    middle = torch.tensor([0.6, 0, 0]).view(1, 3, 1, 1)
    return from_oklab(middle + (lab - lab.mean((2, 3), keepdim=True)) / 3)


def pixels(image):
    """(3, H·W) Oklab"""
    return to_oklab(image).flatten(2)[0].double()


def distance(image, other):
    """Mean difference per axis of Oklab between two sorted pictures of any sizes."""
    ours, theirs = (pixels(each).sort().values[None] for each in (image, other))
    theirs = functional.interpolate(theirs, size=ours.shape[2], mode="linear")
    return (ours - theirs).abs().mean(2)[0]


def assert_is_a_picture(image, like):
    assert image.shape == like.shape
    assert image.dtype == torch.float32
    assert image.isfinite().all()
    assert image.min() >= 0
    assert image.max() <= 1


@pytest.fixture
def photo(photo_image):
    return tensor(photo_image)


@pytest.fixture
def painting(painting_image):
    return tensor(painting_image)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((1.0, 0.0, 0.0), (0.62796, 0.22486, 0.12585)),
        ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0)),
        ((0.5, 0.5, 0.5), (0.59818, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ],
)
def test_oklab_of_known_colors(rgb, lab):
    assert to_oklab(flat(*rgb))[0, :, 0, 0].tolist() == pytest.approx(lab, abs=2e-5)


def test_every_srgb_color_survives_the_round_trip():
    steps = torch.linspace(0, 1, 33)
    cube = torch.cartesian_prod(steps, steps, steps).T.reshape(1, 3, 33, -1)
    assert (from_oklab(to_oklab(cube)) - cube).abs().max() < 1e-4


def test_greys_stay_grey():
    ramp = torch.linspace(0, 1, 256).expand(1, 3, 2, 256)
    assert to_oklab(ramp)[:, 1:].abs().max() < 1e-5


@settings(deadline=None)
@given(st.floats(0.2, 0.95), st.floats(0, 6.28), st.floats(0.4, 1))
def test_a_color_that_srgb_lacks_keeps_lightness_and_hue(lightness, hue, chroma):
    color = torch.tensor([lightness, chroma * np.cos(hue), chroma * np.sin(hue)])
    found = to_oklab(from_oklab(color.view(1, 3, 1, 1).float())).flatten().tolist()
    assert found[0] == pytest.approx(lightness, abs=1e-3)
    assert found[1] * np.sin(hue) == pytest.approx(found[2] * np.cos(hue), abs=1e-3)
    assert 0 < np.hypot(*found[1:]) < chroma


def test_lightness_beyond_white_and_black_is_white_and_black():
    lab = torch.tensor([[1.3, 0.1, 0.1], [-0.2, 0.1, -0.1]]).T.view(1, 3, 1, 2)
    colors = from_oklab(lab)
    assert colors[..., 0].min() > 0.99
    assert colors[..., 1].max() < 0.01


def test_kept_colors_have_the_lightness_of_one_and_the_hue_of_the_other(photo, painting):
    stylized = muted(functional.interpolate(painting, size=photo.shape[2:]))
    kept = to_oklab(keep_colors(stylized, muted(photo)))
    torch.testing.assert_close(kept[:, :1], to_oklab(stylized)[:, :1], atol=1e-3, rtol=0)
    torch.testing.assert_close(kept[:, 1:], to_oklab(muted(photo))[:, 1:], atol=1e-3, rtol=0)


@pytest.mark.parametrize("match", MATCHES)
def test_a_picture_with_its_own_colors_is_itself(match, photo):
    torch.testing.assert_close(match(photo, photo), photo, atol=0.5 / 255, rtol=0)


def test_a_matched_palette_has_the_photos_mean_and_covariance(photo, painting):
    ours = pixels(match_palette(painting, muted(photo)))
    theirs = pixels(muted(photo))
    torch.testing.assert_close(ours.mean(1), theirs.mean(1), atol=1e-3, rtol=0)
    torch.testing.assert_close(torch.cov(ours), torch.cov(theirs), atol=2e-5, rtol=0)


@pytest.mark.parametrize("match", [match_palette, match_histogram])
def test_only_what_a_mask_shows_counts(match, photo, painting):
    seen, wanted = painting[..., :24, :].clone(), muted(photo)[..., :32]
    top, left = torch.zeros_like(painting[:, :1]), torch.zeros_like(photo[:, :1])
    top[..., :24, :], left[..., :32] = 1, 1
    painting[..., 24:, :], photo[:] = 0, 1  # black and white, where nothing counts
    photo[..., :32] = wanted
    masked = match(painting, photo, top, left)[..., :24, :]
    torch.testing.assert_close(masked, match(seen, wanted), atol=0.02, rtol=0)


def test_a_grey_painting_takes_the_photos_tint_and_no_noise(photo, painting):
    grey = painting.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    ours, theirs = pixels(match_palette(grey, muted(photo))), pixels(muted(photo))
    torch.testing.assert_close(ours.mean(1), theirs.mean(1), atol=1e-3, rtol=0)
    assert ours[1:].std(1).max() < 0.01


def test_a_grey_photo_makes_the_painting_grey(photo, painting):
    grey = photo.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    assert pixels(match_palette(painting, grey))[1:].abs().max() < 0.01
    assert pixels(match_histogram(painting, grey))[1:].abs().max() < 0.01


def test_a_matched_histogram_is_close_to_the_photos(photo, painting):
    assert distance(painting, photo).max() > 0.05
    assert distance(match_histogram(painting, photo), photo).max() < 0.02


def test_a_histogram_matches_closer_than_a_palette(photo, painting):
    near, far = match_histogram(painting, photo), match_palette(painting, photo)
    assert distance(near, photo).sum() < distance(far, photo).sum()


def test_a_flat_area_stays_flat_whatever_its_rounding(photo, painting):
    painting[..., :40, :] = 0.4 + 1e-6 * torch.rand(40, 64)
    sky = match_histogram(painting, photo)[..., 4:36, :]
    assert sky.std((2, 3)).max() < 0.002


def test_a_histogram_matches_the_same_way_every_time(photo, painting):
    first = match_histogram(painting, photo)
    torch.manual_seed(7)
    assert torch.equal(first, match_histogram(painting, photo))


@pytest.mark.parametrize("match", MATCHES)
def test_inputs_are_left_alone(match, photo):
    other = photo.flip(3)
    before = photo.clone(), other.clone()
    match(photo, other)
    assert torch.equal(photo, before[0])
    assert torch.equal(other, before[1])


@pytest.mark.parametrize("match", MATCHES)
@pytest.mark.parametrize("rgb", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0)])
def test_one_color_against_a_picture_is_a_picture(match, rgb, photo):
    single = flat(*rgb, height=64, width=96)
    assert_is_a_picture(match(single, photo), photo)
    assert_is_a_picture(match(photo, single), photo)


@settings(deadline=None, max_examples=40)
@given(COLORS, COLORS)
def test_one_color_matched_to_another_becomes_it(own, wanted):
    painting, photo = flat(*own), flat(*wanted, width=32)
    for match in (match_palette, match_histogram):
        matched = match(painting, photo)
        assert_is_a_picture(matched, painting)
        assert (pixels(matched) - pixels(photo)[:, :1]).abs().max() < 0.02


def test_a_flat_palette_leaves_the_contrast_that_is_asked_for(photo_image):
    image = tensor(photo_image)
    for level in (0.0, 0.5, 1.0):
        flat = torch.full_like(image, level)
        assert to_oklab(match_palette(image, flat))[:, 0].std() < 0.02
        kept = to_oklab(match_palette(image, flat, contrast=0.5))[:, 0]
        assert kept.std() == pytest.approx(0.5 * float(to_oklab(image)[:, 0].std()), rel=0.1)
        assert (kept > 0.01).float().mean() > 0.9, "nor does it vanish in black"
