"""``impasto texture`` and ``impasto reconstruct``, as a person would use them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from PIL import Image

QUICK = ("--steps", "2", "--scales", "1")


def test_a_texture_lands_beside_the_painting_and_makes_itself_again(impasto, painting, tmp_path):
    ran = impasto("texture", painting, "--size", "64x48", "--seamless", "yes", *QUICK)
    assert ran.code == 0, ran.err
    made = tmp_path / "painting_texture.png"
    assert ran.out.strip() == str(made)
    assert Image.open(made).size == (64, 48)
    again = impasto("--recipe", made, "-o", tmp_path / "again.png")
    assert again.code == 0, again.err
    assert made.read_bytes() == (tmp_path / "again.png").read_bytes()


def test_a_texture_of_two_paintings(impasto, painting, photo, tmp_path):
    out = tmp_path / "out.webp"
    ran = impasto("texture", f"{painting}:3", photo, "--size", 48, *QUICK, "-o", out, "--json")
    assert json.loads(ran.out)["width"] == json.loads(ran.out)["height"] == 48
    assert json.loads(ran.out)["losses"]["last"]["content"] == 0
    assert Image.open(out).size == (48, 48)


def test_a_dry_run_of_a_texture(impasto, painting, tmp_path):
    text = impasto("texture", painting, "--size", "96x64", "--dry-run").out
    assert "painting_texture.png" in text
    assert "96×64 px" in text
    assert not (tmp_path / "painting_texture.png").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("texture", "painting.png", "--size", "big"), "WIDTHxHEIGHT, as in 1024x512"),
        (("texture", "painting.png", "--size", "64x"), "WIDTHxHEIGHT, as in 1024x512"),
        (("texture", "painting.png", "--size", "64x8"), "64×8 px is too small"),
        (("texture", "painting.png", "--size", "99999"), "size should be less than or equal"),
        (("texture", "painting.png", "--size", "32768"), "of memory"),
        (("texture", "painting.png", "--seamless", "perhaps"), "seamless should be"),
        (("texture", "none.png"), "none.png: there is no such"),
        (("texture",), "Missing argument"),
        (("texture", "painting.png", "-o", "-", "--json"), "can't both go to standard output"),
        (("reconstruct", "none.png"), "none.png: there is no such"),
        (("reconstruct", "painting.png", "--layers", "block9_conv1"), "no layer 'block9_conv1'"),
        (("reconstruct", "painting.png", "--from", "colour"), "'colour' is not one of"),
        (("reconstruct", "painting.png", "--layers", "pool1", "-o", "painting.png"), "exists"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(arguments, expected, impasto, painting):
    assert expected in impasto(*arguments).sentence()


@pytest.mark.parametrize("term", ["content", "style"])
def test_one_reconstruction(term, impasto, photo, tmp_path):
    small = ("--size", "48", "--steps", "2")
    ran = impasto("reconstruct", photo, "--from", term, "--layers", "conv1_1,conv2_1", *small)
    made = tmp_path / f"photo_{term}.png"
    assert ran.out.strip() == str(made), ran.err
    assert Image.open(made).size == (48, 32)
    again = impasto("--recipe", made, "-o", tmp_path / "again.png")
    assert again.code == 0, again.err
    assert made.read_bytes() == (tmp_path / "again.png").read_bytes()


def test_the_papers_figure(impasto, photo, tmp_path):
    ran = impasto("reconstruct", photo, "--from", "style", "--size", "48", "--steps", "1")
    assert ran.code == 0, ran.err
    assert ran.out.strip() == str(tmp_path / "photo_style.png")
    width, height = Image.open(tmp_path / "photo_style.png").size
    assert width > 6 * 48 > 2 * height  # the photo and five pictures in a row
    assert len(list((tmp_path / "photo_style-pictures").iterdir())) == 5


def test_ctrl_c_keeps_the_texture(painting, tmp_path):
    out = tmp_path / "out.png"
    process = subprocess.Popen(
        [sys.executable, "-m", "impasto", "texture", painting, "--size", "128x96", "-o", out],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for line in process.stderr:
        if line.startswith(b"step"):
            break
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert Image.open(out).size == (128, 96)
