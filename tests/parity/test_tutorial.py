"""Equal to the TensorFlow tutorial: ``reference/tutorial.json`` holds the figures of its own code
(TensorFlow 2.21, Keras VGG19 with the same weights, float32, CPU) on the two images beside it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import impasto
from impasto.losses.gram import gram_matrix
from impasto.losses.total_variation import deltas, total_variation
from impasto.measures.inspection import Statistics, inspect
from impasto.networks.load import load_encoder
from impasto.runs.job import Job

FOLDER = Path(__file__).parent / "reference"
REFERENCE = json.loads((FOLDER / "tutorial.json").read_text())
STATISTICS_TOLERANCE = 1e-4
TOTAL_VARIATION_TOLERANCE = 1e-6
FIRST_STEPS, FIRST_TOLERANCE = 10, 0.005
LATER_STEPS, LATER_TOLERANCE = 20, 0.03  # all 1,000 are compared by benchmarks/parity.py


def prepare(**settings) -> Job:
    return impasto.prepare(
        FOLDER / "content.png",
        FOLDER / "style.png",
        preset="tutorial",
        device="cpu",
        precision="float32",
        **settings,
    )


@pytest.fixture(scope="module")
def job() -> Job:
    return prepare()


@pytest.fixture(scope="module")
def inspection(job):
    return inspect(job.content, job.styles[0], job.recipe)


def assert_same(ours: Statistics, theirs: dict) -> None:
    shape = theirs["shape"]  # TensorFlow's images are (N, H, W, C)
    channels_first = shape if len(shape) == 3 else [shape[0], shape[3], shape[1], shape[2]]
    assert list(ours.shape) == channels_first
    for name in ("min", "max", "mean"):
        expected = theirs[name]
        allowed = STATISTICS_TOLERANCE * max(abs(expected), 1e-3)
        assert abs(getattr(ours, name) - expected) <= allowed, name


@pytest.mark.parametrize("which", ["content_image", "style_image"])
def test_loaded_images(which, inspection):
    assert_same(getattr(inspection[0], which), REFERENCE[which])


def test_the_first_pixels(job):
    ours = job.content.rgb[0, :, :3, :3].permute(1, 2, 0)
    expected = torch.tensor(REFERENCE["content_pixels_0_0_to_3"])
    torch.testing.assert_close(ours[: len(expected), : expected.shape[1]], expected)


def test_layers_are_those_of_keras(inspection):
    assert ["input_layer", *(layer.name for layer in inspection[0].layers)] == REFERENCE["layers"]


@pytest.mark.parametrize("layer", REFERENCE["style_layer_outputs_preprocessed"])
def test_style_layer_outputs(layer, inspection):
    ours = inspection[0].style_layer_outputs[layer]
    assert_same(ours, REFERENCE["style_layer_outputs_preprocessed"][layer])


@pytest.mark.parametrize("layer", REFERENCE["style_layer_outputs"])
def test_style_layer_outputs_as_the_tutorial_prints_them(layer, job):
    """There it forgets to preprocess: RGB, 0 to 255, goes straight into the network."""
    raw = load_encoder().features(job.styles[0].rgb * 255, [layer])[layer]
    assert_same(Statistics.of(raw), REFERENCE["style_layer_outputs"][layer])


@pytest.mark.parametrize("layer", REFERENCE["content_gram"])
def test_gram_matrices(layer, job, inspection):
    theirs = REFERENCE["content_gram"][layer]
    assert_same(inspection[0].gram_matrices[layer], theirs)
    gram = gram_matrix(load_encoder()(job.content.rgb, [layer])[layer])
    corner = torch.tensor(theirs["corner_3x3"])
    torch.testing.assert_close(gram[0, :3, :3], corner, rtol=STATISTICS_TOLERANCE, atol=0)


def test_content_features(inspection):
    for layer, theirs in REFERENCE["content_features"].items():
        assert_same(inspection[0].content_layer_outputs[layer], theirs)


def test_deltas(job):
    for ours, axis in zip(deltas(job.content.rgb), "xy", strict=True):
        assert_same(Statistics.of(ours), REFERENCE["deltas"][axis])


def test_total_variation(job):
    ours = total_variation(job.content.rgb, "l1").item()
    assert ours == pytest.approx(
        REFERENCE["total_variation_content"], rel=TOTAL_VARIATION_TOLERANCE
    )


@pytest.mark.parametrize(
    ("tv_weight", "rows", "steps"),
    [(0, "losses_tv_0", FIRST_STEPS), (30, "losses_tv_30", LATER_STEPS)],
)
def test_losses_step_by_step(tv_weight, rows, steps):
    theirs = {row["step"]: row for row in REFERENCE[rows] if row["step"] <= steps}
    compared = 0
    for progress in impasto.run(prepare(tv_weight=tv_weight, steps=steps)):
        if progress.step not in theirs:
            continue
        row = theirs[progress.step]
        tolerance = FIRST_TOLERANCE if progress.step <= FIRST_STEPS else LATER_TOLERANCE
        for term in ("style", "content", "tv"):
            ours = getattr(progress.losses, term)
            assert ours == pytest.approx(row[term], rel=tolerance), (progress.step, term)
        compared += 1
    assert compared == len(theirs) >= FIRST_STEPS + 1
