"""Learning from a pair: a photo and an artwork that depicts it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import PHOTO, ROOT
from PIL import Image

import impasto
from impasto.base.errors import RecipeError
from impasto.learning import api, checkpoint
from impasto.learning.crops import MARGIN
from impasto.learning.pairs import (
    COMPARED_DRAW,
    CYCLE,
    UNPAIRED_DRAW,
    AlignedPair,
    PairCrop,
    PairTask,
    random_pair_crop,
)
from impasto.learning.start import start_parameters
from impasto.learning.style import preview_sheet, style_bytes
from impasto.learning.tones import fit_tones
from impasto.networks.learned import network_of
from impasto.networks.network_shape import SHAPES
from impasto.styles.style_file import read_parameters


def read(path, size=(96, 72)) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB").resize(size))


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return read(PHOTO)


@pytest.fixture(scope="module")
def cup() -> np.ndarray:
    return read(ROOT / "examples/photos/coffee.png")


def training_job_of(*pairs, **settings):
    return api.prepare_pair_training(
        pairs, look={"precision": "float32"}, **{"crop": 128, "steps": 30, **settings}
    )


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)


def pair_of(photo: np.ndarray, artwork: np.ndarray, trust: int = 255) -> AlignedPair:
    size = photo.shape[:2]
    trusted = torch.full((1, *size), trust, dtype=torch.uint8)
    return AlignedPair(as_tensor(photo), as_tensor(artwork), trusted)


def error_of(style: bytes, photo: np.ndarray, artwork: np.ndarray) -> float:
    painted = impasto.stylize(photo, style, size=96).image
    return float(np.abs(np.asarray(painted, float) - artwork).mean())


def test_a_training_begins_with_a_map_of_colours_that_holds_for_another_photo(cat, cup):
    first, *_ = api.iterate_training(training_job_of((cat, 255 - cat), steps=1))
    style = style_bytes(first)
    assert error_of(style, cat, 255 - cat) < 12
    assert error_of(style, cup, 255 - cup) < 16


def test_what_no_map_of_colours_does_is_learned_and_holds_for_another_photo(cat, cup):
    def bold(photo: np.ndarray) -> np.ndarray:
        return np.where(photo > 110, 225, 30).astype(np.uint8)

    events = api.iterate_training(training_job_of((cat, bold(cat)), steps=100))
    before = style_bytes(next(events))
    *_, end = events
    after = style_bytes(end)
    assert error_of(after, cat, bold(cat)) < 0.8 * error_of(before, cat, bold(cat))
    assert error_of(after, cup, bold(cup)) < 0.8 * error_of(before, cup, bold(cup))


def test_the_style_file_says_that_it_is_from_a_pair(cat):
    *_, progress = api.iterate_training(training_job_of((cat, 255 - cat), steps=1))
    info, _ = read_parameters(style_bytes(progress), "it")
    assert info.kind == "pair"
    assert not info.shape.normalised
    sheet = preview_sheet(progress, [cat])
    assert sheet.height > sheet.width / 4  # two rows of four


def test_different_pictures_leave_only_the_style(cat, cup):
    training_job = training_job_of((cat, 255 - cup))
    assert training_job.pairs == ()
    assert training_job.shape.normalised
    assert "doesn't show what" in training_job.notes[0]


def test_one_pair_of_two_fits(cat, cup):
    training_job = training_job_of((cat, cup), (cup, 255 - cup))
    assert len(training_job.pairs) == 1
    assert len(training_job.look.styles) == 2
    assert "fits" in training_job.notes[0]
    assert "doesn't show what" in training_job.notes[1]


def test_a_crop_has_the_same_place_in_photo_and_artwork(cat):
    generator = torch.Generator().manual_seed(3)
    crop = random_pair_crop(pair_of(cat, 255 - cat), 64, generator)
    assert crop.inner.shape == crop.artwork.shape == (1, 3, 64, 64)
    assert crop.image.shape[-1] == 64 + 2 * MARGIN
    assert torch.allclose(crop.inner, 1 - crop.artwork, atol=1e-5)


@pytest.fixture(scope="module")
def task(cat) -> PairTask:
    training_job = training_job_of((cat, 255 - cat))
    return PairTask(
        training_job.settings, training_job.look, training_job.photos, training_job.pairs
    )


def test_what_is_not_trusted_has_no_gradient(task):
    crop = task.crop(1)
    assert isinstance(crop, PairCrop)
    crop.trust[..., :64] = 0
    _, gradient = task.losses_and_gradient(crop, torch.full((1, 3, 128, 128), 0.5), 1)
    assert gradient[..., :64].abs().max() == 0
    assert gradient[..., 64:].abs().max() > 0


@pytest.mark.parametrize("kind", [1, COMPARED_DRAW, UNPAIRED_DRAW])
def test_the_gradient_lowers_the_losses(task, kind):
    draw = CYCLE + kind
    crop, picture = task.crop(draw), torch.rand(1, 3, 128, 128)
    before, gradient = task.losses_and_gradient(crop, picture, draw)
    after, _ = task.losses_and_gradient(
        crop, picture - 2e-3 * gradient / gradient.abs().max(), draw
    )
    assert after.total < before.total


def test_mean_colours_follow_a_map_of_colours(cat, cup):
    tones = fit_tones([pair_of(cat, 255 - cat).as_floats()])
    other = as_tensor(cup)[None] / 255
    assert float(tones.loss(1 - other, other)) < 0.25 * float(tones.loss(other, other))
    assert tones.deviation < 0.05


def test_the_network_from_which_pairs_are_learned_paints_a_photo_as_it_is(cup):
    parameters = start_parameters("fast", normalised=False)
    style = parameters.pop("style")
    plain = SHAPES["fast"].model_copy(update={"normalised": False})
    photo = as_tensor(np.asarray(Image.fromarray(cup).resize((192, 144))))[None] / 255
    painted = network_of(plain, parameters)(photo, style)
    assert float((painted - photo).abs().mean()) < 0.04


def test_a_training_with_a_pair_goes_on_from_its_checkpoint(cat, tmp_path):
    training_job = training_job_of((cat, 255 - cat), steps=2)
    states = [
        progress.state for progress in api.iterate_training(training_job) if progress.step == 1
    ]
    checkpoint.save(training_job, states[0], tmp_path / "pair.ckpt")
    loaded, state = checkpoint.load(tmp_path / "pair.ckpt")
    assert torch.equal(loaded.pairs[0].artwork, training_job.pairs[0].artwork)
    assert not loaded.shape.normalised
    *_, end = api.iterate_training(loaded, state)
    assert end.step == 2


def test_either_a_style_or_pairs(cat):
    with pytest.raises(RecipeError, match="either a style image or pairs"):
        api.learn(cat, pairs=[(cat, cat)])
    with pytest.raises(RecipeError, match="either a style image or pairs"):
        api.learn()
