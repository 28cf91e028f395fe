"""The pattern that the feed-forward networks print on flat areas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import PAINTING, PHOTO

import impasto
from impasto.networks import grid
from impasto.networks.grid import PERIOD, has_flat_areas, remove_grid


def amplitude(array: np.ndarray) -> float:
    """Peak to peak of what repeats every four pixels, levels of 255, away from the borders."""
    inner = array[16:-16, 16:-16, :3] * 255
    height, width = (side // PERIOD * PERIOD for side in inner.shape[:2])
    periods = inner[:height, :width].reshape(height // PERIOD, PERIOD, width // PERIOD, PERIOD, 3)
    return float(np.ptp(periods.mean((0, 2)), axis=(0, 1)).max())


@pytest.mark.parametrize("style", ["starry-swirl", "crimson-brush", "primary-shards", PAINTING])
def test_a_flat_photo_is_painted_without_a_grid(style, monkeypatch):
    grey = np.full((320, 480, 3), 128, np.uint8)
    assert amplitude(impasto.stylize(grey, style, method="instant").array) <= 3
    monkeypatch.setattr("impasto.methods.feed_forward.run.has_flat_areas", lambda image: False)
    assert amplitude(impasto.stylize(grey, style, method="instant").array) > 30


def test_flat_areas():
    photo = impasto.read(PHOTO).rgb
    assert not has_flat_areas(photo)
    photo[..., :100, :100] = 1
    assert has_flat_areas(photo)
    assert not has_flat_areas(photo[..., :20, :20])


def test_only_the_grid_is_removed():
    """A photo and its strokes stay; a grid on it goes."""
    photo = impasto.read(PHOTO).rgb[..., :200, :302].contiguous()
    kept = photo.clone()
    remove_grid(kept)
    assert float((kept - photo).abs().mean()) < 0.5 / 255
    ramp = torch.linspace(0.2, 0.8, 300).expand(1, 3, 200, 300).contiguous()
    pattern = torch.rand(1, 3, PERIOD, PERIOD, generator=torch.Generator().manual_seed(0)) * 0.1
    printed = ramp + pattern.repeat(1, 1, 50, 75)
    remove_grid(printed)
    inside = printed[..., 24:-24, 24:-24] - ramp[..., 24:-24, 24:-24]
    assert float(inside.std(dim=(2, 3)).max()) < 0.002


def test_bands_are_as_the_whole(monkeypatch):
    image = torch.rand(1, 3, 300, 90, generator=torch.Generator().manual_seed(0))
    banded = image.clone()
    remove_grid(image)
    monkeypatch.setattr(grid, "BAND_ROWS", 64)
    remove_grid(banded)
    assert torch.allclose(image, banded, atol=1e-6)
