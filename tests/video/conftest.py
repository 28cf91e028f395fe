"""Small clips."""

from __future__ import annotations

import clips
import numpy as np
import pytest

WIDTH, HEIGHT, FRAMES = 160, 96, 24


@pytest.fixture(scope="session")
def frames() -> list[np.ndarray]:
    """A second of a panning picture with something moving before it."""
    return list(clips.panning(clips.photo(420, 300), clips.photo(80, 80, 3), WIDTH, HEIGHT, FRAMES))


@pytest.fixture
def clip(tmp_path, frames):
    return clips.write(tmp_path / "clip.mp4", frames, sound=True)
