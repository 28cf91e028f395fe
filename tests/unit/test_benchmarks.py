"""Every benchmark runs at toy size, so that a refactoring cannot break one unnoticed."""

from __future__ import annotations

import importlib
import json
import shlex
import sys

import pytest
from conftest import PAINTING, PHOTO, ROOT
from PIL import Image

FOLDER = ROOT / "benchmarks"
TOY_ARGUMENTS = {
    "convergence": "--pairs astronaut --size 48 --seconds 0.2 --plot plot.png",
    "gallery": "--preset instant --size 48 --photos photos --paintings paintings --into gallery",
    "instant": "--sizes 64x48 --photos 2 --rounds 1 --starts 0",
    "keyframes": "--painting paintings/image.png --preset instant --seconds 0.3 --learn-time 1s",
    "learn": "--paintings cafe_terrace --photos rocket.jpg --steps 1 --crop 128 --sizes 64"
    " --rounds 1 --sheets sheets",
    "look": "'toy:--steps 2' --only astronaut_pere --size 48 --into look",
    "memory": "--sizes 64 --caps 1",
    "pairs": "--artists cutout --held-out photos/image.png --size 128 --steps 1 --crop 128"
    " --into sheets",
    "parity": "--steps 1",
    "poster": "--megapixels 0.01,0.02",
    "precision": "--pairs astronaut --size 48 --steps 1",
    "scaling": "--sizes 64",
    "step": "--sizes 64 --presets tutorial,studio --kernels auto,autograd --runs draft:48",
    "thumbnails": "--into thumbnails",
    "video": "--seconds 0.1 --clips cut --paintings 1 --sizes 64x48",
    "winograd": "--size 64x48 --rounds 1",
}
NO_BENCHMARKS = {"artists", "common", "peer_tutorial"}
"""Shared code, and the script that runs in TensorFlow's own environment."""


def test_every_benchmark_is_tested():
    assert {path.stem for path in FOLDER.glob("*.py")} == {*TOY_ARGUMENTS, *NO_BENCHMARKS}


@pytest.mark.parametrize("name", TOY_ARGUMENTS)
def test_a_benchmark_runs(name, tmp_path, monkeypatch, capsys):
    for folder, image in (("photos", PHOTO), ("paintings", PAINTING)):
        (tmp_path / folder).mkdir()
        Image.open(image).resize((64, 48)).save(tmp_path / folder / "image.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(FOLDER))
    arguments = shlex.split(TOY_ARGUMENTS[name])
    if name != "thumbnails":
        arguments += ["--output", "figures.json"]
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    try:
        importlib.import_module(name).main()
    finally:
        for module in {*TOY_ARGUMENTS, *NO_BENCHMARKS}:
            sys.modules.pop(module, None)
    if name == "thumbnails":
        assert len(list((tmp_path / "thumbnails").iterdir())) == 26
        return
    written = (tmp_path / "figures.json").read_text()
    assert '"error"' not in written, capsys.readouterr().out
    figures = json.loads(written)
    assert figures["machine"]["torch"]
    assert len(figures) > 1
