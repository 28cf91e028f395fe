"""Alignment of an artwork to the photo that it depicts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from conftest import PHOTO, ROOT
from PIL import Image

from impasto.learning.alignment import align

LONG_SIDE = 320
EDGE = 30  # px that a warp may bring in from outside


def read(path) -> np.ndarray:
    image = Image.open(path).convert("RGB")
    image.thumbnail((LONG_SIDE, LONG_SIDE))
    return np.asarray(image)


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return read(PHOTO)


def cutout(photo: np.ndarray) -> np.ndarray:
    """A few flat colours, whose order of brightness isn't that of the photo."""
    papers = np.array([[60, 20, 90], [220, 120, 40], [30, 110, 100], [250, 240, 200]], np.uint8)
    smooth = cv2.GaussianBlur(photo, (0, 0), 2).mean(2)
    return papers[(smooth / 64).astype(int)]


def negative(photo: np.ndarray) -> np.ndarray:
    return 255 - photo


def similarity(shape: tuple[int, ...], degrees=0.0, scale=1.0, shift=(0, 0)) -> np.ndarray:
    height, width = shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    matrix[:, 2] += shift
    return matrix


def warp(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    size = image.shape[1], image.shape[0]
    return cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REFLECT)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    inner = slice(EDGE, -EDGE), slice(EDGE, -EDGE)
    return float(np.abs(one[inner].astype(float) - other[inner]).mean())


@pytest.mark.parametrize("artist", [cutout, negative])
def test_an_artwork_in_the_same_frame_stays_as_it_is(cat, artist):
    found = align(cat, artist(cat))
    assert difference(found.artwork, artist(cat)) < 1
    assert found.fits
    assert found.trusted_share > 0.6
    assert found.trust.shape == cat.shape[:2]
    assert 0 <= found.trust.min() <= found.trust.max() <= 1


@pytest.mark.parametrize("artist", [cutout, negative])
@pytest.mark.parametrize(
    "change", [{"shift": (9, -6)}, {"degrees": 4}, {"scale": 1.07}, {"scale": 0.94, "degrees": -3}]
)
def test_a_shift_rotation_or_scale_is_undone(cat, artist, change):
    artwork = artist(cat)
    moved = warp(artwork, similarity(cat.shape, **change))
    found = align(cat, moved)
    assert found.trusted_share > 0.6
    assert difference(found.artwork, artwork) < 0.3 * difference(moved, artwork)


def test_a_larger_artwork_is_brought_to_the_size_of_the_photo(cat):
    large = cv2.resize(negative(cat), None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC)
    found = align(cat, large)
    assert found.artwork.shape == cat.shape
    assert difference(found.artwork, negative(cat)) < 6
    assert found.trusted_share > 0.8


def test_a_local_bend_is_followed(cat):
    height, width = cat.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    bend = 5 * np.sin(2 * np.pi * y / height)
    bent = cv2.remap(negative(cat), x + bend, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    found = align(cat, bent)
    assert difference(found.artwork, negative(cat)) < 0.6 * difference(bent, negative(cat))


def test_what_the_artwork_leaves_out_is_not_trusted(cat):
    artwork = negative(cat).copy()
    half = cat.shape[1] // 2
    artwork[:, half:] = cutout(np.rot90(cat, 2))[:, half:]
    trust = align(cat, artwork).trust
    assert trust[:, : half - EDGE].mean() > 0.8
    assert trust[:, half + EDGE :].mean() < 0.3


@pytest.mark.parametrize("other", ["astronaut.png", "coffee.png", "rocket.jpg"])
def test_another_picture_does_not_fit(cat, other):
    artwork = cutout(read(ROOT / "examples/photos" / other))
    found = align(cat, artwork)
    assert not found.fits


def test_a_blank_artwork_does_not_fit(cat):
    assert align(cat, np.full_like(cat, 200)).trusted_share == 0
