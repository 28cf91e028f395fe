"""Films that are painted and written: times, key frames and sound are those of the source."""

from __future__ import annotations

from pathlib import Path

import av
import film_files as files
import numpy as np
import pytest
from PIL import Image, ImageSequence

from impasto.video.film import Film
from impasto.video.frames import Cut

pytestmark = pytest.mark.video

STYLE = "violet-spots"
SOUND_HZ = 500


def painted(source: Path, output: Path, **settings) -> list[str]:
    """Paint a film; return what was said."""
    film = Film(source, STYLE, output, **settings)
    messages = [progress.message for progress in film]
    return [*filter(None, messages), *film.finish()]


def packets(path: Path) -> list[tuple[float, float, bool]]:
    """Time and duration, seconds, of each picture, and whether decoding can begin there."""
    with av.open(str(path)) as container:
        return [
            (float(p.pts * p.time_base), float(p.duration * p.time_base), p.is_keyframe)
            for p in container.demux(video=0)
            if p.size
        ]


@pytest.mark.parametrize("suffix", [".gif", ".mp4", ".mkv", ".webm"])
def test_the_last_picture_stays_as_long(suffix, frames, tmp_path):
    files.animation("GIF", [100, 100, 100, 5000])(tmp_path / "pause.gif", frames)
    output = tmp_path / f"out{suffix}"
    painted(tmp_path / "pause.gif", output)
    times = [(start, duration) for start, duration, _ in packets(output)]
    assert [start for start, _ in times] == pytest.approx([0, 0.1, 0.2, 0.3], abs=0.002)
    assert times[-1][1] == pytest.approx(5, abs=0.02)
    if suffix == ".gif":
        with Image.open(output) as image:
            durations = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
        assert durations == [100, 100, 100, 5000]


def test_the_last_picture_ends_where_the_cut_does(frames, tmp_path):
    files.animation("GIF", [100, 100, 100, 5000])(tmp_path / "pause.gif", frames)
    painted(tmp_path / "pause.gif", tmp_path / "out.mp4", cut=Cut(end=0.25))
    assert packets(tmp_path / "out.mp4")[-1][:2] == pytest.approx((0.2, 0.05), abs=0.002)


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_a_recording_of_a_browser(codec, frames, tmp_path):
    files.browser_webm(tmp_path / "rec.webm", frames)
    film = Film(tmp_path / "rec.webm", STYLE, tmp_path / "out.mp4", codec=codec)
    assert film.frames == pytest.approx(len(frames), abs=1)
    for _ in film:
        pass
    film.finish()
    times = packets(tmp_path / "out.mp4")
    assert len(times) == len(frames)
    assert times[-1][1] == pytest.approx(1 / 30, abs=0.01)


def test_decoding_can_begin_every_two_seconds(frames, tmp_path):
    files.animation("PNG", [700] * 9)(tmp_path / "slow.png", frames)
    painted(tmp_path / "slow.png", tmp_path / "out.mp4")
    keys = [start for start, _, is_key in packets(tmp_path / "out.mp4") if is_key]
    assert max(np.diff(keys)) <= 2.2
    assert len(keys) >= 3


@pytest.mark.parametrize("codec", ["pcm_s24le", "pcm_s32be", "pcm_f32le", "pcm_s16le"])
def test_uncompressed_sound_is_no_noise(codec, frames, tmp_path):
    files.with_sound(codec)(tmp_path / "film.mov", frames)
    said = painted(tmp_path / "film.mov", tmp_path / "out.mp4")
    assert f"the sound ({codec}) is encoded anew for a .mp4 file" in said
    with av.open(str(tmp_path / "out.mp4")) as container:
        parts = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    wave = np.concatenate(parts).astype(np.float64)
    assert np.sqrt((wave**2).mean()) == pytest.approx(0.087, abs=0.01)
    spectrum = np.abs(np.fft.rfft(wave))
    assert spectrum.argmax() * rate / len(wave) == pytest.approx(SOUND_HZ, abs=5)


def test_sound_of_an_unknown_kind_is_left_out_and_said(frames, tmp_path):
    make = files.replaced(files.with_sound("aac", "matroska"), b"A_AAC", b"A_XYZ")
    make(tmp_path / "film.mkv", frames[:6])
    said = painted(tmp_path / "film.mkv", tmp_path / "out.mp4")
    assert "is left out" in said[0]
    assert len(packets(tmp_path / "out.mp4")) == 6
