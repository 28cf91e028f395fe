"""The folders of a user, who may have no home."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.base import folders
from impasto.settings.recipe_files import load_preset, presets, user_preset_folder


@pytest.fixture(params=["no HOME", "empty HOME"])
def _no_home(request, monkeypatch):
    """A numeric user of a container: neither HOME nor an entry in the list of users."""
    pwd = pytest.importorskip("pwd")

    def nobody(*arguments):
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("HOME", "IMPASTO_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if request.param == "empty HOME":
        monkeypatch.setenv("HOME", "")


@pytest.mark.usefixtures("_no_home")
def test_a_user_without_a_home_has_no_presets_of_their_own():
    assert folders.home_folder() is None
    assert user_preset_folder() is None
    assert "studio" in presets()
    assert load_preset("draft")


@pytest.mark.usefixtures("_no_home")
def test_a_user_without_a_home_has_a_temporary_cache(monkeypatch):
    monkeypatch.setenv("TMPDIR", "/temporary")
    assert folders.cache_folder().parent == Path("/temporary")


@pytest.mark.usefixtures("_no_home")
@pytest.mark.parametrize("arguments", [("presets",), ("presets", "studio"), ("doctor",)])
def test_commands_of_a_user_without_a_home(arguments, impasto, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert impasto(*arguments).code == 0


@pytest.mark.usefixtures("_no_home")
def test_a_user_without_a_home_can_paint(impasto, photo, painting, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    ran = impasto(photo, painting, "--preset", "tutorial", "--size", "48", "--steps", "2")
    assert ran.code == 0, ran.err
