from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from impasto.networks.styles import NAMES


def test_fast_is_the_method_instant(impasto, photo, painting):
    done = impasto(photo, painting, "--fast", "-o", "fast.png", "--json")
    assert done.code == 0
    report = json.loads(done.out)
    assert report["recipe"]["method"] == "instant"
    assert report["losses"] is None
    assert (report["width"], report["height"]) == (96, 64), "the photo's own size"
    assert impasto(photo, painting, "--method", "instant", "-o", "again.png").code == 0
    assert (np.asarray(Image.open("fast.png")) == np.asarray(Image.open("again.png"))).all()


def test_a_picture_is_made_again_from_its_own_recipe(impasto, photo, painting):
    assert impasto(photo, painting, "--fast", "--mix", "0.8", "-o", "first.png").code == 0
    assert impasto("--recipe", "first.png", "-o", "second.png").code == 0
    assert (np.asarray(Image.open("first.png")) == np.asarray(Image.open("second.png"))).all()


def test_a_picture_of_a_built_in_style_too(impasto, photo):
    assert impasto(photo, "--style", "starry-swirl:0.6", "--style", "terracotta:0.4").code == 0
    assert impasto("--recipe", "photo_starry-swirl.png", "-o", "again.png").code == 0
    first, again = Image.open("photo_starry-swirl.png"), Image.open("again.png")
    assert (np.asarray(first) == np.asarray(again)).all()


def test_styles_are_listed_and_drawn(impasto):
    done = impasto("styles", "--sheet", "styles.png")
    assert done.out.split() == list(NAMES)
    assert Image.open("styles.png").width > 1000
    assert json.loads(impasto("styles", "--json").out) == list(NAMES)
    assert "exists already" in impasto("styles", "--sheet", "styles.png").sentence()


def test_a_print_has_its_size_and_says_so(impasto, photo, painting):
    done = impasto(photo, painting, "--fast", "--print", "5x5cm", "--dpi", "100", "-o", "print.jpg")
    assert done.code == 0
    image = Image.open("print.jpg")
    assert image.width == 197
    assert [round(each) for each in image.info["dpi"]] == [100, 100]


def test_a_dry_run_says_sizes_memory_and_time(impasto, photo, painting):
    done = impasto(photo, painting, "--fast", "--size", "1024", "--dry-run", "--json")
    report = json.loads(done.out)
    assert [scale["width"] for scale in report["scales"]] == [512, 1024]
    assert report["memory_mb"] > 400
    assert "1024×683 px" in impasto(photo, painting, "--fast", "--size", "1024", "--dry-run").out


def test_a_film_and_a_grid_of_it(impasto, photo, painting):
    assert (
        impasto(photo, painting, "--fast", "--timelapse", "film.gif", "-o", "filmed.png").code == 0
    )
    assert (
        impasto(photo, painting, "--fast", "--grid", "strength=0.5,1", "-o", "grid.png").code == 0
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--fast", "--method", "optimize"], "exclude each other"),
        (["--fast", "--steps", "5"], "steps means nothing to the method instant"),
        (["--fast", "--checkpoint", "run.ckpt"], "needs no --checkpoint"),
        (["--fast", "--save-every", "5"], "needs no --save-every"),
        (["--fast", "--print", "A99"], "a paper size is like"),
        (["--fast", "--print", "A4", "--dpi", "5"], "dpi should be"),
        (["--style", "terracotta"], "can't be blended with a painting"),
        (["--style", "terracotta", "--preset", "studio"], "is a style of the method instant"),
        (["--fast", "--variations", "2"], "has no variations"),
        (["--fast", "--preset", "studio"], "isn't for the method instant"),
        (["--weights", "magenta-predict"], "isn't an encoder"),
        (["--style", "mona-lisa"], "nor a built-in style"),
        (["--method", "magic"], "method should be"),
        (["--fast", "--size", "20"], "size should be at least 32"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, sentence, impasto, photo, painting):
    assert sentence in impasto(photo, painting, *arguments, "-o", "bad.png").sentence()


def test_a_grid_of_a_built_in_style(impasto, photo):
    swirl = [photo, "--style", "starry-swirl", "--grid", "strength=0.5,1"]
    assert impasto(*swirl, "-o", "swirls.png").code == 0
