"""The command line in odd places: streams, names, signals, homes, proxies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import command
from PIL import Image

import impasto as library
from impasto.base import own_process
from impasto.base.errors import DeviceError, OutputError

FAST = ("--fast", "--size", "64")
QUICK = ("--preset", "tutorial", "--size", "48", "--steps", "4")
LATIN1 = "caf\udce9"
"""A name whose last byte isn't UTF-8."""


def python(code: str, *, redirect: str = "", **environment: str) -> subprocess.CompletedProcess:
    """Run the command line by a shell, so that streams can be closed."""
    line = f'exec "$0" -m impasto {code} {redirect}'
    return subprocess.run(
        ["sh", "-c", line, sys.executable],
        capture_output=True,
        timeout=300,
        check=False,
        env={**os.environ, **environment},
    )


# --- Streams ---


@pytest.mark.parametrize("redirect", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_streams_that_are_closed_or_full_cost_no_picture(redirect, photo, painting, tmp_path):
    out = tmp_path / "out.png"
    ran = python(f"{photo} {painting} --fast --size 64 -o {out}", redirect=redirect)
    assert ran.returncode == 0
    Image.open(out).load()


def test_a_picture_for_a_closed_standard_output_is_refused_before_the_work(photo, painting):
    ran = python(f"{photo} {painting} --fast -o -", redirect=">&-")
    assert ran.returncode == 2
    assert ran.stderr == b"impasto: the picture can't go to standard output, which is closed\n"


def test_a_picture_that_standard_output_does_not_take_is_kept(photo, painting, tmp_path):
    ran = python(
        f"{photo} {painting} --fast --size 64 --quiet -o -",
        redirect=">/dev/full",
        TMPDIR=str(tmp_path),
    )
    assert ran.returncode == 2
    assert f"the picture was kept as {tmp_path / 'impasto.png'}" in ran.stderr.decode()
    Image.open(tmp_path / "impasto.png").load()


@pytest.mark.parametrize("encoding", ["ascii", "cp1251", "cp437", "cp932", "latin-1"])
def test_encodings_that_cannot_show_a_character(encoding):
    for arguments in ("models list", "live --help", "styles"):
        ran = python(arguments, PYTHONIOENCODING=encoding)
        assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("handler", ["utf-8:strict", "cp1251"])
def test_names_that_are_not_text_are_printed(handler, photo, painting, tmp_path):
    name = tmp_path / f"{LATIN1}.png"
    try:
        photo.rename(name)
    except OSError:
        pytest.skip("names are text here")
    ran = command(name, painting, *FAST, env={**os.environ, "PYTHONIOENCODING": handler})
    assert ran.returncode == 0, ran.stderr
    (made,) = set(tmp_path.iterdir()) - {name, painting}
    if handler == "utf-8:strict":
        assert ran.stdout.strip() == os.fsencode(made)


def test_reports_of_names_that_are_not_text(impasto, photo, painting, tmp_path):
    name = tmp_path / f"{LATIN1}.png"
    try:
        photo.rename(name)
    except OSError:
        pytest.skip("names are text here")
    record, out = tmp_path / "run.json", tmp_path / "o.png"
    ran = impasto(name, painting, *QUICK, "--record", record, "--json", "-o", out)
    assert json.loads(ran.out)["output"] == str(out)
    assert impasto("report", record).code == 0
    assert "caf?.png" in record.with_suffix(".html").read_text(encoding="utf-8")
    assert impasto("--recipe", out, "-o", tmp_path / "again.png").code == 0


# --- Names ---


def test_names_of_many_emoji(impasto, photo, painting, tmp_path):
    stem = "🎨" * 55
    photo, painting = (
        photo.rename(tmp_path / f"{stem}.png"),
        painting.rename(tmp_path / f"{stem}b.png"),
    )
    for _ in range(2):  # the second one has a number
        ran = impasto(photo, painting, *FAST)
        assert ran.code == 0, ran.err
        made = Path(ran.out.strip())
        assert made.parent == tmp_path
        assert len(os.fsencode(made.name)) <= 235
        assert set(made.stem) <= {"🎨", "_", "-", "2"}


def test_a_text_in_place_of_a_painting(impasto, photo):
    text = f"a painting: {'swirls ' * 60}"
    assert "standard output" not in impasto(photo, text, "--fast").sentence()
    assert "standard output" not in impasto("live", photo, f"{text}.mp4", "--style", "x").sentence()


def test_a_picture_tells_no_folders(impasto, photo, painting, tmp_path):
    folder = tmp_path / "home" / "Divorce papers"
    folder.mkdir(parents=True)
    names = [path.rename(folder / path.name) for path in (photo, painting)]
    Image.new("L", (96, 64), 255).save(folder / "mask.png")
    shared, record = tmp_path / "shared.png", tmp_path / "run.json"
    ran = impasto(
        *names, *QUICK, "--mask", folder / "mask.png", "-o", shared, "--record", record
    )  # fmt: skip
    assert ran.code == 0
    assert b"Divorce" not in shared.read_bytes()
    assert "Divorce" not in record.read_text()
    beside = shared.rename(folder / "shared.png")
    again = tmp_path / "again.png"
    assert impasto("--recipe", beside, "-o", again).code == 0
    assert again.read_bytes() == beside.read_bytes()


# --- Errors in the middle ---


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (DeviceError("3×3 px need at least 9 GB"), "need at least 9 GB"),
        (MemoryError(), "ran out of memory"),
        (RuntimeError("DefaultCPUAllocator: not enough memory"), "ran out of memory"),
    ],
)
def test_a_run_that_runs_out_of_memory_leaves_the_picture_so_far(
    error, sentence, impasto, photo, painting, tmp_path, monkeypatch
):
    from impasto.library import api

    run = api.run

    def breaks_off(*arguments):
        events = run(*arguments)
        yield next(events)
        yield next(events)
        raise error

    monkeypatch.setattr(api, "run", breaks_off)
    out = tmp_path / "out.png"
    ran = impasto(photo, painting, *QUICK, "-o", out)
    assert ran.code == 2
    assert ran.out.strip() == str(out)
    assert sentence in ran.err
    assert "stopped at step 1 of 4" in ran.err
    Image.open(out).load()


def test_a_picture_that_cannot_be_enlarged_is_kept_as_it_is(
    impasto, photo, painting, tmp_path, monkeypatch
):
    from impasto.runs.progress import Progress

    def no_memory(self):
        raise MemoryError

    monkeypatch.setattr(Progress, "result", no_memory)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    ran = impasto(photo, painting, *QUICK, "--quiet", "-o", tmp_path / "sub.png")
    kept = tmp_path / "sub.png"
    assert f"the picture was kept as {kept}" in ran.sentence()
    assert Image.open(kept).size == (48, 32)


@pytest.mark.parametrize("flag", ["--checkpoint", "--save-every", "--record", "--timelapse"])
def test_what_cannot_be_kept_beside_the_picture_does_not_end_the_run(
    flag, impasto, photo, painting, tmp_path, monkeypatch
):
    from impasto.base import files

    write = files.write_atomically
    out = tmp_path / "out.png"

    def full(path, data):
        if path != out:
            raise OutputError(f"{path} can't be written: no space left on device")
        write(path, data)

    monkeypatch.setattr(files, "write_atomically", full)
    value = "1" if flag == "--save-every" else tmp_path / "kept.gif"
    ran = impasto(
        photo, painting, *QUICK, "-o", out, flag, value, "--checkpoint-every", "0", "--quiet"
    )
    assert "no space left on device" in ran.sentence(), "once, and in the exit code"
    assert "kept as" not in ran.err
    Image.open(out).load()


# --- Signals ---


@pytest.mark.parametrize("ignored", [False, True])
def test_sighup_stops_a_run_unless_it_is_ignored(ignored, photo, painting, tmp_path):
    out = tmp_path / "out.png"
    handler = signal.SIG_IGN if ignored else signal.SIG_DFL
    process = subprocess.Popen(
        [sys.executable, "-m", "impasto", photo, painting, "--preset", "tutorial", "--size", "96",
         "--steps", "60", "-o", out],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, handler),
    )  # fmt: skip
    for line in process.stderr:
        if line.startswith(b"step"):
            break
    process.send_signal(signal.SIGHUP)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == (0 if ignored else 129)
    assert (b"stopped at step" in stderr) is not ignored
    Image.open(out).load()


# --- Hints ---


def test_the_end_tells_of_a_larger_photo_unless_the_size_was_chosen(impasto, photo, painting):
    Image.open(photo).resize((900, 600)).save(photo)
    ran = impasto(photo, painting, "--preset", "tutorial", "--steps", "1")
    assert "512×341 px of 900×600, 1 steps" in ran.err
    assert "--size or --preset poster for more" in ran.err
    assert " of 900" not in impasto(photo, painting, *FAST).err


def test_a_seed_that_changes_nothing_is_said_so(impasto, photo, painting):
    line = "the seed counts only with --init noise"
    assert line in impasto(photo, painting, *QUICK, "--seed", "1").err
    assert line not in impasto(photo, painting, *QUICK, "--seed", "1", "--init", "noise").err


def test_words_for_options_and_other_spellings(impasto, photo, painting):
    assert impasto("version").out.startswith("impasto ")
    assert "Usage" in impasto("help").out
    assert impasto(photo, painting, *FAST, "--colour", "content").code == 0


def test_a_film_is_pointed_to_its_command(impasto, tmp_path, painting):
    (tmp_path / "clip.mp4").touch()
    assert "impasto video clip.mp4" in impasto("clip.mp4", painting).sentence()


def test_a_studio_without_a_home_asks_for_a_folder(impasto, monkeypatch):
    pwd = pytest.importorskip("pwd")

    def nobody(*arguments):
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert "--data" in impasto("studio").sentence()


def test_the_program_silences_the_av1_encoder_and_the_library_does_not():
    code = (
        "import os, impasto, impasto.video.film, impasto.live.sinks, impasto.live.sources\n"
        "assert 'SVT_LOG' not in os.environ\n"
        "from impasto.cli.app import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "assert os.environ['SVT_LOG'] == '1'"
    )
    environment = {name: value for name, value in os.environ.items() if name != "SVT_LOG"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert ran.returncode == 0, ran.stderr


def test_only_our_own_processes_set_the_allocator(photo, painting, impasto, monkeypatch):
    asked = []
    monkeypatch.setattr(own_process, "_glibc", lambda: asked.append(1))
    library.stylize(photo, painting, size=48, steps=2)
    assert not asked
    assert impasto(photo, painting, "--size", "48", "--steps", "2", "-o", "a.png").code == 0
    assert asked
