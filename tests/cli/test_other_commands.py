from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from weight_files import digest_of, seeing_only, serve, write_torchvision

import impasto as package
from impasto.cli.app import COMMANDS
from impasto.cli.commands import doctor
from impasto.networks import weights
from impasto.settings.build import build

SLOW_IMPORTS = ("torch", "numpy", "PIL", "av", "cv2", "matplotlib", "fastapi")
"""Packages that take from a tenth of a second to seconds to import."""


def test_version_and_help_import_nothing_slow():
    arguments = [["--version"], ["--help"]]
    # ``doctor`` describes torch, and imports it first of all.
    arguments += [[name, "--help"] for name in COMMANDS if name != "doctor"]
    code = (
        "import json, sys\n"
        "from impasto.cli.app import main\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    try: main(arguments)\n"
        "    except SystemExit as stop: assert not stop.code, arguments\n"
        f"    imported = sys.modules.keys() & set({SLOW_IMPORTS})\n"
        "    assert not imported, (arguments, imported)"
    )
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_version(impasto):
    assert impasto("--version").out.strip() == f"impasto {package.__version__}"


def test_no_arguments_shows_the_help(impasto):
    ran = impasto()
    assert "CONTENT STYLE [STYLE ...]" in ran.out + ran.err


def test_presets(impasto, tmp_path):
    table = impasto("presets").out
    for name in ("tutorial", "gatys", "studio"):
        assert name in table
        text = impasto("presets", name).out
        (tmp_path / "mine.toml").write_text(text)
        assert build(recipe=tmp_path / "mine.toml")
    assert set(json.loads(impasto("presets", "--json").out)) >= {"tutorial", "gatys", "studio"}
    assert json.loads(impasto("presets", "gatys", "--json").out)["pooling"] == "avg"
    assert "did you mean 'gatys'" in impasto("presets", "gatis").sentence()


# --- inspect --------------------------------------------------------------------------------------


def test_inspect_prints_every_table(impasto, photo, painting, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = impasto("inspect", photo, painting, "--size", "64").out
    for expected in (
        "block1_conv1", "relu5_4", "pool3", "Style layers, of the style image",
        "Gram matrices, of the content image", "Content layers", "Total variation",
        "(1, 512, 512)", "(1, 64, 42, 64)",
    ):  # fmt: skip
        assert expected in text


def test_inspect_as_json(impasto, photo, painting):
    numbers = json.loads(impasto("inspect", photo, painting, "--size", "64", "--json").out)
    assert len(numbers["layers"]) == 21
    assert sum(layer["parameters"] for layer in numbers["layers"]) == 20_024_384
    first = numbers["style_layer_outputs"]["block1_conv1"]
    assert first["shape"] == [1, 64, 64, 51]
    assert first["min"] <= first["mean"] <= first["max"]
    assert numbers["gram_matrices"]["block5_conv1"]["shape"] == [1, 512, 512]
    assert set(numbers["content_layer_outputs"]) == {"block5_conv2"}
    assert numbers["stylized_total_variation"] is None


def test_inspect_draws_the_figures(impasto, photo, painting, tmp_path):
    figure = tmp_path / "figure.png"
    flags = ("--size", "64", "--figure", figure, "--stylized", painting, "--features", "--gram")
    ran = impasto("inspect", photo, painting, *flags)
    for name in ("figure.png", "figure-features.png", "figure-gram.png"):
        assert str(tmp_path / name) in ran.out.replace("\n", "")
        image = Image.open(tmp_path / name)
        assert min(image.size) > 200
        assert len(image.convert("L").getcolors(1 << 20)) > 50, "something is drawn"
    assert Image.open(figure).height > Image.open(figure).width, "three rows of two"
    assert "exists already" in impasto("inspect", photo, painting, *flags).sentence()
    assert impasto("inspect", photo, painting, *flags, "--force").code == 0


def test_inspect_compares_a_stylized_picture(impasto, photo, painting):
    ran = impasto(
        "inspect",
        photo,
        painting,
        "--size",
        "64",
        "--json",
        "--stylized",
        photo,
        "--preset",
        "gatys",
    )
    numbers = json.loads(ran.out)
    assert numbers["stylized_total_variation"] == numbers["total_variation"]
    assert set(numbers["content_layer_outputs"]) == {"block4_conv2"}


def test_inspect_refuses(impasto, photo, painting):
    assert "need --figure" in impasto("inspect", photo, painting, "--gram").sentence()
    assert "end in .png" in impasto("inspect", photo, painting, "--figure", "a.jpg").sentence()
    assert "no such file" in impasto("inspect", photo, "none.png").sentence()
    assert "Missing argument" in impasto("inspect", photo).sentence()


# --- classify and models --------------------------------------------------------------------------


def test_classify_without_weights_says_how_to_get_them(impasto, photo):
    sentence = impasto("classify", photo).sentence()
    assert "impasto models pull vgg19-keras-top" in sentence
    assert "--weights" in sentence


@pytest.fixture
def top_weights(tmp_path):
    """A tiny VGG-19 with its top that sees a tabby in everything."""
    write_torchvision(tmp_path / "tiny.pth", seeing_only(281))
    return tmp_path / "tiny.pth"


def test_classify_with_a_file(impasto, photo, top_weights):
    table = impasto("classify", photo, "--weights", top_weights).out
    assert "tabby" in table
    classes = json.loads(impasto("classify", photo, "--weights", top_weights, "--json").out)
    assert classes["classes"][0]["class"] == "tabby"
    assert classes["classes"][0]["probability"] > 0.8
    assert len(classes["classes"]) == 5
    top = impasto("classify", photo, "--weights", top_weights, "--top", "2", "--json").out
    assert len(json.loads(top)["classes"]) == 2


def test_classify_refuses(impasto, photo, painting):
    assert "no such weights file" in impasto("classify", photo, "--weights", "x.h5").sentence()
    assert "neither a Keras" in impasto("classify", photo, "--weights", painting).sentence()


def test_models(impasto, monkeypatch):
    rows = json.loads(impasto("models", "list", "--json").out)
    states = {row["name"]: row["state"] for row in rows}
    assert states["vgg19-caffe-q8"] == "ok"
    assert states["vgg19-keras-top"] == "missing"
    assert all(row["size"] > 1e5 and row["licence"] and row["source"] for row in rows)
    monkeypatch.setenv("COLUMNS", "160")
    assert "vgg19-keras-top" in impasto("models", "list").out
    assert "vgg19-caffe-q8: ok" in impasto("models", "verify").out
    assert impasto("models", "path", "vgg19-caffe-q8").out.endswith("q8.safetensors\n")
    assert "are missing" in impasto("models", "path", "vgg19-keras").sentence()
    assert "are missing" in impasto("models", "verify", "vgg19-keras").sentence()
    assert "in order" in impasto("models", "pull", "vgg19-caffe-q8").out
    assert "comes with impasto" in impasto("models", "rm", "vgg19-caffe-q8").sentence()
    assert "nothing to remove" in impasto("models", "rm", "vgg19-keras").sentence()
    assert "did you mean" in impasto("models", "pull", "vgg19-keras-tob").sentence()


def test_offline_is_respected(impasto, monkeypatch):
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    sentence = impasto("models", "pull", "vgg19-keras").sentence()
    assert "IMPASTO_OFFLINE forbids the network" in sentence


def test_pull_verify_and_remove(impasto, photo, monkeypatch, tmp_path, top_weights):
    """The whole way, from a server on loopback."""
    name = "vgg19-torchvision"
    with serve(tmp_path) as address:
        entry = replace(
            weights.CATALOGUE[name],
            url=f"{address}/tiny.pth",
            digest=digest_of(top_weights),
        )
        monkeypatch.setitem(weights.CATALOGUE, name, entry)
        pulled = impasto("models", "pull", name)
        assert pulled.out.strip() == str(entry.path)
        assert entry.path.read_bytes() == top_weights.read_bytes()
        assert "is here already" in impasto("models", "pull", name).out
        assert f"{name}: ok" in impasto("models", "verify").out
        assert "tabby" in impasto("classify", photo).out
        entry.path.write_bytes(b"damaged")
        assert "is damaged" in impasto("models", "verify").sentence()
        assert impasto("models", "pull", name, "--force").code == 0
        assert "removed" in impasto("models", "rm", name).out
        assert not entry.path.exists()


def test_doctor_reports_the_selection_and_clears_it(impasto, monkeypatch):
    monkeypatch.delenv("IMPASTO_KERNEL")
    monkeypatch.setenv("IMPASTO_STUDIO_TOKEN", "secret")
    report = json.loads(impasto("doctor", "--json").out)
    selected = report["selected"]
    if selected["device"] == "cpu":
        assert f"{selected['precision']} {selected['kernel']}" in report["milliseconds"]
    assert report["versions"]["torch"] == torch.__version__
    assert report["weights"]["vgg19-caffe-q8"] == "ok"
    assert report["folders"]["cache"]["is_writable"]
    text = impasto("doctor").out
    assert "secret" not in text
    for part in ("selected", selected["why"], "versions", "folder", "weights"):
        assert part in text
    if selected["device"] == "cpu":
        deleted = impasto("doctor", "--clear").out
        assert deleted.startswith("deleted ")
        assert deleted.endswith("speeds.json\n")
    assert impasto("doctor", "--clear").out == "nothing to delete\n"


def test_doctor_clears_downloaded_weights(impasto):
    path = weights.find("vgg19-keras").path
    path.parent.mkdir(parents=True, exist_ok=True)
    for file in (path, weights.partial_path(path)):
        file.touch()
    deleted = json.loads(impasto("doctor", "--clear", "--json").out)["deleted"]
    assert deleted == [str(path), str(weights.partial_path(path))]
    assert not path.exists()


def test_doctor_writes_the_home_folder_as_a_tilde(monkeypatch):
    home = Path("/home/someone")
    monkeypatch.setattr(Path, "home", lambda: home)
    assert doctor.without_user_name(home / ".cache/impasto") == "~/.cache/impasto"
    assert doctor.without_user_name(Path("/srv/data")) == "/srv/data"
