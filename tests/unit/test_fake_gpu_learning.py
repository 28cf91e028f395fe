"""A training on a GPU that doesn't exist: nothing mixes devices, and MPS has all operators.

See ``test_fake_gpu`` for what fake tensors are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from test_fake_cuda_instant import GPURecorder
from test_fake_gpu import FAKE, fake_encoder, numbers  # noqa: F401, a fixture
from test_mps import LIST, ON_THE_CPU, lacking
from torch._subclasses.fake_tensor import FakeTensor

from impasto.base.devices import Device
from impasto.learning import api
from impasto.learning.pairs import CYCLE, AlignedPair
from impasto.learning.training import TrainingJob
from impasto.losses.objective import Losses, Objective
from impasto.methods.optimize import setup
from impasto.methods.optimize.settings import OptimizeSettings


def on_gpu(job: TrainingJob, gpu: torch.device) -> TrainingJob:
    """A training for the GPU; its images stay on the CPU."""
    styles = tuple(replace(style, rgb=FAKE.from_tensor(style.rgb)) for style in job.look.styles)
    look = replace(
        job.look, styles=styles, device=Device(gpu, torch.float32, "plain", "it doesn't exist")
    )
    assert job.start is not None
    return replace(
        job,
        look=look,
        photos=[FAKE.from_tensor(photo) for photo in job.photos],
        start={name: FAKE.from_tensor(value) for name, value in job.start.items()},
        pairs=tuple(
            AlignedPair(*map(FAKE.from_tensor, (pair.photo, pair.artwork, pair.trust)))
            for pair in job.pairs
        ),
    )


@pytest.mark.usefixtures("numbers")
@pytest.mark.parametrize("kind", ["painting", "pair"])
def test_a_training_stays_on_its_device(kind, fake_gpu, photo, painting, monkeypatch):
    settings: dict[str, Any] = {
        "steps": 2 if kind == "painting" else CYCLE,
        "batch": 1,
        "crop": 128,
    }
    if kind == "painting":
        prepared = api.prepare_training(painting, **settings)
    else:
        prepared = api.prepare_pair_training([(photo, photo)], **settings)
        assert prepared.pairs
    job = on_gpu(prepared, fake_gpu)
    losses = Losses(content=1.0, style=1.0, tv=1.0, total=3.0)
    monkeypatch.setattr(Objective, "read", lambda self, terms: losses)
    monkeypatch.setattr(FakeTensor, "__int__", lambda self: 0)  # the first photo, unshifted
    with FAKE:
        encoder = fake_encoder(
            fake_gpu, unit_activations=OptimizeSettings.of(job.look.recipe).unit_activations
        )
        monkeypatch.setattr(setup, "load_encoder", lambda *_, **__: encoder)
        with GPURecorder() as recorder:
            *_, end = api.iterate_training(job)
    assert end.step == settings["steps"]
    assert {value.device for value in end.state.averaged.values()} == {fake_gpu}
    assert not LIST.exists() or lacking(recorder.names) <= ON_THE_CPU  # not in every PyTorch
