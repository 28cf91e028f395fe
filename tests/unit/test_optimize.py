from __future__ import annotations

import itertools
import math
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from recipes import build_optimize

import impasto
from impasto.base.errors import DivergenceError, ImageError, RecipeError
from impasto.losses.objective import Losses, Objective
from impasto.losses.style import Region, Style
from impasto.methods.optimize.plan import plan_scales
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.methods.optimize.setup import make_engine
from impasto.methods.optimize.snapshot import OptimizeSnapshot
from impasto.runs.progress import Progress, last
from impasto.settings.build import build

SMALL: dict[str, Any] = {"preset": "tutorial", "size": 48, "steps": 6, "trace_every": 2}


def image_of(progress: Progress) -> torch.Tensor:
    """The image (1, 3, h, w) that a run is at."""
    assert isinstance(progress.snapshot, OptimizeSnapshot)
    return progress.snapshot.image


def test_progress_counts_from_the_initial_image_to_the_finished_one(photo, painting):
    events = list(impasto.iterate(photo, painting, **SMALL))
    assert [event.step for event in events] == list(range(7))
    assert {event.steps for event in events} == {6}
    assert events[0].losses.content == 0, "the initial image is the content image"
    assert events[-1].losses.total < events[0].losses.total
    assert events[-1].eta == 0
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(events))
    assert events[3].image.size == (48, 32)


def test_the_trace_has_the_first_every_other_and_the_last_row(photo, painting):
    result = impasto.stylize(photo, painting, **{**SMALL, "steps": 5})
    assert [row["step"] for row in result.losses.rows] == [0, 2, 4, 5]
    assert result.losses.first["step"] == 0
    assert result.losses.last["total"] == pytest.approx(
        sum(result.losses.last[term] for term in ("content", "style", "tv"))
    )


def test_the_same_seed_gives_the_same_bytes(photo, painting):
    settings: dict[str, Any] = {**SMALL, "init": "noise"}
    first, again = (impasto.stylize(photo, painting, seed=3, **settings) for _ in range(2))
    other = impasto.stylize(photo, painting, seed=4, **settings)
    assert first.encode() == again.encode()
    assert not np.array_equal(first.array, other.array)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("form", ["tutorial", "paper"])
def test_every_solver_and_form_lowers_the_loss_and_stays_in_range(solver, form, photo, painting):
    weights = {"content_weight": 1e-3, "style_weight": 1, "unit_activations": True}
    chosen: dict[str, Any] = {} if form == "tutorial" else weights
    result = impasto.stylize(
        photo, painting, **{**SMALL, **chosen}, solver=solver, loss_form=form, tv_norm="l2"
    )
    assert result.losses.last["total"] < result.losses.first["total"]
    assert result.array.min() >= 0
    assert result.array.max() <= 1


@pytest.mark.parametrize("init", ["content", "noise", "style", "file"])
def test_initial_images(init, photo, painting, tmp_path):
    if init == "file":
        init = str(tmp_path / "start.png")
        start = np.zeros((64, 96, 3), np.uint8)
        Image.fromarray(start).save(init)
    first = image_of(next(iter(impasto.iterate(photo, painting, **SMALL, init=init))))
    assert first.shape == (1, 3, 32, 48)
    if init.endswith("start.png"):
        assert first.max() == 0
    content = impasto.prepare(photo, painting, **SMALL).content.rgb
    assert torch.equal(first, content) == (init == "content")


def test_the_style_image_as_a_start_keeps_its_aspect(photo):
    """A painting twice as tall as the picture is cut, not squeezed."""
    tall = np.zeros((192, 96, 3), np.uint8)
    tall[64:128] = 255  # the middle
    settings: dict[str, Any] = {**SMALL, "size": 64, "init": "style"}
    first = image_of(next(iter(impasto.iterate(photo, tall, **settings))))
    assert first[:, :, 6:-6].min() > 0.9


def test_an_initial_file_that_is_missing_says_what_is_possible(photo, painting):
    with pytest.raises(ImageError, match="noise, style, instant, or a file: nothing.png"):
        impasto.iterate(photo, painting, init="nothing.png")


def test_coarse_to_fine_goes_through_growing_sizes(photo, painting):
    events = list(impasto.iterate(photo, painting, preset="studio", size=96, steps=8, scales=2))
    assert sorted({event.scale for event in events}) == [48, 96]
    assert [event.step for event in events] == list(range(9))
    assert events[0].image.size == (48, 32)
    early = events[1].result()
    assert (early.width, early.height) == (96, 64), "a stopped run has the final size too"


def test_steps_are_shared_out_over_scales():
    recipe = build_optimize({"steps": 80, "scales": 3, "step_ratio": 0.6, "polish": 0})
    scales = plan_scales(recipe, 340, 512)
    assert [scale.long_side for scale in scales] == [128, 256, 512]
    assert sum(scale.steps for scale in scales) == 80
    assert scales[0].steps > scales[1].steps > scales[2].steps


@pytest.mark.parametrize(("steps", "polish"), [(80, 18), (30, 10), (2, 0)])
def test_the_last_steps_polish_at_the_full_size(steps, polish):
    """As many as the recipe says, and at most a third."""
    scales = plan_scales(build_optimize({"steps": steps, "scales": 2, "polish": 18}), 340, 512)
    assert sum(scale.steps for scale in scales) == steps
    assert sum(scale.steps for scale in scales if scale.polish) == polish
    assert scales[-1].polish == (polish > 0)
    assert (scales[-1].height, scales[-1].width) == (340, 512)


@pytest.mark.parametrize(("size", "polish"), [(256, 18), (512, 18), (1024, 11), (2048, 6)])
def test_a_larger_picture_has_fewer_steps_of_polish(size, polish):
    scales = plan_scales(
        build_optimize({"steps": 160, "step_ratio": 0.6, "polish": 18}), size, size
    )
    assert sum(scale.steps for scale in scales) == 160
    assert scales[-1].steps == polish


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_few_steps_still_end_at_the_full_size(steps):
    scales = plan_scales(build_optimize({"steps": steps, "scales": 4}), 512, 512)
    assert scales[-1].long_side == 512
    assert sum(scale.steps for scale in scales) == steps
    assert all(scale.steps for scale in scales)


def test_scales_too_small_for_the_network_are_left_out():
    scales = plan_scales(build_optimize({"scales": 5, "polish": 0}), 64, 512)
    assert [scale.height for scale in scales] == [32, 64]


def test_several_styles(photo, painting, photo_image):
    mixed = impasto.prepare(photo, [(painting, 3), (photo_image, 1)], **SMALL)
    assert mixed.style_weights == (0.75, 0.25)
    assert len(impasto.prepare(photo, (painting, 0.5), **SMALL).styles) == 1
    assert len(impasto.prepare(photo, (painting, photo_image), **SMALL).styles) == 2
    only = impasto.stylize(photo, [(painting, 1), (photo_image, 0)], **SMALL)
    alone = impasto.stylize(photo, painting, **SMALL)
    np.testing.assert_allclose(only.array, alone.array, atol=1e-5)


@pytest.mark.parametrize(
    ("styles", "sentence"),
    [([], "no style image"), ([("PAINTING", 0)], "all zero"), ([("PAINTING", -1)], "at least 0")],
)
def test_styles_that_weigh_nothing(styles, sentence, photo, painting):
    named = [(painting, weight) for _, weight in styles]
    with pytest.raises(RecipeError, match=sentence):
        impasto.prepare(photo, named, **SMALL)


def test_transparency_is_put_back(photo_image, painting):
    cut_out = photo_image.copy()
    cut_out.putalpha(photo_image.convert("L").point(lambda v: 255 * (v > 100)))
    result = impasto.stylize(cut_out, painting, **SMALL)
    assert result.array.shape == (32, 48, 4)
    assert result.image.mode == "RGBA"
    assert 0 < result.array[..., 3].mean() < 1


def test_unknown_settings_get_a_suggestion(photo, painting):
    with pytest.raises(RecipeError, match="no setting 'stpes'; did you mean 'steps'"):
        impasto.stylize(photo, painting, stpes=3)  # type: ignore[call-arg]


class Cliff:
    """An objective that is not a number beyond a cliff, and lowest at its foot."""

    def __init__(self, *_args) -> None:
        self.target = 0.3

    graph_failure = None

    def begin_step(self, step):
        pass

    def losses(self, image):
        return self.losses_and_gradient(image)[0]

    def losses_and_gradient(self, image):
        total = (image - self.target).square().sum()
        if image.mean() < 0.29:
            total = total * math.nan
        return Losses(0.0, total.item(), 0.0, total.item()), 2 * (image - self.target)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_step_over_the_cliff_goes_back_and_is_shortened(solver, photo, painting, monkeypatch):
    monkeypatch.setattr("impasto.methods.optimize.run.Objective", Cliff)
    events = list(
        impasto.iterate(
            photo,
            painting,
            **{**SMALL, "steps": 60},
            solver=solver,
            lr=0.9 if solver == "adam" else 8,
        )
    )
    messages = [event.message for event in events if event.message]
    assert messages, "it should say that it went back"
    assert "back to the best image so far" in messages[0]
    assert all(event.losses.finite for event in events)
    assert events[-1].losses.total < 0.1 * events[0].losses.total


def test_a_loss_that_explodes_is_rolled_back(photo, painting):
    """Adam with steps as long as the whole range, on the real objective."""
    events = list(impasto.iterate(photo, painting, **{**SMALL, "steps": 25}, lr=50.0))
    assert events[-1].losses.total <= 10 * min(event.losses.total for event in events)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_weights_whose_gradient_overflows_are_an_error(solver, photo, painting):
    settings: dict[str, Any] = {"preset": "gatys", "size": 48, "steps": 2, "solver": solver}
    with pytest.raises(DivergenceError, match="gradient of the loss is too large"):
        impasto.stylize(photo, painting, style_weight=1e30, **settings)


def test_a_loss_that_is_never_finite_is_an_error(photo, painting):
    with pytest.raises(DivergenceError, match="loss of the initial image is not a finite number"):
        impasto.stylize(photo, painting, **SMALL, style_weight=1e38)


def test_stopping_early_keeps_the_picture(photo, painting):
    events: Any = impasto.iterate(photo, painting, **SMALL)
    for progress in events:
        if progress.step == 3:
            break
    events.close()
    result = progress.result()
    assert result.steps == 3
    assert result.losses.last["step"] == 3
    np.testing.assert_array_equal(result.array, image_of(progress)[0].permute(1, 2, 0).numpy())


def test_what_a_result_offers(photo, painting, tmp_path):
    result = impasto.stylize(photo, painting, **SMALL)
    assert result.image.size == (result.width, result.height) == (48, 32)
    assert result.array.dtype == np.float32
    assert result.steps_per_second == pytest.approx(6 / result.seconds)
    assert OptimizeSettings.of(result.recipe).steps == 6
    assert result._repr_png_().startswith(b"\x89PNG")
    saved = result.save(tmp_path / "a.png")
    with pytest.raises(impasto.ImpastoError, match="exists already"):
        result.save(saved)
    result.save(saved, force=True, metadata=False)
    assert build(recipe=result.save(tmp_path / "b.webp")) == result.recipe


def test_a_coarse_scale_never_hands_on_a_bad_image(photo, painting, monkeypatch):
    """The coarse scale's last step leads over the cliff; the next one starts from the best."""
    monkeypatch.setattr("impasto.methods.optimize.run.Objective", Cliff)
    settings: dict[str, Any] = {
        "size": 96,
        "scales": 2,
        "steps": 3,
        "step_ratio": 0.5,
        "solver": "adam",
        "lr": 0.9,
    }
    events = list(impasto.iterate(photo, painting, preset="tutorial", **settings))
    assert all(event.losses.finite for event in events)


def test_other_weights_have_no_unit_activations(photo, painting):
    from impasto.networks.load import load_encoder

    with pytest.raises(impasto.ImpastoError, match="missing|hasn't been measured"):
        load_encoder("vgg19-torchvision", unit_activations=True)


def test_not_enough_memory_is_said_before_the_start(photo, painting, monkeypatch):
    monkeypatch.setattr("impasto.runs.plan.memory_available_mb", lambda _device: 100.0)
    with pytest.raises(
        impasto.ImpastoError, match=r"at least \d\.\d GB of memory, and 0\.1 GB may be used"
    ):
        impasto.iterate(photo, painting, size=512)


def test_bfloat16_lowers_the_float32_loss_nearly_as_far(photo, painting):
    settings: dict[str, Any] = {**SMALL, "steps": 12}
    exact, rough = (
        impasto.stylize(photo, painting, **settings, precision=p) for p in ("float32", "bfloat16")
    )
    job = impasto.prepare(photo, painting, **settings, precision="float32")
    objective = Objective(
        make_engine(job),
        OptimizeSettings.of(job.recipe),
        job.content.rgb,
        [Region([Style(job.styles[0].rgb)])],
    )
    totals = [
        objective.losses(torch.from_numpy(r.array).permute(2, 0, 1)[None]).total
        for r in (exact, rough)
    ]
    assert totals[1] == pytest.approx(totals[0], rel=0.1)


def test_until_converged_stops_when_the_loss_hardly_falls(photo, painting):
    settings: dict[str, Any] = {**SMALL, "steps": 400, "solver": "lbfgs"}
    rough, fine = (
        list(impasto.iterate(photo, painting, **settings, until="converged", tolerance=tolerance))
        for tolerance in (0.2, 0.05)
    )
    assert 20 < rough[-1].step < fine[-1].step < 400
    assert rough[-1].step == rough[-1].steps, "it has done all it had to"
    assert rough[-1].eta == 0
    totals = [event.losses.total for event in rough]
    assert min(totals) > 0.8 * min(totals[:-20]), "the last 20 steps brought less than 20 %"
    assert min(totals[:-1]) < 0.8 * min(totals[:-21]), "the 20 before still brought more"


def test_a_time_budget_is_kept_and_ends_at_the_full_size(photo, painting, monkeypatch):
    """By a clock that goes on by 50 ms whenever it is looked at."""
    clock = itertools.count(0, 0.05)
    monkeypatch.setattr("impasto.methods.optimize.run.time.perf_counter", lambda: next(clock))
    settings: dict[str, Any] = {
        "preset": "studio",
        "size": 96,
        "steps": 100_000,
        "scales": 2,
        "polish": 0,
    }
    events = list(impasto.iterate(photo, painting, **settings, time_budget=6.0))
    assert {event.scale for event in events} == {48, 96}
    assert 5.5 < events[-1].seconds <= 6
    assert events[-1].step == events[-1].steps
    assert events[-1].losses.total == min(e.losses.total for e in events if e.scale == 96)


def test_lbfgs_ends_on_its_best_image(photo, painting):
    settings: dict[str, Any] = {**SMALL, "solver": "lbfgs", "lr": 3}
    for steps in (3, 5, 9, 14):
        events = list(impasto.iterate(photo, painting, **{**settings, "steps": steps}))
        assert events[-1].losses.total == min(event.losses.total for event in events)


def test_the_last_event_of_a_run_holds_no_other(photo, painting):
    """1,000 events of 512 px hold 7 GB: images and the solver's state."""
    pictures = []

    def watched():
        for event in impasto.iterate(photo, painting, **SMALL):
            pictures.append(weakref.ref(event.pixels))
            yield event

    finished = last(watched())
    assert finished.step == SMALL["steps"]
    assert sum(picture() is not None for picture in pictures) <= 2  # the best one and the last one
