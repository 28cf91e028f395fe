"""What a GPU changes, on one: kernels, graphs, memory. Run alone with ``pytest -m gpu``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import impasto
from impasto.base.devices import BYTES_PER_MB
from impasto.losses.objective import Objective
from impasto.losses.style import Region, Style
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.methods.optimize.setup import make_engine
from impasto.runs.progress import last

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]
STYLE_LOSSES = ["gram", "moments", "w2", "swd", "nearest"]


def make_objective(photo, painting, **settings) -> tuple[Objective, torch.Tensor]:
    job = impasto.prepare(photo, painting, size=128, **settings)
    device = job.device.device
    style, image = job.styles[0].rgb.to(device), job.content.rgb.to(device)
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(0)).to(device)
    shifts = ((0, 0), (3, -5))
    regions = [Region([Style(style)])]
    objective = Objective(
        make_engine(job), OptimizeSettings.of(job.recipe), image, regions, shifts=shifts
    )
    return objective, torch.lerp(image, noise, 0.2)


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_the_gpu_computes_what_the_cpu_does(style_loss, photo, painting):
    settings: dict[str, Any] = {"precision": "float32", "style_loss": style_loss}
    objective, image = make_objective(photo, painting, device="cuda", **settings)
    expected_objective, _ = make_objective(photo, painting, device="cpu", **settings)
    terms, gradient = objective.evaluate(image)
    expected_terms, expected = expected_objective.evaluate(image.cpu())
    torch.testing.assert_close(terms.cpu(), expected_terms, rtol=2e-2, atol=1e-6)
    assert relative(gradient.cpu(), expected) < 0.1  # cuDNN computes in TF32


@pytest.mark.parametrize("kernel", ["cudnn", "plain", "autograd"])
@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_a_replayed_graph_gives_what_the_function_gives(style_loss, kernel, photo, painting):
    objective, image = make_objective(
        photo, painting, device="cuda", style_loss=style_loss, kernel=kernel
    )
    for step in range(6):  # captured at the second
        objective.begin_step(step)
        image = image.roll(1, -1)
        terms, gradient = objective.evaluate(image)
        expected_terms, expected = objective._evaluate(image)
        torch.testing.assert_close(terms, expected_terms, rtol=1e-4, atol=1e-7)
        assert relative(gradient, expected) < 1e-3
    assert objective.graph_failure is None
    assert objective.graph.graph is not None


def test_pictures_stay_valid_while_a_graph_runs(photo, painting):
    events = list(impasto.iterate(photo, painting, device="cuda", size=96, steps=12))
    pictures = [np.asarray(event.image) for event in events]
    again = impasto.iterate(photo, painting, device="cuda", size=96, steps=12)
    for picture, event in zip(pictures, again, strict=True):
        assert np.array_equal(picture, np.asarray(event.image))


def test_a_run_holds_the_memory_of_one_step(photo, painting):
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    last(impasto.iterate(photo, painting, device="cuda", size=256, steps=40, preset="tutorial"))
    few = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    last(impasto.iterate(photo, painting, device="cuda", size=256, steps=160, preset="tutorial"))
    assert torch.cuda.max_memory_allocated() < 1.1 * few


def test_out_of_memory_falls_back_to_bands_and_keeps_the_picture(photo, painting):
    settings: dict[str, Any] = {"device": "cuda", "size": 512, "steps": 5, "scales": 1, "polish": 0}
    last(impasto.iterate(photo, painting, **settings))  # loads the libraries
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    held = torch.cuda.memory_reserved() + 350 * BYTES_PER_MB
    torch.cuda.set_per_process_memory_fraction(held / total)
    try:
        events = list(impasto.iterate(photo, painting, **settings))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    messages = [event.message for event in events if event.message]
    assert any("out of memory" in message for message in messages)
    assert events[-1].step == 5
    assert np.isfinite(events[-1].result().array).all()


def test_max_memory_holds(photo, painting):
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    limit_gb = 1.0
    settings: dict[str, Any] = {"device": "cuda", "size": 1024, "steps": 4, "scales": 1}
    last(impasto.iterate(photo, painting, max_memory=limit_gb, **settings))
    assert torch.cuda.max_memory_allocated() - before < limit_gb * 1e9
