"""``--variations`` and ``--grid``: many pictures, one sheet; and the same from Python."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

import impasto as library
from impasto.base.errors import RecipeError
from impasto.methods.optimize.settings import OptimizeSettings

QUICK = ("--preset", "tutorial", "--size", "48", "--steps", "2")


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def shows(sheet, picture) -> bool:
    """Whether the picture is somewhere on the sheet, pixel by pixel."""
    large, small = pixels(sheet), pixels(picture)
    height, width, _ = small.shape
    corners = np.argwhere((large == small[0, 0]).all(axis=2))
    return any(np.array_equal(large[y : y + height, x : x + width], small) for y, x in corners)


def test_variations_differ_and_are_kept_in_full(impasto, photo, painting, tmp_path):
    ran = impasto(photo, painting, *QUICK, "--variations", "3", "--seed", "5")
    assert ran.code == 0
    sheet, folder = tmp_path / "photo_painting_variations.png", "photo_painting_variations-pictures"
    assert ran.out.strip() == str(sheet)
    assert "every seed starts from noise of its own" in ran.err
    assert "2 of 3: seed=6" in ran.err
    assert names(tmp_path / folder) == ["1_seed=5.png", "2_seed=6.png", "3_seed=7.png"]
    pictures = [tmp_path / folder / name for name in names(tmp_path / folder)]
    for one, other in itertools.combinations(pictures, 2):
        assert not np.array_equal(pixels(one), pixels(other))
    assert all(shows(sheet, picture) for picture in pictures)


def test_a_picture_of_a_series_is_the_one_its_recipe_makes(impasto, photo, painting, tmp_path):
    impasto(photo, painting, *QUICK, "--variations", "2", "-o", tmp_path / "sheet.png")
    second = tmp_path / "sheet-pictures/2_seed=1.png"
    assert impasto("--recipe", second, "-o", tmp_path / "again.png").code == 0
    assert second.read_bytes() == (tmp_path / "again.png").read_bytes()


GRIDS = [
    ("--grid", "content_weight=0,1e5", "seed=1,2,3"),
    ("--grid", "content_weight=0,1e5", "--grid", "seed=1,2,3"),
    ("--grid", "content-weight=0, 1e5", "seed=1,2,3"),
]


@pytest.mark.parametrize(("grid", "first"), [*zip(GRIDS, [True, True, False], strict=True)])
def test_a_grid_over_two_settings(grid, first, impasto, photo, painting, tmp_path):
    images = (photo, painting)
    arguments = (*images, *grid) if first else (*grid, *images)
    assert impasto(*arguments, *QUICK, "--init", "noise", "--quiet").code == 0
    folder = tmp_path / "photo_painting_grid-pictures"
    assert names(folder) == [
        "1_content_weight=0_seed=1.png", "2_content_weight=1e5_seed=1.png",
        "3_content_weight=0_seed=2.png", "4_content_weight=1e5_seed=2.png",
        "5_content_weight=0_seed=3.png", "6_content_weight=1e5_seed=3.png",
    ]  # fmt: skip
    sheet = tmp_path / "photo_painting_grid.png"
    assert all(shows(sheet, picture) for picture in folder.iterdir())
    image: Any = Image.open(folder / "6_content_weight=1e5_seed=3.png")
    note = json.loads(image.text["impasto"])
    assert (note["recipe"]["content_weight"], note["recipe"]["seed"]) == (1e5, 3)


def test_presets_and_layers_can_be_varied(impasto, photo, painting):
    settings = ("--size", "48", "--steps", "1", "--json", "--quiet")
    ran = impasto(photo, painting, "--grid", "preset=tutorial,gatys", "steps=1,2", *settings[:2])
    assert ran.code == 0
    grid = ("--grid", "content_layers=block4_conv2,block5_conv1:0.5")
    report = json.loads(impasto(photo, painting, *grid, *settings).out)
    assert [picture["varied"] for picture in report["pictures"]] == [
        {"content_layers": {"block4_conv2": 1.0}},
        {"content_layers": {"block5_conv1": 0.5}},
    ]


def test_json_has_the_sheet_and_a_report_on_each_picture(impasto, photo, painting, tmp_path):
    report = json.loads(impasto(photo, painting, *QUICK[:-2], "--grid", "steps=1,2", "--json").out)
    assert report["output"] == str(tmp_path / "photo_painting_grid.png")
    assert [picture["varied"] for picture in report["pictures"]] == [{"steps": 1}, {"steps": 2}]
    for picture in report["pictures"]:
        assert picture["recipe"]["steps"] == picture["steps"] == picture["varied"]["steps"]
        assert pixels(picture["output"]).shape == (32, 48, 3)


def test_the_format_is_that_of_the_sheet(impasto, photo, painting, tmp_path):
    ran = impasto(photo, painting, *QUICK, "--grid", "tv_weight=0,30", "-o", tmp_path / "sheet.jpg")
    assert ran.code == 0
    assert Image.open(tmp_path / "sheet.jpg").format == "JPEG"
    assert names(tmp_path / "sheet-pictures") == ["1_tv_weight=0.jpg", "2_tv_weight=30.jpg"]
    deep = impasto(photo, painting, *QUICK, "--grid", "tv_weight=0,30", "--bit-depth", "16")
    assert deep.code == 0
    folder = tmp_path / "photo_painting_grid-pictures"
    assert (folder / "1_tv_weight=0.png").read_bytes()[24] == 16


def test_the_sheet_on_standard_output(photo, painting, tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "impasto", "-", painting, *QUICK, "--variations", "2", "-o", "-"],
        input=photo.read_bytes(),
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    assert ran.stdout.startswith(b"\x89PNG")
    assert names(tmp_path) == ["painting.png", "photo.png"]


def test_everything_is_checked_before_the_first_run(impasto, photo, painting, tmp_path):
    before = names(tmp_path)
    there = tmp_path / "photo.png"
    for arguments, words in {
        ("--grid", "stepz=1,2"): "did you mean 'steps'",
        ("--grid", "steps=2,x"): "steps should be a valid integer",
        ("--grid", "steps=2,0"): "steps should be greater than or equal to 1",
        ("--grid", "size=64,33"): "would be 33×22 px",
        ("--grid", "steps="): "steps needs at least one value",
        ("--grid", "steps"): "--grid takes SETTING=A,B",
        ("--grid", "steps=1", "steps=2"): "varied twice",
        ("--grid", "steps=1", "seed=2", "size=64"): "one or two settings",
        ("--grid", "steps=1,2", "--steps", "3"): "both given and varied",
        ("--grid", "preset=gatys", "--preset", "gatys"): "both given and varied",
        ("--grid", "steps=1,2", "--variations", "2"): "choose one of them",
        ("--grid", "seed=1,2", "--init", "content"): "all seeds give the same picture",
        ("--variations", "2", "--init", "content"): "all seeds give the same picture",
        ("--variations", "2", "--seed", "x"): "seed should be a whole number",
        ("--variations", "2", "--save-every", "1"): "--save-every is for one run",
        ("--variations", "2", "--timelapse", "a.gif"): "--timelapse is for one run",
        ("--variations", "2", "--checkpoint", "run"): "--checkpoint is for one run",
        ("--variations", "2", "-o", there): "exists already",
        ("--variations", "2", "-o", "a.gif"): "no output format '.gif'",
    }.items():
        assert words in impasto(photo, painting, *arguments).sentence(), arguments
    assert "--resume is for one run" in impasto("--resume", "run", "--variations", "2").sentence()
    assert "0 is not in the range" in impasto(photo, painting, "--variations", "0").sentence()
    assert names(tmp_path) == before


def test_an_image_may_be_called_like_a_setting(impasto, photo, painting, tmp_path):
    odd = tmp_path / "steps=3"
    painting.rename(odd)
    ran = impasto("photo.png", "steps=3", *QUICK, "--grid", "tv_weight=0,30")
    assert ran.code == 0
    assert (tmp_path / "photo_steps=3_grid.png").exists()


def test_dry_run(impasto, photo, painting, tmp_path):
    before = names(tmp_path)
    text = impasto(photo, painting, *QUICK, "--variations", "4", "--dry-run", "--quiet").out
    for expected in ("photo_painting_variations.png", "pictures 4: seed=0 to seed=3", "time"):
        assert expected in text
    ran = impasto(photo, painting, *QUICK[:4], "--grid", "steps=1,2", "--dry-run", "--json")
    report = json.loads(ran.out)
    assert report["pictures"] == [{"steps": "1"}, {"steps": "2"}]
    assert report["seconds"] > 0
    assert names(tmp_path) == before


def test_a_failure_leaves_the_sheet_of_what_was_done(
    impasto, photo, painting, tmp_path, monkeypatch
):
    from impasto.base.errors import DivergenceError
    from impasto.library import api

    run, calls = api.run, []

    def fail_the_third_time(job, snapshot=None):
        calls.append(job)
        if len(calls) == 3:
            raise DivergenceError("the loss is not a number")
        return run(job, snapshot)

    monkeypatch.setattr(api, "run", fail_the_third_time)
    ran = impasto(photo, painting, *QUICK, "--variations", "4", "-o", "sheet.png", "--quiet")
    assert ran.sentence() == "the loss is not a number"
    assert ran.out.strip() == "sheet.png"
    assert len(names(tmp_path / "sheet-pictures")) == 2


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_leaves_the_sheet_of_what_was_done(times, photo, painting, tmp_path):
    process = subprocess.Popen(
        [
            sys.executable, "-m", "impasto", photo, painting, "--preset", "tutorial",
            "--size", "96", "--grid", "steps=2,100000,3", "-o", tmp_path / "sheet.png",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    for line in process.stderr:
        if line.startswith(b"step 0/100000"):
            break
    for _ in range(times):
        process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stdout.decode().strip() == str(tmp_path / "sheet.png")
    assert b"stopped after 1 of 3 pictures" in stderr
    assert b"Traceback" not in stderr
    assert names(tmp_path / "sheet-pictures") == ["1_steps=2.png"]
    assert shows(tmp_path / "sheet.png", tmp_path / "sheet-pictures/1_steps=2.png")


def test_ctrl_c_before_the_first_picture_is_done_leaves_nothing(photo, painting, tmp_path):
    before = names(tmp_path)
    process = subprocess.Popen(
        [
            sys.executable, "-m", "impasto", photo, painting, "--preset", "tutorial",
            "--size", "96", "--variations", "2", "-o", tmp_path / "sheet.png",
        ],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    for line in process.stderr:
        if line.startswith(b"step 0/"):
            break
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"stopped before there was a picture" in stderr
    assert names(tmp_path) == before


# --- From Python ----------------------------------------------------------------------------------


def test_variations_in_python(photo_image, painting_image):
    settings: dict[str, Any] = {"preset": "tutorial", "size": 48, "steps": 1}
    grid = {"content_weight": [0, 1e5], "seed": range(2)}
    settings["init"] = "noise"
    done = list(library.variations(photo_image, painting_image, grid=grid, **settings))
    assert [varied for varied, _ in done] == [
        {"content_weight": 0, "seed": 0},
        {"content_weight": 1e5, "seed": 0},
        {"content_weight": 0, "seed": 1},
        {"content_weight": 1e5, "seed": 1},
    ]
    for varied, result in done:
        recipe = OptimizeSettings.of(result.recipe)
        assert (recipe.content_weight, recipe.seed) == tuple(varied.values())
    alone = library.stylize(photo_image, painting_image, content_weight=1e5, seed=1, **settings)
    np.testing.assert_array_equal(done[3][1].array, alone.array)


def test_presets_may_be_varied_in_python(photo_image, painting_image):
    grid = {"preset": ["tutorial", "gatys"]}
    done = library.variations(photo_image, painting_image, grid=grid, size=48, steps=1)
    assert [result.recipe.preset for _, result in done] == ["tutorial", "gatys"]


def test_bad_values_are_refused_at_once_in_python(photo_image, painting_image):
    with pytest.raises(RecipeError, match="steps should be"):
        library.variations(photo_image, painting_image, grid={"steps": [1, 0]})
