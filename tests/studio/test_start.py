"""What the studio says when it can't start, and who may read what it keeps."""

from __future__ import annotations

import os
import pwd
import stat

import pytest
from test_text import picture_request

from impasto.base.errors import OutputError
from impasto.studio.jobs.store import PRAGMAS, Store
from impasto.studio.server.settings import default_data_folder, prepare_data_folder


def random_bytes(path):
    path.write_bytes(os.urandom(5000))


def damaged_page(path):
    store = Store(path.parent)
    for _ in range(50):
        store.add(store.new_folder(), picture_request(name="x" * 1000))
    store.close()
    content = bytearray(path.read_bytes())
    content[9000:30_000] = os.urandom(21_000)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [random_bytes, damaged_page, os.mkdir])
def test_a_damaged_database_is_one_sentence(damage, impasto, tmp_path):
    damage(tmp_path / "jobs.sqlite3")
    said = impasto("studio", "--port", "0", "--data", tmp_path)
    sentence = said.sentence()
    assert str(tmp_path / "jobs.sqlite3") in sentence
    assert sentence.endswith("choose another place with --data")
    assert said.out == ""


def test_a_full_disk_is_one_sentence(impasto, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "impasto.studio.jobs.store.PRAGMAS", ("PRAGMA max_page_count = 1", *PRAGMAS)
    )
    said = impasto("studio", "--port", "0", "--data", tmp_path)
    assert "disk is full; make room" in said.sentence()
    assert said.out == ""


def test_a_folder_that_cant_be_written_names_the_option(impasto, tmp_path):
    (tmp_path / "file").write_text("")
    said = impasto("studio", "--data", tmp_path / "file/x")
    assert said.sentence().endswith("choose another place with --data")
    (tmp_path / "lock").mkdir()
    said = impasto("studio", "--port", "0", "--data", tmp_path)
    assert said.sentence().endswith("choose another place with --data")


def test_without_a_home_a_place_has_to_be_named(monkeypatch, impasto, tmp_path):
    def no_entry(user):
        raise KeyError(user)

    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    with pytest.raises(OutputError, match="choose a place with --data"):
        default_data_folder()
    assert "choose a place with --data" in impasto("studio", "--port", "0").sentence()


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_reads_what_is_kept(tmp_path):
    data = tmp_path / "data"
    prepare_data_folder(data)
    Store(data).close()
    assert [mode(path) for path in (data, data / "jobs")] == [0o700, 0o700]
    assert mode(data / "jobs.sqlite3") == 0o600
    for path in (data, data / "jobs"):  # as a version before made them
        path.chmod(0o755)
    (data / "jobs.sqlite3").chmod(0o644)
    prepare_data_folder(data)
    Store(data).close()
    assert [mode(path) for path in (data, data / "jobs")] == [0o700, 0o700]
    assert mode(data / "jobs.sqlite3") == 0o600


def test_a_folder_for_other_things_too_keeps_its_mode(tmp_path):
    (tmp_path / "letters.txt").write_text("")
    tmp_path.chmod(0o755)
    prepare_data_folder(tmp_path)
    assert mode(tmp_path) == 0o755
