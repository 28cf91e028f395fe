"""The docs: made from the code where they can be, their links lead somewhere, their code runs."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys

import pytest
from conftest import ROOT

from impasto.cli.app import COMMANDS

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
SMALL = "size=48, steps=2"


def blocks(path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def generate():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cli.md", "python.md", "settings.md"])
def test_pages_made_from_the_code_are_up_to_date(name):
    made = generate().PAGES[name]()
    assert (DOCS / name).read_text(encoding="utf-8") == made, "run: python docs/generate.py"


def test_the_site_builds_without_warnings(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", tmp_path]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    for page in ("index.html", "cli/index.html", "benchmarks/index.html"):
        assert (tmp_path / page).exists()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http", "#")):
            place, _, anchor = target.partition("#")
            assert (path.parent / place).exists(), target
            if anchor:
                headings = re.findall(r"^#+ (.*)$", (path.parent / place).read_text(), re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
                assert anchor in slugs, target


@pytest.fixture
def folder(tmp_path, photo_image, painting_image, monkeypatch):
    photo_image.save(tmp_path / "photo.jpg")
    painting_image.save(tmp_path / "painting.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def small(code: str) -> str:
    return code.replace("size=512", SMALL)


@pytest.mark.parametrize("name", ["README.md", "instant.md"])
def test_python_blocks_run(name, folder):
    found = blocks(DOCS / name, "python")
    assert found
    for code in found:
        assert len(code.splitlines()) < 30
        exec(compile(small(code), name, "exec"), {})
    assert list(folder.glob("*.png"))


def test_the_film_of_the_docs(folder, clip):
    (code,) = blocks(DOCS / "video.md", "python")
    exec(compile(code, "video.md", "exec"), {})
    assert (folder / "painted.mp4").stat().st_size > 1000


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_exist_and_know_their_flags(path):
    from impasto.cli.app import app

    text = "\n".join(blocks(path, "text") + blocks(path, "sh"))
    for line in text.splitlines():
        if not line.strip().startswith("impasto ") or path.name in ("cli.md", "extending.md"):
            continue  # made from the code; run by tests/extensions, with a package's flags
        words = shlex.split(line.split("  #")[0])[1:]
        words = [word for word in words if word not in ("&&",)]
        name = words[0] if words[0] in COMMANDS else "stylize"
        command = app.get_command(None, name)
        known = {flag for option in command.params for flag in option.opts}
        for word in words:
            if word.startswith("-") and word != "-":
                subcommands = getattr(command, "commands", {})
                inner = {
                    flag
                    for sub in subcommands.values()
                    for option in sub.params
                    for flag in option.opts
                }
                assert word in known | inner, (line, word)


def test_toml_of_the_docs_is_a_preset(impasto, folder):
    (code,) = blocks(DOCS / "recipes.md", "toml")
    (folder / "soft.toml").write_text(code)
    (line,) = [
        line for line in "\n".join(blocks(DOCS / "recipes.md", "text")).splitlines()
        if "soft.toml" in line
    ]  # fmt: skip
    done = impasto(*shlex.split(line)[1:], "--size", "48", "--steps", "2")
    assert done.code == 0, done.err
