"""What the controls mean: strength, stroke size, several styles, masks, regions, colours."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.base.errors import ImageError, RecipeError
from impasto.images.color import to_oklab
from impasto.images.write import quantize
from impasto.losses.objective import Objective
from impasto.losses.style import Region, Style
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.methods.optimize.setup import make_engine
from impasto.runs import checkpoint
from impasto.settings.build import build

SMALL: dict[str, Any] = {
    "preset": "tutorial", "size": 48, "steps": 6, "solver": "lbfgs", "loss_form": "relative",
    "unit_activations": True, "style_layers": "block1_conv1,block2_conv1",
    "content_layers": "block2_conv2", "content_weight": 0.1, "style_weight": 1, "tv_weight": 0.1,
    "tv_norm": "l2",
}  # fmt: skip
FLAT: dict[str, Any] = {
    **SMALL, "style_layers": "block1_conv1", "content_weight": 0.02, "solver": "adam", "lr": 0.05,
    "adam_beta1": 0.9, "adam_epsilon": 1e-8, "steps": 10,
}  # fmt: skip
"""For paintings of one colour; with Adam, unlike L-BFGS, no pixel knows of those far away."""
RED, BLUE = (200, 30, 30), (30, 30, 200)


@pytest.fixture
def save(tmp_path):
    """Save a picture under a name in the test's folder → its path as text."""

    def save(image: Image.Image, name: str) -> str:
        image.save(tmp_path / name)
        return str(tmp_path / name)

    return save


@pytest.fixture
def left(save) -> str:
    """A mask: the left half."""
    return save(half(), "left.png")


def half(*, right: bool = False) -> Image.Image:
    mask = Image.new("L", (60, 40), 255 * right)
    mask.paste(255 * (not right), (0, 0, 30, 40))
    return mask


def flat(color: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (40, 40), color)


def redness(array: np.ndarray) -> float:
    return float((array[..., 0] - array[..., 2]).mean())


def photo_of(result: impasto.Result) -> np.ndarray:
    """The photo at the result's size, (H, W, 3)."""
    return result.job.content.rgb[0].permute(1, 2, 0).numpy()


def lab(array: np.ndarray) -> np.ndarray:
    """(H, W, 3) → (3, H, W) Oklab."""
    pixels = torch.from_numpy(np.ascontiguousarray(array[..., :3])).permute(2, 0, 1)[None]
    return to_oklab(pixels)[0].numpy()


# --- Strength -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        SMALL,
        {**SMALL, "balance": "gradient"},
        {**SMALL, "solver": "adam", "content_loss": "self-similarity"},
        {**SMALL, "size": 64, "work_size": 48},
        {**SMALL, "content_weight": 0},
        {"preset": "studio", "size": 64},
        {"preset": "gatys", "size": 48, "scales": 3},
    ],
)
def test_without_strength_the_photo_stays_to_the_bit(settings, photo_image, painting_image):
    settings = {**settings, "steps": 3, "strength": 0}
    result = impasto.stylize(photo_image, painting_image, **settings)
    np.testing.assert_array_equal(result.array, photo_of(result))
    assert result.losses.last["total"] == 0


@pytest.mark.parametrize("color", ["content", "match"])
def test_without_strength_the_photo_stays_whatever_the_colours(color, photo, painting):
    result = impasto.stylize(photo, painting, **SMALL, strength=0, color=color)
    np.testing.assert_allclose(result.array, photo_of(result), atol=1e-4)


def test_more_strength_is_nearer_the_style_and_further_from_the_photo(photo, painting):
    strengths = (0.15, 0.45, 1.4)
    results = [impasto.stylize(photo, painting, **SMALL, strength=s) for s in strengths]
    style = [r.losses.last["style"] / s**2 for r, s in zip(results, strengths, strict=True)]
    content = [r.losses.last["content"] for r in results]
    assert all(a > 1.1 * b for a, b in itertools.pairwise(style)), style
    assert all(a < b for a, b in itertools.pairwise(content)), content
    assert build().strength == 1


# --- Stroke size ----------------------------------------------------------------------------------


def test_style_scale_is_the_paintings_size_over_the_pictures(photo, painting):
    for size, scale in itertools.product((64, 128), (0.5, 1, 2)):
        job = impasto.prepare(photo, painting, **{**SMALL, "size": size}, style_scale=scale)
        style = job.styles[0]
        expected = max(40, size * scale)  # 40×32 px: less is too small for the network
        assert max(style.height, style.width) == expected
        assert style.width / style.height == pytest.approx(64 / 80, abs=0.02)


def test_a_painting_shrinks_with_the_picture_from_scale_to_scale(photo, painting, monkeypatch):
    seen = []
    make = Objective

    def noted(engine, recipe, content, regions, *rest):
        seen.append((max(content.shape), max(regions[0].styles[0].rgb.shape)))
        return make(engine, recipe, content, regions, *rest)

    monkeypatch.setattr("impasto.methods.optimize.run.Objective", noted)
    impasto.stylize(photo, painting, **{**SMALL, "size": 192, "steps": 2}, scales=2, style_scale=2)
    assert seen == [(96, 192), (192, 384)]


def test_the_finished_picture_has_the_paintings_palette(photo, painting):
    """By its mean and spread of colours, of all and of half of it."""
    settings: dict[str, Any] = {**SMALL, "steps": 2, "preset": "studio"}

    def distance(**more):
        result = impasto.stylize(photo, painting, **settings, **more)
        theirs = lab(np.moveaxis(result.job.styles[0].rgb[0].numpy(), 0, -1))
        ours = lab(result.array)
        return sum(
            np.abs(of(ours, (-2, -1)) - of(theirs, (-2, -1))).sum() for of in (np.mean, np.std)
        )

    none, half, whole = (distance(palette=share) for share in (0, 0.5, 1))
    assert whole < half < none
    assert whole < 0.3 * none


# --- Several styles -------------------------------------------------------------------------------


def test_a_blend_is_nearer_to_the_style_that_weighs_more(photo):
    reddish, even, bluish = (
        redness(impasto.stylize(photo, [(flat(RED), w), (flat(BLUE), 1)], **FLAT).array)
        for w in (4, 1, 0.25)
    )
    assert reddish > even + 0.1
    assert even > bluish + 0.1


# --- Masks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [{}, {"color": "content"}, {"size": 96, "work_size": 48}, {"size": 64, "scales": 2}],
)
def test_outside_of_the_mask_the_photo_stays_to_the_bit(settings, photo, painting, left):
    result = impasto.stylize(photo, painting, **{**SMALL, **settings}, mask=left, feather=10)
    mask = result.job.mask[0, 0].numpy()
    painted, before = (quantize(array, 8) for array in (result.array, photo_of(result)))
    assert 0.4 < (mask == 0).mean() < 0.5
    np.testing.assert_array_equal(painted[mask == 0], before[mask == 0])
    assert np.abs(painted[mask > 0.99].astype(int) - before[mask > 0.99]).mean() > 5


def test_a_picture_at_any_moment_of_a_run_is_masked(photo, painting, left):
    settings: dict[str, Any] = {**SMALL, "size": 96, "scales": 2}
    for progress in impasto.iterate(photo, painting, **settings, mask=left):
        result = progress.result()
        np.testing.assert_array_equal(result.array[:, 60:], photo_of(result)[:, 60:])
        assert progress.image.width == progress.scale


def test_a_white_mask_is_as_none(photo, painting, save):
    white = save(Image.new("L", (10, 10), 255), "white.png")
    masked = impasto.stylize(photo, painting, **SMALL, mask=white)
    np.testing.assert_allclose(
        masked.array, impasto.stylize(photo, painting, **SMALL).array, atol=0.01
    )


def test_what_is_outside_does_not_count_for_the_style(photo, save, left):
    """The right half is blue already, and yet the left one becomes as blue as without it."""
    half_blue = np.array(Image.open(photo))
    half_blue[:, 48:] = BLUE
    settings: dict[str, Any] = {**FLAT, "mask": left, "feather": 0}
    beside_blue, beside_photo = (
        impasto.stylize(picture, flat(BLUE), **settings).array[:, :12]
        for picture in (half_blue, photo)
    )
    assert np.abs(beside_blue - beside_photo).mean() < 0.02
    assert redness(beside_photo) < -0.3


# --- Regions --------------------------------------------------------------------------------------


def test_each_region_has_its_own_style_and_none_bleeds(photo, save, left):
    red, blue = save(flat(RED), "red.png"), save(flat(BLUE), "blue.png")
    both = impasto.stylize(photo, flat(BLUE), **FLAT, region={left: red}).array
    assert redness(both[:, :24]) > 0.5
    assert redness(both[:, 24:]) < -0.3
    only_blue = impasto.stylize(photo, flat(BLUE), **FLAT, region={left: blue}).array
    # The network sees a few pixels across the border; beyond nothing of the red is known.
    np.testing.assert_allclose(both[:, 38:], only_blue[:, 38:], atol=0.05)


def test_a_later_region_lies_over_an_earlier_one(photo, save, left):
    red, blue = save(flat(RED), "red.png"), save(flat(BLUE), "blue.png")
    white = save(Image.new("L", (40, 40), 255), "white.png")
    over = impasto.stylize(photo, photo, **FLAT, region={white: blue, left: red}).array
    under = impasto.stylize(photo, photo, **FLAT, region={left: red, white: blue}).array
    assert redness(over[:, :24]) > 0.5
    assert redness(over[:, 24:]) < -0.3
    assert redness(under[:, :24]) < -0.3, "the second covers everything"


def test_a_region_that_covers_everything_leaves_nothing_to_the_paintings(photo, painting, save):
    white = save(Image.new("L", (40, 40), 255), "white.png")
    covered = impasto.stylize(photo, flat(RED), **SMALL, region={white: str(painting)})
    alone = impasto.stylize(photo, painting, **SMALL)
    np.testing.assert_allclose(covered.array, alone.array, atol=0.01)


def test_regions_lie_within_the_mask(photo, save, left):
    right = save(half(right=True), "right.png")
    red = save(flat(RED), "red.png")
    result = impasto.stylize(photo, flat(BLUE), **FLAT, mask=right, region={left: red}, feather=0)
    np.testing.assert_array_equal(result.array[:, :22], photo_of(result)[:, :22])
    assert redness(result.array[:, 24:]) < -0.3


def test_a_region_counts_as_much_as_its_area(photo, painting):
    job = impasto.prepare(photo, painting, **SMALL)
    mask = torch.zeros_like(job.content.rgb[:, :1])
    mask[..., :16] = 1
    style = [Style(job.styles[0].rgb)]
    regions = [Region(style, mask), Region(style, 1 - mask)]
    objective = Objective(
        make_engine(job), OptimizeSettings.of(job.recipe), job.content.rgb, regions
    )
    small, large = (sum(loss.weight for _, loss in objective.style[i : i + 2]) for i in (0, 2))
    assert small == pytest.approx(1 / 3)
    assert large == pytest.approx(2 / 3)


# --- Style masks ----------------------------------------------------------------------------------


def red_and_blue() -> Image.Image:
    """A painting: red at the left, blue at the right."""
    image = flat(BLUE)
    image.paste(RED, (0, 0, 20, 40))
    return image


def half_transparent() -> Image.Image:
    """The same painting, with nothing to be seen of its blue half."""
    image = red_and_blue()
    image.putalpha(half().resize((40, 40), Image.Resampling.NEAREST))
    return image


def test_only_the_white_part_of_a_painting_counts(photo, save, left):
    right = save(half(right=True), "right.png")
    red, blue = (
        redness(impasto.stylize(photo, red_and_blue(), **FLAT, style_mask=mask).array)
        for mask in (left, right)
    )
    assert red > 0.5
    assert blue < -0.3


def test_a_transparent_part_is_as_a_black_one(photo, left):
    result = impasto.stylize(photo, half_transparent(), **FLAT)
    assert redness(result.array) > 0.5


def test_a_style_mask_does_not_bring_back_what_is_transparent(photo, save):
    clear = half_transparent()
    white = save(Image.new("L", (40, 40), 255), "white.png")
    job = impasto.prepare(photo, clear, **FLAT, style_mask=white)
    transparent = impasto.prepare(photo, clear, **FLAT)
    torch.testing.assert_close(job.styles[0].alpha, transparent.styles[0].alpha)
    mask = half(right=True)
    mask.paste(0, (0, 0, 36, 40))
    with pytest.raises(ImageError, match="there is nothing to paint with"):
        impasto.prepare(photo, clear, **FLAT, style_mask=save(mask, "right.png"))


def test_each_painting_has_a_style_mask_of_its_own(photo, save, left):
    right = save(half(right=True), "right.png")
    styles = [red_and_blue(), red_and_blue()]
    red, even = (
        redness(impasto.stylize(photo, styles, **FLAT, style_mask=masks).array)
        for masks in ((left, left), (left, right))
    )
    assert red > even + 0.2
    with pytest.raises(RecipeError, match="one style mask for each painting, 2, not 1"):
        impasto.prepare(photo, styles, **SMALL, style_mask=left)


# --- Colours --------------------------------------------------------------------------------------


def test_the_photos_own_colours(photo, painting):
    style = impasto.stylize(photo, painting, **SMALL, strength=0.5)
    content = impasto.stylize(photo, painting, **SMALL, strength=0.5, color="content")
    before, after, plain = lab(photo_of(content)), lab(content.array), lab(style.array)
    np.testing.assert_allclose(after[0], plain[0], atol=2e-3)  # lightness: as it was painted
    kept = np.abs(after[1:] - before[1:]).max(axis=0) < 2e-3
    assert kept.mean() > 0.9, "nearly all: some are too dark or too light for their chroma"
    assert np.abs(after[1:]).sum() <= 1.001 * np.abs(before[1:]).sum()
    assert np.corrcoef(after[1].ravel(), before[1].ravel())[0, 1] > 0.99
    assert np.abs(plain[1:] - before[1:]).mean() > 0.01


@pytest.mark.parametrize("color", ["match", "histogram"])
def test_a_recoloured_painting_paints_in_the_photos_colours(color, photo):
    style = impasto.stylize(photo, red_and_blue(), **SMALL)
    recolored = impasto.stylize(photo, red_and_blue(), **SMALL, color=color)

    def off(result: impasto.Result) -> float:
        means = lab(result.array)[1:].mean((1, 2)) - lab(photo_of(result))[1:].mean((1, 2))
        return float(np.abs(means).max())

    assert off(recolored) < 0.5 * off(style)


# --- Underpainting --------------------------------------------------------------------------------

UNPAINTED: dict[str, Any] = {**SMALL, "style_weight": 0, "content_weight": 1, "tv_weight": 0}
"""All that is left of a picture is what the photo was made into."""


def test_an_underpainting_is_the_photo_in_the_paintings_palette(photo, painting):
    wanted = lab(
        impasto.prepare(photo, painting, **SMALL).styles[0].rgb[0].permute(1, 2, 0).numpy()
    )

    def off(**settings: Any) -> float:
        result = impasto.stylize(photo, painting, **UNPAINTED, **settings)
        return float(np.abs(lab(result.array).mean((1, 2)) - wanted.mean((1, 2))).sum())

    none, half, whole, weak = (
        off(), off(underpaint=0.5), off(underpaint=1), off(underpaint=1, strength=0.5)
    )  # fmt: skip
    assert whole < 0.15 * none
    assert whole < half < none
    assert weak == pytest.approx(half, rel=0.05)
    photos = impasto.stylize(photo, painting, **UNPAINTED)
    shapes = impasto.stylize(photo, painting, **UNPAINTED, underpaint=1)
    lightness, before = lab(shapes.array)[0], lab(photos.array)[0]
    assert np.corrcoef(lightness.ravel(), before.ravel())[0, 1] > 0.9


def test_each_region_is_underpainted_in_its_own_paintings_colours(photo, save, left):
    settings: dict[str, Any] = {**UNPAINTED, "underpaint": 1, "feather": 0}
    red = save(flat(RED), "red.png")
    both = impasto.stylize(photo, half_transparent(), **settings, region={left: str(red)}).array
    assert redness(both[:, :22]) > 0.5
    assert redness(both[:, 26:]) > 0.5, "the painting's blue half is transparent"
    blue = impasto.stylize(photo, flat(BLUE), **settings, region={left: str(red)}).array
    assert redness(blue[:, 26:]) < -0.3


def test_what_a_mask_hides_does_not_count_for_the_underpainting(photo, painting, left):
    half_black = np.array(Image.open(photo))
    half_black[:, 48:] = 0
    settings: dict[str, Any] = {**UNPAINTED, "underpaint": 1, "mask": left, "feather": 0}
    beside_black, beside_photo = (
        impasto.stylize(picture, painting, **settings).array[:, :12]
        for picture in (half_black, photo)
    )
    assert np.abs(beside_black - beside_photo).mean() < 0.02


# --- Going on from a checkpoint -------------------------------------------------------------------


def test_a_resumed_run_has_its_masks_regions_and_start(photo, painting, save, left, tmp_path):
    settings: dict[str, Any] = {
        **SMALL, "size": 96, "scales": 2, "steps": 6, "mask": save(half(right=True), "right.png"),
        "feather": 30, "region": {left: str(painting)}, "style_mask": left, "color": "content",
        "init": save(flat(RED), "start.png"), "underpaint": 0.5, "detail": 0.5,
    }  # fmt: skip
    whole = impasto.stylize(photo, painting, **settings)
    for stop in (1, 5):
        for progress in impasto.iterate(photo, painting, **settings):
            if progress.step == stop:
                checkpoint.save(progress, tmp_path / f"{stop}.checkpoint")
                break
    for path in tmp_path.glob("*.png"):
        path.unlink()  # the checkpoint needs nothing else
    for stop in (1, 5):
        *_, last = impasto.resume(tmp_path / f"{stop}.checkpoint")
        np.testing.assert_array_equal(last.result().array, whole.array)
        assert last.result().encode() == whole.encode()


# --- Together -------------------------------------------------------------------------------------


@pytest.mark.parametrize("style_loss", ["gram", "moments", "w2", "swd", "nearest", "w2:1,nearest"])
def test_every_loss_paints_in_regions(style_loss, photo, painting, save, left):
    settings: dict[str, Any] = {
        **SMALL,
        "steps": 3,
        "style_loss": style_loss,
        "balance": "gradient",
    }
    result = impasto.stylize(
        photo, painting, **settings, region={left: save(flat(RED), "red.png")}, feather=5
    )
    assert np.isfinite(result.array).all()
    assert result.losses.last["style"] < result.losses.first["style"]


def test_masks_are_files():
    for settings in ({"mask": "-"}, {"region": {"-": "a.jpg"}}, {"region": {"m.png": "-"}}):
        with pytest.raises(RecipeError, match="should be files, not '-'"):
            build(settings)
