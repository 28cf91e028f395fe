from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import impasto
from impasto.base.errors import CheckpointError, RecipeError
from impasto.runs import checkpoint
from impasto.runs.progress import last
from impasto.settings.build import build

RECIPES: dict[str, dict[str, Any]] = {
    "adam": {"preset": "tutorial", "size": 48, "steps": 8, "trace_every": 3},
    "lbfgs": {"preset": "gatys", "size": 48, "steps": 8, "trace_every": 3},
    "scales": {"preset": "studio", "size": 96, "scales": 2, "steps": 8, "trace_every": 3},
}


@pytest.mark.parametrize("stop", [0, 3, 6, 8])
@pytest.mark.parametrize("name", RECIPES)
def test_a_resumed_run_ends_as_an_uninterrupted_one(name, stop, photo, painting, tmp_path):
    path = tmp_path / "run.checkpoint"
    whole = impasto.stylize(photo, painting, **RECIPES[name])
    for progress in impasto.iterate(photo, painting, **RECIPES[name]):
        if progress.step == stop:
            checkpoint.save(progress, path)
            break
    photo.unlink()  # the checkpoint needs nothing else
    resumed = last(impasto.resume(path)).result()
    np.testing.assert_array_equal(resumed.array, whole.array)
    assert resumed.encode() == whole.encode()
    assert resumed.losses == whole.losses
    assert resumed.seconds > progress.seconds


@pytest.mark.parametrize("name", RECIPES)
def test_any_progress_of_a_finished_run_can_be_saved(name, photo, painting, tmp_path):
    events = list(impasto.iterate(photo, painting, **RECIPES[name], lbfgs_history=2))
    for index in (3, 7, -1):
        path = tmp_path / f"{index}.checkpoint"
        checkpoint.save(events[index], path)
        resumed = last(impasto.resume(path)).result()
        np.testing.assert_array_equal(resumed.array, events[-1].result().array)


@pytest.mark.parametrize("stop", [12, 21, 22])
def test_a_resumed_run_converges_at_the_same_step(stop, photo, painting, tmp_path):
    settings: dict[str, Any] = {
        **RECIPES["lbfgs"],
        "steps": 300,
        "until": "converged",
        "tolerance": 0.3,
    }
    whole = impasto.stylize(photo, painting, **settings)
    assert stop <= whole.steps < 300
    for progress in impasto.iterate(photo, painting, **settings):
        if progress.step == stop:
            checkpoint.save(progress, tmp_path / "c")
            break
    finished = last(impasto.resume(tmp_path / "c"))
    assert finished.step == whole.steps
    np.testing.assert_array_equal(finished.result().array, whole.array)


def test_more_steps_after_the_end(photo, painting, tmp_path):
    path = tmp_path / "run.checkpoint"
    finished = last(impasto.iterate(photo, painting, **RECIPES["adam"]))
    checkpoint.save(finished, path)
    *_, longer = impasto.resume(path, steps=11)
    whole = impasto.stylize(photo, painting, **{**RECIPES["adam"], "steps": 11})
    np.testing.assert_array_equal(longer.result().array, whole.array)


def test_steps_that_make_no_sense(photo, painting, tmp_path):
    path = tmp_path / "run.checkpoint"
    for name in ("adam", "scales"):
        finished = last(impasto.iterate(photo, painting, **RECIPES[name]))
        checkpoint.save(finished, path)
        with pytest.raises(CheckpointError, match="lies before that|can't be changed"):
            impasto.resume(path, steps=5 if name == "adam" else 20)


def test_transparency_survives(photo_image, painting, tmp_path):
    photo_image = photo_image.copy()
    photo_image.putalpha(99)
    progress = next(iter(impasto.iterate(photo_image, painting, **RECIPES["adam"])))
    checkpoint.save(progress, tmp_path / "c")
    job, _ = checkpoint.load(tmp_path / "c")
    assert torch.equal(job.content.alpha, progress.job.content.alpha)


def test_a_checkpoint_from_before_methods_had_settings_of_their_own(photo, painting, tmp_path):
    """Its recipe has the settings of every method."""
    path = tmp_path / "run.checkpoint"
    events = list(impasto.iterate(photo, painting, **RECIPES["adam"]))
    checkpoint.save(events[3], path)
    content = torch.load(path, weights_only=True)
    others = build({"method": "instant"}).model_dump(mode="json")
    torch.save({**content, "recipe": {**others, **content["recipe"]}}, path)
    resumed = last(impasto.resume(path))
    assert resumed.job.recipe == events[-1].job.recipe
    np.testing.assert_array_equal(resumed.result().array, events[-1].result().array)


def test_a_checkpoint_of_a_method_that_cannot_go_on_is_refused(photo, painting, tmp_path):
    path = tmp_path / "run.checkpoint"
    checkpoint.save(next(iter(impasto.iterate(photo, painting, **RECIPES["adam"]))), path)
    content = torch.load(path, weights_only=True)
    torch.save({**content, "recipe": {**content["recipe"], "method": "instant"}}, path)
    with pytest.raises(CheckpointError, match="checkpoint is of the method instant, whose runs"):
        impasto.resume(path)


def test_a_run_that_cannot_go_on_has_no_checkpoint(photo, painting, tmp_path):
    finished = last(impasto.iterate(photo, painting, method="instant"))
    with pytest.raises(CheckpointError, match="of the method instant can't be gone on with"):
        checkpoint.save(finished, tmp_path / "run.checkpoint")
    assert not (tmp_path / "run.checkpoint").exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04"])
def test_damaged_files(content, tmp_path):
    path = tmp_path / "c"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged, or isn't a checkpoint"):
        checkpoint.load(path)


def test_other_files(tmp_path):
    torch.save({"something": "else"}, tmp_path / "c")
    with pytest.raises(CheckpointError, match="isn't a checkpoint"):
        checkpoint.load(tmp_path / "c")
    torch.save({"impasto checkpoint": checkpoint.FORMAT_VERSION}, tmp_path / "c")
    with pytest.raises(CheckpointError, match="another version"):
        checkpoint.load(tmp_path / "c")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        checkpoint.load(tmp_path / "none")
    with pytest.raises(CheckpointError, match="is a folder"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("settings", [{}, {"solver": "adam"}])
def test_a_finished_run_goes_on_to_more_steps_as_if_it_had_not_finished(
    settings, photo, painting, tmp_path
):
    """A finished picture is the best one, in the painting's palette; a longer run needs neither."""
    settings = {"size": 48, "scales": 1, "polish": 0, "palette": 1.0, **settings}
    path = tmp_path / "run.pt"
    checkpoint.save(last(impasto.iterate(photo, painting, **settings, steps=4)), path)
    longer = last(impasto.resume(path, steps=9)).result()
    straight = impasto.stylize(photo, painting, **settings, steps=9)
    assert np.array_equal(longer.array, straight.array)


ALTERED = [
    ("snapshot", "step_in_scale", float("nan")),
    ("snapshot", "steps_before", torch.zeros(2)),
    ("snapshot", "scale_index", 7),
    ("snapshot", "image", torch.zeros(1, 3, 8, 8)),
    ("snapshot", "best", (torch.zeros(3), 1.0)),
    ("snapshot", "rows", ({},)),
    ("snapshot", "seconds", -1.0),
    ("snapshot", "falls", None),
    ("snapshot", "solver", {}),
    ("content", "rgb", torch.full((1, 3, 32, 48), float("nan"))),
    ("content", "rgb", "text"),
    ("content", "name", 3),
    ("recipe", "size", "large"),
    ("recipe", "solver", "adam"),
]


@pytest.mark.parametrize(("part", "name", "value"), ALTERED)
def test_altered_checkpoints_are_refused(part, name, value, photo, painting, tmp_path):
    path = tmp_path / "run.checkpoint"
    *_, before_last, _end = impasto.iterate(photo, painting, **RECIPES["lbfgs"])
    checkpoint.save(before_last, path)
    content = torch.load(path, weights_only=True)
    torch.save({**content, part: {**content[part], name: value}}, path)
    with pytest.raises((CheckpointError, RecipeError)):
        impasto.resume(path)


@pytest.mark.parametrize("name", ["vectors", "order", "sy", "yy", "last", "lr", "backtracks"])
@pytest.mark.parametrize("value", [float("nan"), "x", torch.zeros(2), [99]])
def test_altered_states_of_solvers_are_refused(name, value, photo, painting, tmp_path):
    path = tmp_path / "run.checkpoint"
    checkpoint.save(list(impasto.iterate(photo, painting, **RECIPES["lbfgs"]))[3], path)
    content = torch.load(path, weights_only=True)
    solver = {**content["snapshot"]["solver"], name: value}
    torch.save({**content, "snapshot": {**content["snapshot"], "solver": solver}}, path)
    with pytest.raises(CheckpointError):
        impasto.resume(path)
