"""``--timelapse``: the film of a run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

QUICK = ("--preset", "tutorial", "--size", "48", "--steps", "4")


def decoded(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def difference(one, other) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


@pytest.mark.parametrize("name", ["film.mp4", "film.gif", "film.webp"])
def test_a_film_from_the_photo_to_the_picture(name, impasto, photo, painting, tmp_path):
    out, film = tmp_path / "out.png", tmp_path / name
    ran = impasto(photo, painting, *QUICK, "-o", out, "--timelapse", film)
    assert ran.code == 0
    assert ran.out.strip() == str(out)
    assert f"film: {film}" in ran.err
    if name == "film.mp4":
        frames = decoded(film)
        assert len(frames) == 240
        first, last = frames[0], frames[-1]
    else:
        image: Any = Image.open(film)
        assert image.n_frames == 5
        first = np.asarray(image.convert("RGB"))
        image.seek(4)
        last = np.asarray(image.convert("RGB"))
    assert last.shape == (32, 48, 3)
    picture = Image.open(out)
    start = Image.open(photo).resize((48, 32), Image.Resampling.BILINEAR)
    assert difference(last, picture) < 10
    assert difference(last, picture) < difference(first, picture)
    assert difference(first, start) < 10


def test_it_says_in_json_where_it_is(impasto, photo, painting, tmp_path):
    ran = impasto(photo, painting, *QUICK, "--timelapse", tmp_path / "a.gif", "--json")
    assert json.loads(ran.out)["timelapse"] == str(tmp_path / "a.gif")


def test_coarse_scales_are_shown_at_the_final_size(impasto, photo, painting, tmp_path):
    settings = ("--preset", "tutorial", "--size", "96", "--steps", "4", "--scales", "2")
    assert impasto(photo, painting, *settings, "--timelapse", tmp_path / "a.mp4").code == 0
    assert {frame.shape for frame in decoded(tmp_path / "a.mp4")} == {(64, 96, 3)}


def test_it_goes_with_a_picture_on_standard_output(photo, painting, tmp_path):
    film = tmp_path / "a.gif"
    ran = subprocess.run(
        [sys.executable, "-m", "impasto", photo, painting, *QUICK, "-o", "-", "--timelapse", film],
        capture_output=True,
        check=True,
    )
    assert ran.stdout.startswith(b"\x89PNG")
    image: Any = Image.open(film)
    assert image.n_frames == 5


def test_what_is_wrong_with_the_file_is_said_before_the_work(impasto, photo, painting, tmp_path):
    there = tmp_path / "there.mp4"
    there.write_text("precious")
    for arguments, words in {
        ("--timelapse", there): "exists already",
        ("--timelapse", tmp_path / "a.avi"): "choose one of: .mp4, .gif, .webp",
        ("--timelapse", tmp_path / "a"): "no extension",
        ("--timelapse", tmp_path / "missing/a.mp4"): "no folder",
        ("--timelapse", "a.webp", "-o", "a.webp"): "can't be the film and another file",
        ("--timelapse", "photo_painting.webp", "--format", "webp"): "can't be the film and",
        ("--timelapse", "a.gif", "--checkpoint", "a.gif"): "can't be the film and another file",
    }.items():
        assert words in impasto(photo, painting, *QUICK, *arguments).sentence()
    assert there.read_text() == "precious"
    assert impasto(photo, painting, *QUICK, "--timelapse", there, "--force").code == 0
    assert len(decoded(there)) == 240


def test_a_dry_run_makes_none(impasto, photo, painting, tmp_path):
    assert impasto(photo, painting, *QUICK, "--timelapse", "a.mp4", "--dry-run").code == 0
    assert not (tmp_path / "a.mp4").exists()


def test_a_resumed_run_is_filmed_too(impasto, photo, painting, tmp_path):
    impasto(photo, painting, *QUICK, "--checkpoint", "run")
    assert impasto("--resume", "run", "--steps", "6", "--timelapse", "a.gif").code == 0
    image: Any = Image.open(tmp_path / "a.gif")
    assert image.n_frames == 3  # steps 4, 5 and 6


def test_a_film_that_cannot_be_written_does_not_cost_the_picture(
    impasto, photo, painting, tmp_path, monkeypatch
):
    from impasto.images.film_encoders import GifEncoder

    def fail(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(GifEncoder, "encode", fail)
    ran = impasto(photo, painting, *QUICK, "-o", "out.png", "--timelapse", "a.gif", "--quiet")
    assert ran.sentence() == "a.gif can't be written: no space left on device"
    assert Image.open(tmp_path / "out.png").size == (48, 32)
    assert not (tmp_path / "a.gif").exists()


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_leaves_a_film_that_plays(times, photo, painting, tmp_path):
    out, film = tmp_path / "out.png", tmp_path / "film.mp4"
    process = subprocess.Popen(
        [
            sys.executable, "-m", "impasto", photo, painting, "--preset", "tutorial",
            "--size", "96", "-o", out, "--timelapse", film,
        ],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    for line in process.stderr:
        if line.startswith(b"step"):
            break
    for _ in range(times):
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    frames = decoded(film)
    assert 48 <= len(frames) < 240
    assert difference(frames[-1], Image.open(out)) < 10
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "film.mp4", "out.png", "painting.png", "photo.png",
    ]  # fmt: skip
