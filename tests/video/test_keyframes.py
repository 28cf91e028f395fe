"""Key frames of a film: the frames that are worth painting."""

from __future__ import annotations

import json

import clips
import cv2
import numpy as np
import pytest
from PIL import Image

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
