"""Key frames of a film: the frames that are worth painting."""

from __future__ import annotations

import json

import clips
import cv2
import numpy as np
import pytest
from PIL import Image

from impasto.styles import style_file
from impasto.video.frames import WHOLE
from impasto.video.keyframes import propose
from impasto.video.read.opening import open_source


@pytest.fixture
def scenes(tmp_path):
    """Three scenes of eight frames each. Only one frame of each is sharp."""
    frames = []
    for seed, shade in enumerate((0.3, 0.9, 1.6)):
        scene = clips.photo(160, 96, seed).astype(np.float32) * shade
        sharp = scene.clip(0, 255).astype(np.uint8)
        blurred = cv2.GaussianBlur(sharp, (0, 0), 4)
        frames += [sharp if number == 5 else blurred for number in range(8)]
    return clips.write(tmp_path / "scenes.mp4", frames)


def test_each_scene_gets_its_sharp_frame(scenes):
    times = propose(open_source(str(scenes), None), WHOLE, 3)
    assert [round(time * clips.RATE) for time in times] == [5, 13, 21]


def test_no_two_key_frames_are_the_same(tmp_path):
    still = clips.write(tmp_path / "still.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 5)
    assert len(propose(open_source(str(still), None), WHOLE, 4)) == 1


def test_frames_are_exported(impasto, scenes, tmp_path):
    done = impasto("video", scenes, "--frames-for-keyframes", 3, "--json", "-o", "keys")
    rows = json.loads(done.out)
    assert len(rows) == 3
    with Image.open(tmp_path / rows[0]["file"]) as frame:
        assert frame.size == (160, 96)
    again = impasto("video", scenes, "--frames-for-keyframes", 3, "-o", "keys")
    assert "exists already" in again.sentence()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere.mp4", "--frames-for-keyframes", 2), "nowhere.mp4"),
        (("scenes.mp4", "--frames-for-keyframes", 99), "between 1 and 20 key frames"),
        (("scenes.mp4", "--frames-for-keyframes", 2, "--start", 90), "has no frames from 90 s on"),
    ],
)
def test_bad_input_is_one_sentence(impasto, scenes, arguments, sentence):
    assert sentence in impasto("video", *arguments).sentence()


@pytest.fixture
def negatives(tmp_path, clip, frames):
    """Two key frames, painted as negatives."""
    for number in (0, 20):
        Image.fromarray(255 - frames[number]).save(tmp_path / f"negative{number}.png")
    return ["--keyframe", "0:negative0.png", "--keyframe", "0.8:negative20.png"]


def test_a_film_is_painted_like_its_key_frames(impasto, clip, negatives, tmp_path):
    done = impasto("video", clip, *negatives, "--learn-time", "1", "-o", "painted.mp4")
    assert done.code == 0, done.err
    assert "learned from a key frame: painted_keyframe_0.80s.style" in done.err
    assert open_source(str(tmp_path / "painted.mp4"), None).clip.frames == 24
    info = style_file.read_info((tmp_path / "painted_keyframe_0.00s.style").read_bytes(), "x")
    assert info.sources[0].name == "negative0.png"
    again = impasto("video", clip, *negatives, "--learn-time", "1", "-o", "painted.mp4")
    assert "exists already" in again.sentence()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--keyframe", "negative0.png"), "a key frame is SECONDS:PAINTED"),
        (("--keyframe", "0:nowhere.png"), "there is no such file"),
        (("--keyframe", "99:negative0.png"), "has no frame at 99 s"),
        (("--keyframe", "0:negative0.png", "--keyframe", "0:negative20.png"), "a time of its own"),
        (("--keyframe", "0:negative0.png", "--style", "ink"), "takes the place of a style"),
        (("--style", "honey-wash", "--learn-time", "3m"), "--learn-time is for --keyframe"),
        (
            ("--keyframe", "0:negative0.png", "--learn-time", "soon"),
            "a time is a number of seconds",
        ),
    ],
)
def test_bad_key_frames_are_one_sentence(impasto, clip, negatives, arguments, sentence):
    assert sentence in impasto("video", clip, *arguments).sentence()
