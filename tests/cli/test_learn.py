"""impasto learn: a style file from one painting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image, ImageOps
from style_files import style_bytes

from impasto.styles import style_file

QUICK = ("--steps", 2, "--crop", 128, "--steadiness", 1)


def info_of(path):
    return style_file.read_parameters(path.read_bytes(), path.name)[0]


def test_a_painting_becomes_a_style_file_that_paints(impasto, painting, photo, tmp_path):
    learned = impasto(
        "learn", painting, "-o", "swirl.style", *QUICK, "--preview", "sheet.png",
        "--author", "Ada", "--licence", "CC0-1.0",
    )  # fmt: skip
    assert (learned.code, learned.out) == (0, "swirl.style\n")
    assert "learning" in learned.err
    assert "2 steps" in learned.err
    info = info_of(tmp_path / "swirl.style")
    assert (info.name, info.author, info.licence) == ("painting", "Ada", "CC0-1.0")
    assert info.training["done"]["steps"] == 2
    assert info.recipe["method"] == "optimize"
    assert info.sources[0].name == "painting.png"
    assert info.history[-1].step == 2
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000
    painted = impasto(photo, "swirl.style", "-o", "out.png")
    assert painted.code == 0
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (96, 64)


def test_by_default_it_goes_to_the_library(impasto, painting, photo):
    assert impasto("learn", painting, "--name", "My swirl", *QUICK, "--quiet").code == 0
    assert "My swirl" in impasto("styles").out
    assert impasto(photo, "--style", "My swirl").code == 0
    again = impasto("learn", painting, "--name", "My swirl", *QUICK)
    assert "exists already" in again.sentence()


def test_json(impasto, painting):
    done = impasto("learn", painting, "-o", "a.style", *QUICK, "--json", "--quiet")
    summary = json.loads(done.out)
    assert summary["steps"] == 2
    assert summary["losses"]["style"] > 0
    assert done.err == ""


def test_several_paintings(impasto, painting, photo, tmp_path):
    assert impasto("learn", f"{painting}:3", photo, "-o", "a.style", *QUICK).code == 0
    sources = info_of(tmp_path / "a.style").sources
    assert [source.weight for source in sources] == [0.75, 0.25]


def test_photos_of_the_user(impasto, painting, photo, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    photo.rename(folder / "photo.png")
    (folder / "._photo.png").write_bytes(b"a Mac's notes")
    done = impasto("learn", painting, "-o", "a.style", *QUICK, "--photos", folder)
    assert "with 13 photos" in done.err


def test_a_training_goes_on_from_its_checkpoint(impasto, painting, tmp_path):
    impasto("learn", painting, "-o", "whole.style", "--crop", 128, "--steps", 4)
    impasto(
        "learn",
        painting,
        "-o",
        "part.style",
        "--crop",
        128,
        "--steps",
        4,
        "--checkpoint",
        "c.ckpt",
        "--time",
        "0.01",
    )
    resumed = impasto("learn", "--resume", "c.ckpt", "-o", "part.style", "--steps", 4, "--force")
    assert resumed.code == 0
    assert info_of(tmp_path / "part.style").training["done"]["steps"] == 4


def test_ctrl_c_keeps_the_style(painting, tmp_path):
    command = [
        sys.executable,
        "-m",
        "impasto",
        "learn",
        str(painting),
        "-o",
        "a.style",
        "--crop",
        "128",
        "--checkpoint",
        "c.ckpt",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "step" in line and "step 0 " not in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(60) == 130
    assert "the style so far is kept" in rest
    assert "impasto learn --resume c.ckpt" in rest
    assert info_of(tmp_path / "a.style").training["done"]["steps"] > 0


@pytest.fixture
def negative(photo, tmp_path):
    with Image.open(photo) as image:
        ImageOps.invert(image).save(tmp_path / "negative.png")
    return tmp_path / "negative.png"


def test_a_pair_becomes_a_style_file_that_paints(impasto, photo, negative, tmp_path):
    learned = impasto(
        "learn", "--pair", photo, negative, "-o", "mine.style", *QUICK, "--preview", "sheet.png"
    )
    assert (learned.code, learned.out) == (0, "mine.style\n")
    assert "negative.png fits" in learned.err
    assert info_of(tmp_path / "mine.style").kind == "pair"
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000
    assert impasto(photo, "mine.style", "-o", "out.png").code == 0


def test_a_pair_of_different_pictures_leaves_the_style_and_says_so(
    impasto, photo, painting, tmp_path
):
    learned = impasto("learn", "--pair", photo, painting, "-o", "mine.style", *QUICK)
    assert learned.code == 0
    assert "painting.png doesn't show what" in learned.err
    assert info_of(tmp_path / "mine.style").kind == "painting"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--pair", "photo.png", "nowhere.png"), "nowhere.png: there is no such file"),
        (("--pair", "nowhere.png", "painting.png"), "nowhere.png: there is no such file"),
        (("--pair", "photo.png", "tiny.png"), "at least 64 px on each side"),
        (("--pair", "photo.png", "text.txt"), "text.txt"),
        (("--pair", "photo.png"), "--pair"),
        (("painting.png", "--pair", "photo.png", "painting.png"), "either paintings or --pair"),
        (("--pair", "photo.png", "painting.png", "--resume", "text.txt"), "--resume goes on with"),
        ((), "a painting to learn from is needed"),
        (("nowhere.jpg",), "there is no such file"),
        (("painting.png", "--photos", "nowhere"), "no such folder of photos"),
        (("painting.png", "--photos", "empty"), "has no photos in it"),
        (("painting.png", "--time", "soon"), "a time is a number of seconds"),
        (("painting.png", "--steps", "0"), "steps: "),
        (("painting.png", "--crop", "100"), "crop: "),
        (("painting.png", "--batch", "many"), "batch: "),
        (("painting.png", "--name", "../../x"), "can't be the name of a style"),
        (("painting.png", "-o", "no/folder/a.style"), "no/folder"),
        (("tiny.png",), "at least 64 px on each side"),
        (("text.txt",), "text.txt"),
        (("random.style",), "has learned already"),
        (("painting.png", "--preset", "instant"), "a training needs a recipe of the method"),
        (("--resume", "nowhere.ckpt"), "there is no such checkpoint"),
        (("--resume", "text.txt"), "isn't a checkpoint of a training"),
        (("painting.png", "--resume", "text.txt"), "--resume goes on with the paintings"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(impasto, photo, painting, tmp_path, arguments, sentence):
    (tmp_path / "empty").mkdir()
    (tmp_path / "random.style").write_bytes(style_bytes())
    (tmp_path / "text.txt").write_text("not an image, and not a checkpoint either")
    Image.new("RGB", (60, 200), "red").save(tmp_path / "tiny.png")
    has_length = {"--time", "--steps", "--resume"} & {*arguments}
    length = () if has_length else ("--time", "0.01")  # what isn't refused ends soon
    assert sentence in impasto("learn", *arguments, *length).sentence()


def test_a_style_file_of_a_killed_training_is_whole(painting, tmp_path):
    command = [
        sys.executable,
        "-m",
        "impasto",
        "learn",
        str(painting),
        "-o",
        "a.style",
        "--crop",
        "128",
        "--checkpoint",
        "c.ckpt",
        "--checkpoint-every",
        "0",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "c.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = subprocess.run(
        [*command[:4], "--resume", "c.ckpt", "-o", "a.style", "--steps", "9999", "--time", "0.1"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    assert info_of(tmp_path / "a.style").training["done"]["steps"] > 0
