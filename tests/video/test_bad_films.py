"""What isn't a film, or half of one: one sentence, and what was written plays."""

from __future__ import annotations

import shutil
import subprocess
import threading

import av
import clips
import numpy as np
import pytest
from conftest import PAINTING, PHOTO
from PIL import Image
from test_films import pictures, sound

from impasto.base.errors import CheckpointError
from impasto.video import stages
from impasto.video.film import Film
from impasto.video.read.opening import open_source

STYLE = "violet-spots"


def refused(impasto, *arguments) -> str:
    return impasto("video", *arguments, "-o", "out.mp4").sentence()


def test_no_film(impasto, tmp_path, clip):
    (tmp_path / "words.mp4").write_text("no film at all\n" * 100)
    assert "isn't a film but text" in refused(impasto, "words.mp4", STYLE)
    (tmp_path / "bytes.mp4").write_bytes(bytes(range(256)) * 100)
    assert "isn't a film, or is damaged" in refused(impasto, "bytes.mp4", STYLE)
    assert "no such file" in refused(impasto, "none.mp4", STYLE)
    (tmp_path / "empty").mkdir()
    assert "holds no images" in refused(impasto, "empty", STYLE)
    assert "holds no images" in refused(impasto, "none/f-%03d.png", STYLE)
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert "empty.mp4" in refused(impasto, "empty.mp4", STYLE)
    with av.open(str(tmp_path / "song.m4a"), "w", format="mp4") as output:
        for packet in clips.tone(output.add_stream("aac", rate=44100, layout="mono"), 0.5):
            output.mux(packet)
    assert "has no pictures, only audio" in refused(impasto, "song.m4a", STYLE)
    assert not list(tmp_path.glob("out*"))


def test_no_frames(impasto, tmp_path, frames):
    source = clips.write(tmp_path / "c.mkv", frames)
    clips.copied(source, tmp_path / "no.mkv", lambda kind, number: bytes(400))
    assert "no frame that can be decoded" in refused(impasto, "no.mkv", STYLE)


def test_a_truncated_film(impasto, tmp_path, frames):
    whole = clips.write(tmp_path / "c.mkv", frames * 3, sound=True).read_bytes()
    (tmp_path / "half.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    ended = impasto("video", "half.mkv", STYLE, "-o", "out.mp4")
    assert ended.code == 0, ended.err
    assert 15 < len(pictures(tmp_path / "out.mp4")) < 60
    assert "its pictures end after" in ended.err
    plain = clips.write(tmp_path / "c.mp4", frames).read_bytes()  # its index is at its end
    (tmp_path / "half.mp4").write_bytes(plain[: len(plain) // 2])
    assert "isn't a film, or is damaged" in refused(impasto, "half.mp4", STYLE, "--force")


def test_what_is_not_cut_short(impasto, tmp_path, frames):
    """Sound that goes on after the pictures, and a last picture that stays."""
    with av.open(str(tmp_path / "sound.mkv"), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        audio = output.add_stream("aac", rate=44100, layout="mono")
        for pixels in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode(None))
        for packet in clips.tone(audio, 3):
            output.mux(packet)
    images = [Image.fromarray(frame) for frame in frames[:3]]
    durations = [100, 100, 2000]
    images[0].save("stays.gif", save_all=True, append_images=images[1:], duration=durations)
    for name in ("sound.mkv", "stays.gif"):
        ended = impasto("video", name, STYLE, "-o", "out.mp4", "--force")
        assert ended.code == 0
        assert "cut short" not in ended.err


def test_damaged_frames_are_left_out(impasto, tmp_path, frames):
    source = clips.write(
        tmp_path / "c.mkv", frames, codec="mjpeg", pix_fmt="yuvj420p", options={"q": "2"}
    )
    clips.copied(
        source,
        tmp_path / "bad.mkv",
        lambda kind, number: b"\xff" * 40 if number in (7, 8, 15) else None,
    )
    ended = impasto("video", "bad.mkv", STYLE, "-o", "out.mp4")
    assert ended.code == 0
    assert "3 frames were left out: damaged" in ended.err
    made = pictures(tmp_path / "out.mp4")
    assert len(made) == 21


def test_one_frame(impasto, tmp_path, frames):
    clips.write(tmp_path / "one.mp4", frames[:1])
    assert impasto("video", "one.mp4", STYLE, "-o", "out.mp4").code == 0
    assert len(pictures(tmp_path / "out.mp4")) == 1


def test_sound_whose_time_goes_back(impasto, tmp_path, frames):
    """Two recordings in one file: the times of the second begin anew."""
    once = clips.write(tmp_path / "a.ts", frames, sound=True).read_bytes()
    (tmp_path / "twice.ts").write_bytes(once + once)
    for output in ("out.mp4", "out.mkv"):
        ended = impasto("video", "twice.ts", STYLE, "-o", output)
        assert ended.code == 0, ended.err
        assert "whose time goes back are left out" in ended.err
        assert len(pictures(tmp_path / output)) == 24


def test_damaged_sound_is_left_out(impasto, tmp_path, frames):
    source = clips.write(tmp_path / "c.mkv", frames, sound=True)
    clips.copied(
        source,
        tmp_path / "bad.mkv",
        lambda kind, number: b"\xff" * 40 if (kind, number) == ("audio", 9) else None,
    )
    ended = impasto("video", "bad.mkv", STYLE, "-o", "out.webm")
    assert ended.code == 0, ended.err
    assert "1 damaged pieces of the sound" in ended.err
    assert sound(tmp_path / "out.webm")[-1][0] > 0.85


def test_more_frames_than_a_gif_can_count(impasto, tmp_path, frames):
    clips.write(tmp_path / "quick.mp4", frames, times=[4 * index for index in range(24)])
    ended = impasto("video", "quick.mp4", STYLE, "-o", "out.gif")
    assert ended.code == 0, ended.err
    assert 8 <= len(pictures(tmp_path / "out.gif")) <= 12


def test_a_film_that_cannot_be_sought_in(impasto, tmp_path, frames):
    source = clips.write(tmp_path / "c.mp4", frames)
    clips.copied(source, tmp_path / "raw.h264")
    ended = impasto("video", "raw.h264", STYLE, "-o", "out.mp4", "--start", "0.4")
    assert ended.code == 0, ended.err
    assert 5 < len(pictures(tmp_path / "out.mp4")) < 24


def test_work_files_are_nobody_elses(impasto, tmp_path, clip, monkeypatch):
    (tmp_path / "out.part.mp4").write_text("mine")
    assert "out.part.mp4 is in the way" in refused(impasto, clip, STYLE)
    assert (tmp_path / "out.part.mp4").read_text() == "mine"
    (tmp_path / "out.part.mp4").rename(tmp_path / "out.part-2.mp4")
    assert impasto("video", clip, STYLE, "-o", "out.mp4", "--end", "0.1").code == 0
    assert (tmp_path / "out.part-2.mp4").read_text() == "mine"
    (tmp_path / "out.part-2.mp4").unlink()
    (tmp_path / "out.mp4").rename(tmp_path / "out.part.mp4")
    arguments = (tmp_path / "out.part.mp4", STYLE, "--force")
    assert "out.part.mp4 is what is read" in refused(impasto, *arguments)
    assert len(pictures(tmp_path / "out.part.mp4")) == 3
    (tmp_path / "out.part.mp4").unlink()
    monkeypatch.setattr(stages, "SEGMENT_FRAMES", 5)
    film = Film(clip, STYLE, tmp_path / "out.mp4")
    for progress in film:
        if progress.frame == 8:
            break
    film.finish()
    part = tmp_path / "out.part.mp4"
    part.write_bytes(part.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="out.part.mp4 is damaged"):
        Film(clip, STYLE, tmp_path / "out.mp4", resume=True)
    assert impasto("video", clip, STYLE, "-o", "out.mp4", "--force").code == 0
    assert not list(tmp_path.glob("*.part*"))


def test_ten_hours_are_claimed(impasto, tmp_path, frames):
    times = [40 * index for index in range(24)]
    times[-1] = 36_000_000  # a single frame, ten hours later
    clips.write(tmp_path / "long.mp4", frames, times=times)
    ended = impasto("video", "long.mp4", STYLE, "-o", "out.mp4")
    assert ended.code == 0, ended.err
    assert len(pictures(tmp_path / "out.mp4")) == 24


def test_tiny_films_are_refused(impasto, tmp_path, frames):
    clips.write(tmp_path / "tiny.mp4", [frame[:20, :40] for frame in frames[:2]])
    assert "both sides need at least 32 px" in refused(impasto, "tiny.mp4", STYLE)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "no style image was given"),
        ((STYLE, "--start", "5"), "has no frames from 5 s on"),
        ((STYLE, "--start", "1", "--end", "0.5"), "has no frames"),
        ((STYLE, "--start", "soon"), "a time is seconds or 1:02:03"),
        ((STYLE, "--style-at", "soon"), "is SECONDS:STYLE"),
        ((STYLE, "--style-at", "0:honey-wash"), "needs a time of its own"),
        ((STYLE, "--style-at", f"1:{PAINTING}"), "can't change into a painting"),
        ((STYLE, "--rate", "x"), "a rate is a number"),
        ((STYLE, "--rate", "5"), "has a rate of its own"),
        ((STYLE, "--style-at", "0:00:honey-wash"), "needs a time of its own"),
        ((STYLE, "--codec", "vp9"), "a .mp4 file holds h264 or hevc or av1, not vp9"),
        ((STYLE, "--codec", "divx"), "a .mp4 file holds"),
        ((STYLE, "--crf", "70"), "--crf is from 0 to 51"),
        ((STYLE, "--mask", "none.png"), "no such file"),
        ((STYLE, "--resume"), "there is nothing to resume"),
        ((STYLE, "--strength", "1.5"), "strength is at most 1"),
        ((STYLE, "--steps", "x"), "steps"),
        (("nothing.jpg",), "no such file"),
    ],
)
def test_bad_settings(arguments, sentence, impasto, clip, tmp_path):
    assert sentence in refused(impasto, clip, *arguments)
    assert not list(tmp_path.glob("out*"))


def test_bad_targets(impasto, clip, tmp_path):
    def sentence(output: str, *more: str) -> str:
        return impasto("video", clip, STYLE, "-o", output, *more).sentence()

    assert "there is no film format '.avi'" in sentence("out.avi")
    assert "has no extension" in sentence("out")
    assert "there is no folder" in sentence("none/out.mp4")
    (tmp_path / "there.mp4").write_text("mine")
    assert "exists already" in sentence("there.mp4")
    assert (tmp_path / "there.mp4").read_text() == "mine"
    before = clip.read_bytes()
    assert "is what is read" in impasto("video", clip, STYLE, "-o", clip, "--force").sentence()
    ended = impasto("live", clip, clip, "--style", STYLE, "--force")
    assert "is what is read" in ended.sentence()
    assert clip.read_bytes() == before
    for name in ("m.png", "m-001.png"):
        Image.fromarray(clips.photo(160, 96)).save(tmp_path / name)
    mask = (tmp_path / "m-001.png").read_bytes()
    arguments = ("--mask", "m-001.png", "-o", "m-%03d.png", "--force")
    assert "is what is read" in impasto("video", clip, STYLE, *arguments).sentence()
    assert (tmp_path / "m-001.png").read_bytes() == mask
    (tmp_path / "f-002.png").write_text("mine")
    assert "exists already" in sentence("f-%03d.png")
    assert (tmp_path / "f-002.png").read_text() == "mine"
    (tmp_path / "f-002.png").unlink()
    photo = Image.fromarray(clips.photo(64, 64))
    photo.save(tmp_path / "f-001.png")
    ended = impasto("video", "f-%03d.png", STYLE, "-o", "f-%03d.png", "--force")
    assert "is what is read" in ended.sentence()
    assert (np.asarray(Image.open(tmp_path / "f-001.png")) == np.asarray(photo)).all()
    assert "has no codec, nor --crf" in sentence("f-%03d.png", "--crf", "3")
    assert "isn't an image" in impasto("video", clip, clip, "-o", "o.mp4").sentence()


def test_a_photo_is_a_film_of_one_picture(impasto, tmp_path):
    assert impasto("video", PHOTO, STYLE, "-o", tmp_path / "o.mp4", "--size", 96).code == 0
    assert len(pictures(tmp_path / "o.mp4")) == 1


@pytest.mark.parametrize("size", [200, 300])  # kB: the film doesn't fit, or what is known of it
def test_a_full_disk(size, impasto, tmp_path, frames):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        random = np.random.default_rng(0)
        noise = [random.integers(0, 255, (128, 192, 3), np.uint8) for _ in range(150)]
        clips.write(tmp_path / "noise.mp4", noise)
        ended = impasto("video", "noise.mp4", STYLE, "-o", disk / "out.mp4", "--quiet")
        assert "can't be written" in ended.sentence()
        (part,) = disk.glob("out.part.mp4")
        assert len(list(open_source(str(part), None).frames())) >= 1  # what was written plays
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_an_error_while_painting_ends_all_threads(tmp_path, clip, monkeypatch):
    """A thread that still works on frames may abort the process when it exits."""

    def fails(*arguments, **options):
        raise ZeroDivisionError

    before = set(threading.enumerate())
    film = Film(clip, STYLE, tmp_path / "out.mp4")
    monkeypatch.setattr(film.painter, "start", fails)
    with pytest.raises(ZeroDivisionError) as caught:
        list(film)
    assert caught.tb  # the traceback refers to the stages
    assert not [thread for thread in threading.enumerate() if thread not in before]
