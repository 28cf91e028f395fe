"""impasto styles: the styles by name, and the user's library."""

from __future__ import annotations

import json

import pytest
from PIL import Image
from style_files import style_bytes


@pytest.fixture
def swirl(tmp_path):
    path = tmp_path / "swirl.style"
    path.write_bytes(style_bytes(author="Ada"))
    return path


def test_the_list_says_what_each_style_is(impasto, swirl):
    impasto("styles", "import", swirl)
    lines = impasto("styles").out.splitlines()
    assert lines[0].split(maxsplit=1) == ["swirl", "learned, in your library"]
    assert any(line.startswith("cafe-terrace ") for line in lines)
    assert any("starry-swirl" in line and "built in" in line for line in lines)
    rows = json.loads(impasto("styles", "--json").out)
    assert rows[0] == {"name": "swirl", "title": "swirl", "origin": "yours"}


def test_a_style_is_imported_renamed_and_deleted(impasto, swirl, photo):
    assert impasto("styles", "import", swirl).code == 0
    assert "exists already" in impasto("styles", "import", swirl).sentence()
    assert impasto("styles", "import", swirl, "--force").code == 0
    assert impasto("styles", "rename", "swirl", "twirl").code == 0
    swirl.unlink()
    assert impasto(photo, "--style", "twirl", "-o", "a.png").code == 0
    assert impasto("styles", "rm", "twirl").out == "deleted twirl\n"
    assert "no style 'twirl' in your library" in impasto("styles", "rm", "twirl").sentence()


def test_show(impasto, swirl):
    shown = impasto("styles", "show", swirl).out
    assert "Ada" in shown
    values = json.loads(impasto("styles", "show", swirl, "--json").out)
    assert values["shape"]["blocks"] == 1
    assert "did you mean 'starry-swirl'" in impasto("styles", "show", "stary-swirl").sentence()


def test_a_sheet_of_a_photo_in_every_style(impasto, swirl, photo, tmp_path, monkeypatch):
    from impasto.styles import catalogue

    impasto("styles", "import", swirl)
    few = [e for e in catalogue.entries() if e.name in ("swirl", "honey-wash", "ink")]
    monkeypatch.setattr(catalogue, "entries", lambda: few)
    assert impasto("styles", "--with", photo, "--sheet", "sheet.png").code == 0
    assert impasto("styles", "--sheet", "names.png").code == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 3 * 300


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--with", "photo.png"), "--with needs --sheet"),
        (("--with", "nowhere.png", "--sheet", "a.png"), "there is no such file"),
        (("import", "photo.png"), "isn't a style file"),
        (("import", "nowhere.style"), "can't be read"),
        (("import", "swirl.style", "--name", "a/b"), "can't be the name of a style"),
        (("import", "swirl.style", "--name", "ink"), "comes with impasto; choose another name"),
        (("rename", "nope", "other"), "in your library"),
        (("show", "photo.png"), "isn't a style file"),
    ],
)
def test_bad_input_is_one_sentence(impasto, photo, swirl, arguments, sentence):
    assert sentence in impasto("styles", *arguments).sentence()
