"""The plan of a run, and the speeds that estimates and the time left come from."""

from __future__ import annotations

import math
from typing import Any

import pytest

import impasto
from impasto.base.errors import DeviceError
from impasto.methods.feed_forward import run as instant
from impasto.methods.optimize import plan, run, speed
from impasto.networks.kernels import speeds
from impasto.runs.progress import last

SETTINGS: dict[str, Any] = {"preset": "tutorial", "size": 256, "steps": 2, "solver": "adam"}


@pytest.fixture
def measurements(monkeypatch):
    """The numbers of calls that plan a run and that measure its speed."""
    calls = {"plan_run": 0, "_measured_seconds_per_pixel": 0}
    for name, module in (("plan_run", plan), ("_measured_seconds_per_pixel", speed)):
        function = getattr(module, name)

        def counted(*arguments, name=name, function=function):
            calls[name] += 1
            return function(*arguments)

        monkeypatch.setattr(module, name, counted)
    return calls


def test_a_run_is_planned_once(photo, painting, measurements):
    job = impasto.prepare(photo, painting, **SETTINGS)
    impasto.estimate(job)
    last(impasto.run(job))
    assert measurements["plan_run"] == 1


def test_a_speed_is_measured_once_and_then_taken_from_the_last_run(
    photo, painting, measurements, monkeypatch
):
    monkeypatch.setattr(speed, "MIN_TIMED_STEPS", 1)
    job = impasto.prepare(photo, painting, **SETTINGS)
    first = impasto.estimate(job)
    assert impasto.estimate(job).seconds == first.seconds > 0
    assert measurements["_measured_seconds_per_pixel"] == 1
    events = list(impasto.run(job))
    assert 0 < events[0].eta < math.inf
    assert impasto.estimate(job).seconds == pytest.approx(events[-1].seconds, rel=0.5)
    assert measurements["_measured_seconds_per_pixel"] == 1


def test_small_pictures_say_nothing_about_the_speed_of_large_ones(photo, painting, monkeypatch):
    monkeypatch.setattr(speed, "MIN_TIMED_STEPS", 1)
    last(impasto.iterate(photo, painting, **{**SETTINGS, "size": 64}))
    assert not speeds.path().exists()


def test_without_a_cache_folder_the_speed_is_measured_each_time(
    photo, painting, measurements, monkeypatch, tmp_path
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "file"))
    job = impasto.prepare(photo, painting, **SETTINGS)
    assert impasto.estimate(job).seconds > 0
    assert impasto.estimate(job).seconds > 0
    assert measurements["_measured_seconds_per_pixel"] == 2


def test_what_the_caller_does_between_two_steps_is_not_the_runs_time(photo, painting, monkeypatch):
    monkeypatch.setattr(speed, "MIN_TIMED_STEPS", 1)
    clock = [0.0]
    monkeypatch.setattr(run.time, "perf_counter", lambda: clock[0])
    seconds = []
    for event in impasto.iterate(photo, painting, **SETTINGS):
        clock[0] += 1000.0
        seconds.append(event.seconds)
    assert seconds == [0.0, 0.0, 0.0]


def test_the_speed_of_the_method_instant_is_measured_once(photo, painting, monkeypatch):
    calls = []
    measure = instant._measured_seconds_per_pixel

    def counted(job, brush):
        calls.append(job)
        return measure(job, brush)

    monkeypatch.setattr(instant, "_measured_seconds_per_pixel", counted)
    job = impasto.prepare(photo, painting, method="instant", size=64)
    assert impasto.estimate(job).seconds == impasto.estimate(job).seconds > 0
    assert len(calls) == 1


def test_autograd_keeps_all_features_or_is_refused(photo, painting):
    settings: dict[str, Any] = {
        "size": 1024,
        "kernel": "autograd",
        "precision": "float32",
        "max_memory": 1.0,
    }
    with pytest.raises(DeviceError, match=r"need at least [2-9]\.\d GB of memory, and 1\.0 GB"):
        impasto.prepare(photo, painting, **settings)
