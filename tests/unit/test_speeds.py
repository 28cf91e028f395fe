"""The plan of a run, and the speeds that estimates and the time left come from."""

from __future__ import annotations

import math

import pytest

import impasto
from impasto import api
from impasto.methods import optimize
from impasto.networks import speeds
from impasto.result import last

SETTINGS = {"preset": "tutorial", "size": 256, "steps": 2, "solver": "adam"}


@pytest.fixture
def measurements(monkeypatch):
    """The numbers of calls that plan a run and that measure its speed."""
    calls = {"plan_run": 0, "_measured_seconds_per_pixel": 0}
    for name in calls:
        function = getattr(optimize, name)

        def counted(*arguments, name=name, function=function):
            calls[name] += 1
            return function(*arguments)

        monkeypatch.setattr(optimize, name, counted)
        if hasattr(api, name):
            monkeypatch.setattr(api, name, counted)
    return calls


def test_a_run_is_planned_once(photo, painting, measurements):
    job = impasto.prepare(photo, painting, **SETTINGS)
    impasto.estimate(job)
    last(impasto.run(job))
    assert measurements["plan_run"] == 1


def test_a_speed_is_measured_once_and_then_taken_from_the_last_run(
    photo, painting, measurements, monkeypatch
):
    monkeypatch.setattr(optimize, "MIN_TIMED_STEPS", 1)
    job = impasto.prepare(photo, painting, **SETTINGS)
    first = impasto.estimate(job)
    assert impasto.estimate(job).seconds == first.seconds > 0
    assert measurements["_measured_seconds_per_pixel"] == 1
    events = list(impasto.run(job))
    assert 0 < events[0].eta < math.inf
    assert impasto.estimate(job).seconds == pytest.approx(events[-1].seconds, rel=0.5)
    assert measurements["_measured_seconds_per_pixel"] == 1


def test_small_pictures_say_nothing_about_the_speed_of_large_ones(photo, painting, monkeypatch):
    monkeypatch.setattr(optimize, "MIN_TIMED_STEPS", 1)
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
