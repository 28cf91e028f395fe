"""Optional packages: pictures need none of them, and what needs one says so."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import subprocess
import sys
import tomllib

import pytest
from conftest import ROOT, Finished

import impasto as package
from impasto.base import extras
from impasto.base.errors import ImpastoError, MissingExtraError

OPTIONAL_MODULES = sorted({m for extra in extras.EXTRAS.values() for m in extra.packages.values()})
MODULES_OF = {"pillow": "PIL"}
"""Modules of required distributions whose own name is another one."""
WITHOUT_EXTRAS = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL_MODULES}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""
"""Lets a process behave as if no extra was installed."""
COMMAND_LINE = "from impasto.cli.app import main; main(sys.argv[1:])"


def without_extras(*arguments: object, code: str = COMMAND_LINE, folder=None) -> Finished:
    """Run the command line, or other code, in a process that has none of the optional packages."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS + code, *map(str, arguments)],
        capture_output=True, text=True, cwd=folder, check=False, timeout=300,
    )  # fmt: skip
    return Finished(done.returncode, done.stdout, done.stderr)


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[ ]", requirement)[0] for requirement in requirements}


def test_there_are_at_most_twelve_dependencies():
    assert len(pyproject()["dependencies"]) <= 12


def test_the_extras_are_those_that_can_be_installed():
    declared = pyproject()["optional-dependencies"]
    assert declared.keys() - {"all", "dev"} == extras.EXTRAS.keys()
    assert declared["all"] == [f"impasto[{','.join(sorted(extras.EXTRAS))}]"]
    assert "impasto[all]" in declared["dev"]
    for name, extra in extras.EXTRAS.items():
        own = names(declared[name]) - {"impasto"}
        if any(requirement.startswith("impasto[video]") for requirement in declared[name]):
            own |= names(declared["video"])
        assert own == extra.packages.keys()


def test_every_imported_package_is_declared():
    required = names(pyproject()["dependencies"])
    hard = {MODULES_OF.get(name, name.replace("-", "_")) for name in required}
    known = {*hard, *OPTIONAL_MODULES, *sys.stdlib_module_names, "impasto", "starlette"}
    for path in (ROOT / "src/impasto").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            imported = []
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported = [node.module or ""]
            for name in imported:
                assert name.partition(".")[0] in known, (path, name)


@pytest.mark.parametrize("method", [["--fast"], ["--steps", "2"]])
def test_a_picture_needs_no_extra(method, photo, painting, tmp_path):
    options = ("--size", 64, "-o", "made.png", "--timelapse", "film.gif")
    done = without_extras(photo, painting, *options, *method, folder=tmp_path)
    assert done.code == 0, done.err
    assert package.read(tmp_path / "made.png").width == 64
    assert (tmp_path / "film.gif").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["video", "--help"], ["live", "--help"], ["studio", "--help"], ["models", "list"]],
)
def test_help_and_lists_need_no_extra(arguments):
    assert without_extras(*arguments).code == 0


@pytest.mark.parametrize(
    ("extra", "arguments"),
    [
        ("video", ["video", "clip.mp4", "painting.png"]),
        ("video", ["live", "camera", "window", "--style", "starry-swirl"]),
        ("video", ["evaluate", "--video", "a.mp4", "--content", "b.mp4"]),
        ("video", ["photo.png", "painting.png", "--timelapse", "film.mp4"]),
        ("studio", ["studio", "--data", "data"]),
        ("plots", ["report", "made.png"]),
        ("plots", ["compare", "photo.png", "painting.png", "-o", "compared"]),
        ("plots", ["inspect", "photo.png", "painting.png", "--figure", "figure.png"]),
        ("weights", ["models", "pull", "vgg19-keras"]),
    ],
)
def test_a_missing_extra_is_one_sentence(extra, arguments, photo, painting, tmp_path, impasto):
    if arguments[0] == "report":
        impasto(photo, painting, "--fast", "-o", "made.png")
    before = {path.name for path in tmp_path.iterdir()}
    sentence = without_extras(*arguments, folder=tmp_path).sentence()
    assert sentence.endswith(f"need more packages: pip install 'impasto[{extra}]'")
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["photo.png", "photo.heic"])
def test_a_heic_photo_names_its_extra(name, photo_image, painting, tmp_path):
    """The type is told from the bytes, whatever the name is."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif isn't installed")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(photo_image).save(buffer)
    (tmp_path / name).write_bytes(buffer.getvalue())
    sentence = without_extras(name, painting, folder=tmp_path).sentence()
    assert sentence == f"{name}: HEIC photos need more packages: pip install 'impasto[heic]'"


def test_public_names_raise_the_error_when_they_are_used():
    code = """
import impasto
from impasto.base.errors import MissingExtraError
assert {"Film", "plots"} <= set(dir(impasto))
for name in ("Film", "FilmProgress", "Cut", "plots", "notebook"):
    try:
        getattr(impasto, name)
    except MissingExtraError as error:
        print(name, error)
"""
    lines = without_extras(code=code).out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "Film", "FilmProgress", "Cut", "plots", "notebook",
    ]  # fmt: skip
    assert all("pip install 'impasto[" in line for line in lines)


def test_the_error_is_one_of_impasto_and_an_import_error():
    assert issubclass(MissingExtraError, ImpastoError)
    assert issubclass(MissingExtraError, ImportError)


def test_doctor_lists_the_extras():
    report = json.loads(without_extras("doctor", "--json").out)
    assert report["missing_extras"] == sorted(extras.EXTRAS)
    text = without_extras("doctor").out
    for name in extras.EXTRAS:
        assert re.search(rf"extra +{name} .*: missing; pip install 'impasto\[{name}\]'", text)


def test_doctor_says_which_extras_are_installed(impasto):
    text = impasto("doctor").out
    for name, extra in extras.EXTRAS.items():
        state = "missing" if extra.missing() else "installed"
        assert re.search(rf"extra +{name} .*: {state}", text)


def test_using_the_library_changes_nothing_in_the_process(photo, painting):
    """Environment, warnings, loggers and Pillow are the program's own."""
    code = """
import logging, os, sys, warnings
import torch
from PIL import Image
import matplotlib, tifffile

def state():
    loggers = {name: (logging.getLogger(name).level, len(logging.getLogger(name).handlers))
               for name in ("PIL", "tifffile", "matplotlib", "")}
    return (dict(os.environ), list(warnings.filters), loggers, Image.MAX_IMAGE_PIXELS,
            dict(matplotlib.rcParams), os.umask(0o22))

os.umask(0o22)
Image.init()
plugins = set(Image.OPEN)
before = state()
import impasto
for name in set(impasto.__all__) - {"Film", "FilmProgress", "Cut"}:
    getattr(impasto, name)
impasto.read(sys.argv[1])
impasto.plots.inputs(sys.argv[1], sys.argv[2])
assert state() == before
assert set(Image.OPEN) == plugins
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(photo), str(painting)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_command_line_keeps_openmp_from_waiting_actively(impasto, monkeypatch):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    impasto("--version")
    assert os.environ["GOMP_SPINCOUNT"] == "10000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "5")
    impasto("--version")
    assert os.environ["GOMP_SPINCOUNT"] == "5"
