from __future__ import annotations

from typing import Any

import pytest
import torch

import impasto
from impasto.base.errors import DeviceError
from impasto.methods.optimize import memory
from impasto.methods.optimize.memory import Demand, plan, plans_for
from impasto.networks.kernels.engine import KEEP
from impasto.settings.build import build

LARGE = Demand(2730, 4096, "block5_conv2", itemsize=4, history=20, start_up_mb=560)


def test_everything_is_kept_where_it_fits():
    assert plan(LARGE, 100_000).plain
    assert plan(LARGE, 100_000).slowdown == 1


def test_less_memory_means_more_work_and_never_more_than_allowed():
    plans = [plan(LARGE, limit) for limit in (100_000, 30_000, 20_000, 15_000, 12_000)]
    assert [p.slowdown for p in plans] == sorted(p.slowdown for p in plans)
    assert len({p.bands for p in plans}) > 2
    for p, limit in zip(plans, (100_000, 30_000, 20_000, 15_000, 12_000), strict=True):
        assert p.needed_mb <= limit
        assert p.history == 20


def test_fewer_pairs_are_kept_only_where_no_bands_help():
    small = plan(LARGE, 8_000)
    assert memory.MIN_HISTORY <= small.history < 20
    assert small.needed_mb <= 8_000


def test_what_cannot_fit_is_refused_with_a_size_that_does():
    with pytest.raises(DeviceError, match=r"4096×2730 px need at least .* would fit") as error:
        plan(LARGE, 2_000)
    size = int(str(error.value).rsplit("size ", 1)[1].split()[0])
    assert plan(Demand(size * 2 // 3, size, "block5_conv2", 4, 20, 560), 2_000)


def test_what_is_not_computed_takes_no_memory():
    lower = plan(Demand(1000, 1000, "block1_conv1", 4, 0, 560), 100_000)
    both = plan(Demand(1000, 1000, "block1_conv2", 4, 0, 560), 100_000)
    assert both.needed_mb > lower.needed_mb + 200, "256 bytes for each of a million pixels"


@pytest.mark.parametrize(("text", "gigabytes"), [("8GB", 8), ("800 mb", 0.8), ("6", 6)])
def test_memory_can_be_written_with_its_unit(text, gigabytes):
    assert build({"max_memory": text}).max_memory == gigabytes


@pytest.mark.parametrize("text", ["much", "0", "-1GB", "inf", "nan", "GB"])
def test_memory_that_makes_no_sense(text):
    with pytest.raises(impasto.ImpastoError, match="max_memory should be"):
        build({"max_memory": text})


def test_a_run_in_bands_makes_the_same_picture(photo, painting, monkeypatch):
    """And says, in one line, how it fits."""
    settings: dict[str, Any] = {
        "preset": "studio",
        "size": 96,
        "steps": 6,
        "scales": 2,
        "polish": 0,
    }
    settings["precision"] = "float32"  # in bfloat16, rounding makes the two runs diverge
    whole = impasto.stylize(photo, painting, **settings)
    least = min(plans_for(Demand(64, 96, "block5_conv1", 4, 20, 560)), key=lambda p: p.needed_mb)
    monkeypatch.setattr("impasto.runs.plan.memory_available_mb", lambda _device: least.needed_mb)
    events = list(impasto.iterate(photo, painting, **settings))
    assert any("computed twice in up to" in (event.message or "") for event in events)
    assert abs(events[-1].result().array - whole.array).max() < 0.02


def test_out_of_memory_goes_on_with_less(photo, painting, monkeypatch):
    """The third evaluation fails as PyTorch's CPU allocator does, once."""
    from impasto.losses.objective import Objective

    evaluate, calls = Objective.losses_and_gradient, []

    def failing(self, image):
        calls.append(self.engine.bands)
        if len(calls) == 3:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9")
        return evaluate(self, image)

    monkeypatch.setattr(Objective, "losses_and_gradient", failing)
    settings: dict[str, Any] = {"preset": "tutorial", "size": 96, "steps": 4}
    events = list(impasto.iterate(photo, painting, **settings))
    assert len(events) == 5
    assert "out of memory at step 2; memory at 96 px" in events[2].message
    assert calls[2] == (KEEP,) * 5
    assert calls[3] != (KEEP,) * 5


def test_another_error_is_not_taken_for_a_lack_of_memory(photo, painting, monkeypatch):
    from impasto.losses.objective import Objective

    def failing(self, image):
        raise RuntimeError("something else")

    monkeypatch.setattr(Objective, "losses_and_gradient", failing)
    with pytest.raises(RuntimeError, match="something else"):
        impasto.stylize(photo, painting, preset="tutorial", size=48, steps=2)


def test_a_containers_limit_counts(monkeypatch):
    from impasto.base import devices

    monkeypatch.setattr(devices, "_free_in_container", lambda: 5e6)
    resident = devices.psutil.Process().memory_info().rss / 1e6
    assert devices.memory_available_mb(torch.device("cpu")) == pytest.approx(resident + 5, abs=50)


def test_a_painting_too_large_for_the_memory_is_refused_before_the_start(photo, painting):
    settings: dict[str, Any] = {"preset": "tutorial", "size": 512, "max_memory": 2.0}
    impasto.prepare(photo, painting, **settings)
    with pytest.raises(DeviceError, match="choose a smaller style_scale"):
        impasto.prepare(photo, painting, **settings, style_scale=8)


def test_what_a_picture_is_enlarged_to_counts(photo, painting):
    settings: dict[str, Any] = {"preset": "draft", "work_size": 64, "max_memory": 1.2}
    impasto.prepare(photo, painting, **settings, size=512)
    with pytest.raises(DeviceError, match="GB of memory"):
        impasto.prepare(photo, painting, **settings, size=4096)
