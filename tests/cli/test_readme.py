"""Every command and every line of Python in the README runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import replace

import clips
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from weight_files import digest_of, serve, tiny_parameters, write_keras

from impasto.networks import weights

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
# The others are in tests/studio and tests/video.
IMPASTO_COMMANDS = [
    line
    for line in COMMANDS
    if line.startswith("impasto") and line.split()[1] not in ("studio", "live")
]
SMALL = ["--size", "48", "--steps", "2"]


@pytest.fixture
def folder(tmp_path, photo_image, painting_image):
    photo_image.save(tmp_path / "photo.jpg", quality=95)
    painting_image.save(tmp_path / "painting.jpg", quality=95)
    painting_image.rotate(180).save(tmp_path / "other.jpg", quality=95)
    Image.linear_gradient("L").save(tmp_path / "mask.png")
    clips.write(tmp_path / "clip.mp4", [np.asarray(photo_image)] * 3)
    return tmp_path


def test_the_readme_begins_with_a_picture_and_the_two_commands():
    picture = re.search(r"!\[.+?\]\((.+?)\)", README)
    assert README.index("make demo") > picture.start()
    assert Image.open(ROOT / picture[1]).width > 400
    assert COMMANDS[:2] == ["make demo", "make test"]


def test_every_command_of_impasto(impasto, folder, monkeypatch):
    name = "vgg19-keras-top"
    write_keras(folder / "tiny.h5", tiny_parameters())
    with serve(folder) as address:
        entry = replace(
            weights.CATALOGUE[name],
            url=f"{address}/tiny.h5",
            digest=digest_of(folder / "tiny.h5"),
        )
        monkeypatch.setitem(weights.CATALOGUE, name, entry)
        for line in IMPASTO_COMMANDS:
            arguments = shlex.split(line)[1:]
            if arguments[0].startswith("photo") or arguments[0] == "reconstruct":
                fast = {"--fast", "--style", "swirl.style"} & set(arguments)
                arguments += SMALL[:2] if fast else SMALL  # the same, but small
            if arguments[0] == "learn":
                arguments += ["--crop", "128", "--steps", "2"]
            if arguments[0] == "texture":
                arguments += ["--size", "64x48", "--steps", "2"]
            if arguments[0] == "compare":
                arguments += ["--size", "48"]
            ran = impasto(*arguments)
            assert ran.code == 0, (line, ran.err)
    for name in ("photo_painting.png", "art.png", "blend.webp", "longer.png", "again.png"):
        assert max(Image.open(folder / name).size) == 48
    assert (folder / "art.png").read_bytes() == (folder / "again.png").read_bytes()
    assert (folder / "seen-features.png").exists()


def test_the_python_code(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    small = code.replace("size=512", "size=48, steps=2").replace("steps=200", "size=48, steps=2")
    assert small.count("size=48, steps=2") == 2
    exec(compile(small, "README.md", "exec"), {})
    assert Image.open("stylized.png").size == Image.open("after_a_minute.png").size == (48, 32)


def test_make_demo():
    """In this checkout, as a newcomer types it; the set-up is this one."""
    if not (ROOT / ".venv/.installed").exists():
        pytest.skip("these tests don't run from the .venv that make sets up")
    picture = ROOT / "stylized/demo.png"
    picture.unlink(missing_ok=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    ran = subprocess.run(
        ["make", "demo", "DEMO_SIZE=48"],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "pip install" not in ran.stdout, "running it again doesn't install again"
    assert "stylized/demo.png" in ran.stdout
    assert Image.open(picture).size == (48, 32)


def test_links_lead_somewhere():
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), (document, target)
