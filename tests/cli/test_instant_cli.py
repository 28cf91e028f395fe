from __future__ import annotations

import json

import numpy as np
import pytest
from old_recipes import INSTANT_RECIPE
from PIL import Image, PngImagePlugin

from impasto.base.folders import preset_folder
from impasto.images import metadata
from impasto.networks.styles import NAMES
from impasto.settings.methods import METHODS


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
    names = [line.split()[0] for line in done.out.splitlines()]
    assert set(NAMES) < set(names)
    assert Image.open("styles.png").width > 1000
    assert [row["name"] for row in json.loads(impasto("styles", "--json").out)] == names
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
        (["--fast", "--checkpoint", "run.ckpt"], "can't be gone on with; leave out --checkpoint"),
        (
            ["--fast", "--save-every", "5"],
            "has no steps; leave out --save-every",
        ),
        (["--fast", "--print", "A99"], "a paper size is like"),
        (["--fast", "--print", "A4", "--dpi", "5"], "dpi should be"),
        (["--style", "terracotta"], "can't be blended with a painting"),
        (["--style", "terracotta", "--preset", "studio"], "is a style of the method instant"),
        (["--fast", "--variations", "2"], "has no variations"),
        (["--preset", "instant", "--variations", "2"], "has no variations"),
        (["--preset", "instant", "--grid", "seed=1,2"], "has no variations"),
        (["--fast", "--preset", "studio"], "isn't for the method instant"),
        (["--weights", "magenta-predict"], "isn't an encoder"),
        (["--style", "mona-lisa"], "nor a style of that name"),
        (["--method", "magic"], "there is no method 'magic'; choose one of: optimize, instant"),
        (["--fast", "--size", "20"], "size should be at least 32"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, sentence, impasto, photo, painting):
    assert sentence in impasto(photo, painting, *arguments, "-o", "bad.png").sentence()


def test_a_grid_of_a_built_in_style(impasto, photo):
    swirl = [photo, "--style", "starry-swirl", "--grid", "strength=0.5,1"]
    assert impasto(*swirl, "-o", "swirls.png").code == 0


def test_a_picture_with_the_settings_of_all_methods_is_made_again(impasto, photo, painting):
    assert impasto(photo, painting, "--preset", "instant", "-o", "first.png").code == 0
    with Image.open("first.png") as picture:
        note = json.loads(picture.info[metadata.PNG_KEY])
        recipe = {**INSTANT_RECIPE, "precision": note["recipe"]["precision"]}
        text = PngImagePlugin.PngInfo()
        text.add_text(metadata.PNG_KEY, metadata.to_text({**note, "recipe": recipe}))
        picture.save("old.png", pnginfo=text)
    done = impasto("--recipe", "old.png", "-o", "again.png", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["recipe"] == {
        name: recipe[name] for name in METHODS["instant"].settings.model_fields
    }
    first, again = Image.open("first.png"), Image.open("again.png")
    assert (np.asarray(first) == np.asarray(again)).all()
    refused = impasto("--recipe", "old.png", "--steps", "5", "-o", "refused.png")
    assert "steps means nothing to the method instant" in refused.sentence()


OWN_PRESET = """
about = "a look of my own"
method = "instant"
strength = 0.5
steps = 50
style_layers = "block1_conv1,block2_conv1:0.5"
init = "noise"
"""


@pytest.mark.parametrize("base", ["", 'preset = "draft"', 'preset = "instant"'])
def test_a_preset_of_ones_own_may_have_settings_of_the_other_method(
    base, impasto, photo, painting, tmp_path
):
    folder = preset_folder()
    assert folder is not None
    folder.mkdir(parents=True)
    for path in (folder / "mine.toml", tmp_path / "mine.toml"):
        path.write_text(base + OWN_PRESET)
    assert "a look of my own" in impasto("presets").out
    pictures = []
    for preset in ("mine", "mine.toml"):
        done = impasto(photo, painting, "--preset", preset, "-o", f"by_{preset}.png", "--json")
        assert done.code == 0, done.err
        recipe = json.loads(done.out)["recipe"]
        assert (recipe["preset"], recipe["method"], recipe["strength"]) == (preset, "instant", 0.5)
        assert set(recipe) == set(METHODS["instant"].settings.model_fields)
        pictures.append(np.asarray(Image.open(f"by_{preset}.png")))
    assert (pictures[0] == pictures[1]).all()
    done = impasto(photo, painting, "--recipe", "mine.toml", "-o", "by_recipe.png", "--json")
    assert json.loads(done.out)["recipe"]["method"] == "instant"
    refused = impasto(photo, painting, "--preset", "mine", "--method", "optimize", "-o", "no.png")
    assert "the preset mine isn't for the method optimize" in refused.sentence()


def test_a_preset_of_optimize_may_have_settings_of_instant(impasto, photo, painting, tmp_path):
    look = 'preset = "draft"\nsize = 64\nsteps = 2\nstatistics = "thumbnail"\n'
    (tmp_path / "look.toml").write_text(look)
    done = impasto(photo, painting, "--preset", "look.toml", "-o", "a.png", "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert (report["recipe"]["method"], report["steps"]) == ("optimize", 2)
    assert "statistics" not in report["recipe"]
