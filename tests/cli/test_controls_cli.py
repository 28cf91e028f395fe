"""Masks, regions and colours on the command line: used as meant, and wrongly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

QUICK = ("--preset", "tutorial", "--size", "48", "--steps", "2")


@pytest.fixture
def files(photo, painting, tmp_path):
    """A folder with photo.png, painting.png, and masks of it: left.png, right.png, black.png."""
    for name, box in (
        ("left", (0, 0, 30, 40)),
        ("right", (30, 0, 60, 40)),
        ("black", (0, 0, 0, 0)),
    ):
        mask = Image.new("L", (60, 40))
        mask.paste(255, box)
        mask.save(tmp_path / f"{name}.png")
    Image.new("RGB", (40, 40), (200, 30, 30)).save(tmp_path / "red.png")
    Image.new("RGB", (40, 40), (30, 30, 200)).save(tmp_path / "blue.png")
    (tmp_path / "text.png").write_text("This is not a picture.")
    return tmp_path


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_a_mask_limits_where_is_painted(impasto, files):
    ran = impasto("photo.png", "painting.png", *QUICK, "--mask", "left.png", "-o", "masked.png")
    assert ran.code == 0
    impasto("photo.png", "painting.png", *QUICK, "--strength", "0", "-o", "photo48.png")
    change = np.abs(pixels("masked.png") - pixels("photo48.png"))
    assert change[:, 26:].max() == 0
    assert change[:, :22].mean() > 1


def test_regions_have_paintings_of_their_own(impasto, files):
    run = (*QUICK, "--steps", "8", "--style-layers", "block1_conv1", "--content-weight", "0")
    regions = ("--region", "left.png=red.png", "--region", "right.png=blue.png")
    assert impasto("photo.png", "painting.png", *regions, *run, "-o", "both.png").code == 0
    redness = pixels("both.png")[..., 0] - pixels("both.png")[..., 2]
    assert redness[:, :20].mean() > redness[:, 28:].mean() + 20


def test_a_picture_with_masks_makes_itself_again(impasto, files):
    flags = (
        "--mask", "right.png", "--region", "left.png=red.png", "--style-mask", "left.png",
        "--style-mask", "right.png", "--feather", "20", "--color", "content", "--style-scale", "2",
        "--strength", "1.5", "--init", "painting.png",
    )  # fmt: skip
    images = ("photo.png", "painting.png:2", "red.png")
    first = impasto(*images, *QUICK, *flags, "-o", "first.png", "--json")
    assert first.code == 0, first.err
    recipe = json.loads(first.out)["recipe"]
    assert recipe["region"] == {"left.png": "red.png"}
    assert recipe["style_mask"] == ["left.png", "right.png"]
    assert impasto("--recipe", "first.png", "-o", "again.png").code == 0
    assert (files / "first.png").read_bytes() == (files / "again.png").read_bytes()


def test_a_picture_with_masks_is_gone_on_with(impasto, files):
    flags = (*QUICK, "--mask", "left.png", "--region", "right.png=red.png")
    impasto("photo.png", "painting.png", *flags, "-o", "part.png", "--checkpoint", "c")
    impasto("photo.png", "painting.png", *flags, "--steps", "4", "-o", "whole.png")
    (files / "left.png").unlink()
    assert impasto("--resume", "c", "--steps", "4", "-o", "resumed.png").code == 0
    np.testing.assert_array_equal(pixels("resumed.png"), pixels("whole.png"))


def test_masks_in_a_recipe_file(impasto, files):
    (files / "look.toml").write_text(
        'preset = "tutorial"\nsize = 48\nsteps = 1\nmask = "left.png"\n'
        '[region]\n"right.png" = "red.png"\n'
    )
    ran = impasto("photo.png", "painting.png", "--recipe", "look.toml", "--json")
    recipe = json.loads(ran.out)["recipe"]
    assert (recipe["mask"], recipe["region"]) == ("left.png", {"right.png": "red.png"})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--mask", "none.png"), "none.png: there is no such file"),
        (("--mask", "text.png"), "text.png isn't an image of a known type"),
        (("--mask", "."), "is a folder, not an image"),
        (("--mask", "black.png"), "black.png is black everywhere: nothing would be painted"),
        (("--mask", "-"), "should be files, not '-'"),
        (("--mask", ""), "should be files, not ''"),
        (("--style-mask", ""), "should be files, not ''"),
        (("--style-mask", "none.png"), "none.png: there is no such file"),
        (("--style-mask", "text.png"), "text.png isn't an image of a known type"),
        (("--style-mask", "black.png"), "black.png is black everywhere"),
        (("--style-mask", "-"), "should be files, not '-'"),
        (
            ("--style-mask", "left.png", "--style-mask", "right.png"),
            "there should be one style mask for each painting, 1, not 2",
        ),
        (("--region", "left.png"), "a region is MASK=PAINTING"),
        (("--region", "=red.png"), "a region is MASK=PAINTING"),
        (("--region", "left.png="), "a region is MASK=PAINTING"),
        (("--region", ""), "a region is MASK=PAINTING"),
        (("--region", "none.png=red.png"), "none.png: there is no such file"),
        (("--region", "left.png=none.png"), "none.png: there is no such file"),
        (("--region", "text.png=red.png"), "text.png isn't an image"),
        (("--region", "left.png=text.png"), "text.png isn't an image"),
        (("--region", "black.png=red.png"), "black.png is black everywhere"),
        (("--region", "-=red.png"), "should be files, not '-'"),
        (("--region", "left.png=-"), "should be files, not '-'"),
        (
            ("--region", "left.png=red.png", "--region", "left.png=painting.png"),
            "two regions have the same mask",
        ),
        (("--feather", "-1"), "feather should be greater than or equal to 0"),
        (("--feather", "51"), "feather should be less than or equal to 50"),
        (("--feather", "nan"), "feather should be"),
        (("--strength", "-1"), "strength should be greater than or equal to 0"),
        (("--strength", "nan"), "strength should be"),
        (("--strength", "inf"), "strength should be less than or equal to 100"),
        (("--style-scale", "0"), "style_scale should be greater than or equal to 0.1"),
        (("--style-scale", "nan"), "style_scale should be"),
        (("--color", "photo"), "color should be 'style', 'content', 'match' or 'histogram'"),
        (("--style-loss", "grams"), "no style loss 'grams'; did you mean 'gram'"),
        (("--style-loss", "gram:x"), "weight isn't a number"),
        (("--style-loss", "gram:0"), "style losses' weights are all zero"),
        (("--style-loss", ""), "no style loss was named"),
        (("--content-loss", "feature"), "content_loss should be 'features' or 'self-similarity'"),
        (("--balance", "equal"), "balance should be 'weights' or 'gradient'"),
        (("--work-size", "8"), "work_size should be greater than or equal to 32"),
        (("--detail", "2"), "detail should be less than or equal to 1"),
        (("--scales", "-1"), "scales should be greater than or equal to 0"),
    ],
)
def test_controls_that_make_no_sense(arguments, sentence, impasto, files):
    before = sorted(files.iterdir())
    assert sentence in impasto("photo.png", "painting.png", *QUICK, *arguments).sentence()
    assert sorted(files.iterdir()) == before


def test_a_painting_that_is_transparent_everywhere(impasto, files):
    Image.new("RGBA", (40, 40), (200, 30, 30, 0)).save("clear.png")
    sentence = impasto("photo.png", "clear.png", *QUICK).sentence()
    assert sentence.startswith("clear.png is transparent or masked: there is nothing")
    region = ("--region", "left.png=clear.png")
    assert "clear.png is transp" in impasto("photo.png", "painting.png", *QUICK, *region).sentence()


def test_the_photo_and_a_mask_cannot_both_be_standard_input(impasto, files):
    sentence = impasto("-", "painting.png", *QUICK, "--mask", "-").sentence()
    assert "should be files, not '-'" in sentence


def test_regions_are_in_the_help(impasto):
    assert "MASK=PAINTING" in impasto("--help").out
