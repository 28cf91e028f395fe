"""A loss and a method of another package: the examples of docs/extending.md, installed and run."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser_page import chromium, until
from conftest import ROOT, command
from PIL import Image
from studio_server import running

DOCS = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SIZE = ("--size", "64")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)


def module(first_words: str) -> str:
    """The module of the docs that begins with these words."""
    (code,) = [block for block in blocks("python") if block.startswith(f'"""{first_words}')]
    return code


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Build and install the package, into a folder that only this module's processes see."""
    source, target = (tmp_path_factory.mktemp(name) for name in ("source", "installed"))
    (source / "pyproject.toml").write_text(blocks("toml")[0])
    (source / "impasto_variances.py").write_text(module("A style loss for impasto"))
    (source / "impasto_tinted.py").write_text(module("A method for impasto"))
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
            "--disable-pip-version-check", "--target", target, source,
        ],
        check=True,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(target), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        yield target


@pytest.fixture
def folder(installed, tmp_path, photo_image, painting_image) -> Path:
    photo_image.save(tmp_path / "photo.jpg")
    painting_image.save(tmp_path / "painting.jpg")
    return tmp_path


def run(*arguments: object, folder: Path) -> str:
    done = command(*arguments, cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def distance(one: Path | np.ndarray, other: Path | np.ndarray) -> float:
    pixels = [
        np.asarray(Image.open(each) if isinstance(each, Path) else each, np.float32)
        for each in (one, other)
    ]
    return float(np.abs(pixels[0] - pixels[1]).mean())


def test_a_program_registers_them_itself(folder, installed, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.environ["PYTHONPATH"].replace(str(installed), ""))
    (folder / "impasto_variances.py").write_text(module("A style loss for impasto"))
    (folder / "impasto_tinted.py").write_text(module("A method for impasto"))
    programs = [block for block in blocks("python") if block.startswith("import impasto\n")]
    assert len(programs) == 2
    code = "\n".join(programs)
    code = code.replace('style_loss="variances"', 'style_loss="variances", size=64, steps=3')
    again = "for register in (impasto.register_method, print):\n    register(TINTED)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{again}"], cwd=folder, capture_output=True, check=False
    )
    assert {path.name for path in folder.glob("*.png")} == {"varied.png", "tinted.png"}
    assert b"ValueError: there is a method tinted already; choose another name" in done.stderr


def test_the_command_line_offers_the_loss(folder):
    assert "variances" in run("--help", folder=folder)
    pair = "photo.jpg", "painting.jpg", *SIZE, "--steps", "3"
    run(*pair, "--style-loss", "variances", "-o", "one.png", folder=folder)
    run(*pair, "--style-loss", "w2", "-o", "two.png", folder=folder)
    assert distance(folder / "one.png", folder / "two.png") > 0.5
    refused = command(*pair, "--style-loss", "variance", cwd=folder)
    assert refused.returncode == 2
    assert b"did you mean 'variances'?" in refused.stderr


def test_the_command_line_offers_the_method(folder):
    assert "--tint" in run("--help", folder=folder)
    assert json.loads(run("methods", "--json", folder=folder))["tinted"]["settings"] == [
        "tint", "steps",
    ]  # fmt: skip
    assert "tinted" in run("presets", folder=folder)
    pair = "photo.jpg", "painting.jpg", *SIZE, "--method", "tinted"
    run(*pair, "--tint", "0", "-o", "none.png", folder=folder)
    run(*pair, "--tint", "1", "-o", "all.png", folder=folder)
    photo = Image.open(folder / "photo.jpg").resize(Image.open(folder / "none.png").size)
    assert distance(folder / "none.png", np.asarray(photo)) < 6
    flat = np.asarray(Image.open(folder / "all.png"))
    assert flat.std(axis=(0, 1)).max() < 1, "one colour"
    estimate = json.loads(run(*pair, "--dry-run", "--json", folder=folder))
    assert estimate["recipe"]["tint"] == 0.5
    assert estimate["memory_mb"] > 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--solver", "adam"), "solver means nothing to the method tinted; leave it out"),
        (("--tint", "2"), "tint should be less than or equal to 1, not '2'"),
        (("--style", "starry-swirl"), "starry-swirl is a style of the method instant, not of"),
        (("--region", "photo.jpg=painting.jpg"), "the method tinted doesn't take regions"),
        (("--preset", "gatys"), "the preset gatys isn't for the method tinted"),
    ],
)
def test_what_the_method_hasnt_got_is_refused(arguments, sentence, folder):
    done = command("photo.jpg", "painting.jpg", *SIZE, "--method", "tinted", *arguments, cwd=folder)
    assert (done.returncode, sentence in done.stderr.decode()) == (2, True), done.stderr.decode()


def test_a_run_is_resumed_and_its_picture_tells_how_it_was_made(folder):
    pair = "photo.jpg", "painting.jpg", *SIZE, "--method", "tinted", "--steps", "6"
    run(*pair, "-o", "whole.png", "--checkpoint", "run.ckpt", "--checkpoint-every", "0",
        folder=folder)  # fmt: skip
    run("--resume", "run.ckpt", "-o", "again.png", folder=folder)
    assert distance(folder / "whole.png", folder / "again.png") == 0
    longer = command("--resume", "run.ckpt", "--steps", "4", "-o", "x.png", cwd=folder)
    assert longer.returncode == 2
    assert b"is damaged: it has no step of the run" in longer.stderr
    run("--recipe", "whole.png", "-o", "same.png", folder=folder)
    assert distance(folder / "whole.png", folder / "same.png") == 0


def test_films_are_painted_frame_by_frame(folder, clip):
    run(
        "video", clip, "--style", "painting.jpg", "--method", "tinted", "--end", "0.2",
        "-o", "film.mp4", folder=folder,
    )  # fmt: skip
    assert (folder / "film.mp4").stat().st_size > 1000
    refused = command(
        "video", clip, "--style", "painting.jpg", "--style-at", "1:photo.jpg",
        "--method", "tinted", "-o", "x.mp4", cwd=folder,
    )  # fmt: skip
    assert (refused.returncode, refused.stderr.decode().strip().splitlines()[-1]) == (
        2, "impasto: the method tinted has one style for all of a film",
    )  # fmt: skip


@pytest.fixture(scope="module")
def studio(installed, tmp_path_factory):
    with running(tmp_path_factory.mktemp("studio") / "data") as studio:
        studio.wait_until_ready()
        yield studio


def test_the_rest_api_offers_both(studio, folder):
    schema = studio.client.get("/v1/recipe-schema").json()
    assert schema["properties"]["tint"]["maximum"] == 1
    (tinted,) = [method for method in schema["methods"] if method["name"] == "tinted"]
    assert {"tint", "steps", "size"} <= set(tinted["settings"])
    assert "solver" not in tinted["settings"]
    assert "tinted" in {p["name"] for p in studio.client.get("/v1/presets").json()["presets"]}
    pictures = [Image.open(folder / name) for name in ("photo.jpg", "painting.jpg")]
    for recipe in ({"method": "tinted", "tint": 1}, {"style_loss": "variances", "steps": 3}):
        job = studio.job(*pictures, {**recipe, "size": 64})
        job = studio.wait(job["id"], "done", "failed")
        assert (job["state"], job["error"], job["can_continue"]) == (
            "done", None, "style_loss" in recipe,
        )  # fmt: skip
    assert job["recipe"]["style_loss"] == {"variances": 1}


@pytest.mark.skipif(chromium() is None, reason="there is no Chromium here")
def test_the_page_offers_the_method(open_page, studio, folder):
    page = open_page()
    page.set_input_files("#photo-input", folder / "photo.jpg")
    page.set_input_files("#style-input", folder / "painting.jpg")
    page.fill("#size", "64")
    page.click("#advanced summary")
    page.select_option("#setting-preset", "tinted")
    page.get_by_label(re.compile("^tint$", re.IGNORECASE)).fill("1")
    assert page.get_by_label(re.compile("^solver$", re.IGNORECASE)).is_disabled()
    page.click("#paint")
    until(page, "document.getElementById('progress').value === 1")
    job = studio.client.get("/v1/jobs").json()["jobs"][0]
    assert (job["method"], job["recipe"]["tint"]) == ("tinted", 1)
    picture = studio.client.get(f"/v1/jobs/{job['id']}/result").content
    flat = np.asarray(Image.open(io.BytesIO(picture)))
    assert flat.std(axis=(0, 1)).max() < 1, "one colour"
