from __future__ import annotations

import torch

from impasto.base import devices


def test_memory_figures_are_plausible():
    assert 50 < devices.peak_rss_mb() < 100_000
    assert devices.memory_available_mb(torch.device("cpu")) > 100
