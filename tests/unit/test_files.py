"""Files are written whole, under any name, on any file system."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from impasto.base import files
from impasto.base.errors import OutputError
from impasto.settings.recipe_files import original_files, with_paths

UNSUPPORTED = OSError(errno.EOPNOTSUPP, "Operation not supported")


def refuse(error: OSError):
    def call(*arguments, **options):
        raise error

    return call


@pytest.mark.parametrize("text", ["n" * 300, "é" * 300, "写" * 300, "🎨" * 300, "\udce9" * 300])
def test_names_are_cut_by_bytes_at_a_character(text):
    short = files.shortened(text, 100)
    assert text.startswith(short)
    assert 96 < len(short.encode("utf-8", "surrogatepass")) <= 100
    assert files.shortened("short", 100) == "short"


@pytest.mark.parametrize("stem", ["n" * 251, "🎨" * 62])
def test_the_longest_names_can_be_written_and_numbered(stem, tmp_path):
    path = tmp_path / f"{stem}.png"
    files.write_atomically(path, b"first")
    second = files.free_name(path)
    assert second != path
    files.write_atomically(second, b"second")
    assert path.read_bytes() == b"first"


def test_a_file_has_the_permissions_of_any_new_file(tmp_path):
    files.write_atomically(tmp_path / "ours", b"")
    (tmp_path / "usual").touch()
    files.make_atomically(tmp_path / "private", lambda path: path.touch(), private=True)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes["ours"] == modes["usual"]
    assert modes["private"] == 0o600


@pytest.mark.parametrize("call", ["os.chmod", "os.fsync", "pathlib.Path.chmod"])
def test_a_file_system_without_a_call_gets_the_file(call, tmp_path, monkeypatch):
    monkeypatch.setattr(call, refuse(UNSUPPORTED))
    files.write_atomically(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.ENOSYS, errno.EBUSY])
def test_a_file_system_without_rename_gets_the_file(code, tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.replace", refuse(OSError(code, "no")))
    (tmp_path / "file").write_bytes(b"old and longer")
    files.write_atomically(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_error_of_the_disk_is_said_and_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr("os.fsync", refuse(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(OutputError, match=r"file can't be written: input/output error"):
        files.write_atomically(tmp_path / "file", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_what_killed_writers_left_is_removed(tmp_path):
    pytest.importorskip("fcntl")
    path = tmp_path / "run.checkpoint"
    if os.fork() == 0:
        files.make_atomically(path, lambda temporary: os._exit(0))
    os.wait()
    assert len(list(tmp_path.iterdir())) == 1, "the writer should have left its file"
    files.remove_abandoned(tmp_path / "another.checkpoint")
    assert len(list(tmp_path.iterdir())) == 1
    files.remove_abandoned(path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_writer_still_writes_stays(tmp_path):
    path = tmp_path / "run.checkpoint"

    def make(temporary: Path) -> None:
        files.remove_abandoned(path)
        temporary.write_bytes(b"data")

    files.make_atomically(path, make)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"data"]


def test_links_that_go_round_in_circles_are_replaced_by_force(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(link)
    files.check_writable(link, force=True)


def test_settings_name_files_and_nothing_else():
    settings = {
        "init": "noise",
        "mask": "/a/mask.png",
        "style_mask": ["/a/one.png"],
        "region": {"/a/sky.png": "/b/painting.jpg"},
        "size": 512,
        "preset": "studio",
    }
    assert with_paths(settings, lambda name: Path(name).name) == {
        **settings,
        "mask": "mask.png",
        "style_mask": ["one.png"],
        "region": {"sky.png": "painting.jpg"},
    }


def test_originals_are_found_beside_the_picture_and_in_folders_there(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/photo.png").touch()
    picture = tmp_path / "picture.png"
    assert list(original_files("photo.png", picture)) == [tmp_path / "photos/photo.png"]
    (tmp_path / "photo.png").touch()
    assert next(original_files("photo.png", picture)) == tmp_path / "photo.png"
