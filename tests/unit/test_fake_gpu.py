"""No path mixes devices, and no step waits for one: tensors of a GPU that doesn't exist.

A fake tensor has a shape, a type and a device, but no values. An operation on tensors of two
devices fails, and so does every attempt to read a number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from recipes import build_optimize
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

import impasto
from impasto.base.devices import Device
from impasto.losses.objective import Anchor, Losses, Objective
from impasto.losses.style import Region, Style
from impasto.methods.optimize import setup
from impasto.methods.optimize.run import optimize
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.networks.kernels.engine import AutogradEngine, Engine
from impasto.networks.load import load_encoder
from impasto.networks.vgg19 import VGG19
from impasto.runs.progress import last
from impasto.solvers.adam import Adam, AveragedAdam

FAKE = FakeTensorMode()
SHAPES = {
    name.removeprefix("convolutions."): value.shape
    for name, value in load_encoder().state_dict().items()
}
SETTINGS: dict[str, dict[str, Any]] = {
    "tutorial": {"preset": "tutorial"},
    "gatys": {"preset": "gatys"},
    "studio": {},
    "gram and moments": {"style_loss": "gram:0.5,moments:0.5"},
    "swd": {"style_loss": "swd"},
    "nearest": {"style_loss": "nearest"},
    "seamless": {"seamless": True},
    "balanced": {"balance": "gradient"},
    "self-similarity": {"content_loss": "self-similarity"},
}


@pytest.fixture
def device(fake_gpu):
    return fake_gpu


@pytest.fixture
def numbers(monkeypatch):
    """Numbers for what is read while an objective is made."""
    with monkeypatch.context() as patch:
        patch.setattr(FakeTensor, "__float__", lambda self: 0.5)
        patch.setattr(FakeTensor, "__int__", lambda self: 5)
        patch.setattr(FakeTensor, "__bool__", lambda self: True)
        patch.setattr(VGG19, "to", lambda self, **_: self)  # fake parameters can't be swapped
        yield patch


def fake_encoder(device, *, unit_activations: bool) -> VGG19:
    parameters = {name: torch.empty(shape, device=device) for name, shape in SHAPES.items()}
    with device:
        return VGG19(parameters, unit_activations=unit_activations)


def fake_image(device, height: int, width: int) -> Tensor:
    return torch.empty(1, 3, height, width, device=device)


@pytest.mark.parametrize("engine", ["engine", "bands", "autograd"])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_step_stays_on_its_device(name, engine, device, numbers):
    settings: dict[str, Any] = dict(SETTINGS[name])
    recipe = build_optimize(settings, preset=settings.pop("preset", None))
    with FAKE:
        encoder = fake_encoder(device, unit_activations=recipe.unit_activations)
        layers = [*recipe.style_layers, *recipe.content_layers]
        runner = AutogradEngine(encoder) if engine == "autograd" else Engine(encoder, layers)
        if engine == "bands":
            runner.bands = (3, 2, 1, 1, 1)
        image = fake_image(device, 80, 96)
        anchor = Anchor(image, image[:, :1], 0.1)
        mask = None if name == "swd" else image[:, :1]  # it looks up where its mask is
        regions = [Region([Style(fake_image(device, 96, 80))], mask)]
        objective = Objective(runner, recipe, image, regions, anchor, ((0, 0), (3, -5)))
        numbers.undo()  # from here on nothing may be read
        for step in range(2):
            objective.begin_step(step)
            terms, gradient = objective.evaluate(image)
            assert terms.device == gradient.device == device
            assert gradient.shape == image.shape


@pytest.mark.parametrize("solver", [Adam(0.01), AveragedAdam(0.01, 0.001, 5, decay=0.9)])
def test_a_step_of_adam_stays_on_its_device(solver, device):
    with FAKE:
        image = fake_image(device, 32, 32)
        for _ in range(2):
            image = solver.step(image, 1.0, torch.empty_like(image))
        assert solver.result(image).device == device


def test_mixed_devices_are_noticed(device):
    with FAKE, pytest.raises(RuntimeError, match="devices"):
        fake_image(device, 8, 8) + torch.ones(1, 3, 8, 8)


@pytest.mark.parametrize("name", ["tutorial", "studio", "seamless"])
def test_a_run_stays_on_its_device(name, device, numbers, photo, painting, monkeypatch):
    colors = {"palette": 0, "underpaint": 0}  # computed on the CPU
    settings: dict[str, Any] = {
        **SETTINGS[name],
        **colors,
        "size": 64,
        "steps": 6,
        "scales": 1,
        "solver": "adam",
    }
    job = impasto.prepare(photo, painting, **settings)
    content, *styles = (
        replace(picture, rgb=FAKE.from_tensor(picture.rgb))
        for picture in (job.content, *job.styles)
    )
    fake = Device(device, torch.float32, "plain", "it doesn't exist")
    job = replace(job, content=content, styles=tuple(styles), device=fake)
    losses = Losses(content=1.0, style=1.0, tv=1.0, total=3.0)
    monkeypatch.setattr(Objective, "read", lambda self, terms: losses)
    with FAKE:
        encoder = fake_encoder(
            device, unit_activations=OptimizeSettings.of(job.recipe).unit_activations
        )
        monkeypatch.setattr(setup, "load_encoder", lambda *_, **__: encoder)
        event = last(optimize(job))
        assert event.step == 6
        assert event.pixels.device.type == device.type
        assert job.finished(event.pixels).device.type == "cpu"
