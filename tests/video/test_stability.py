"""Flow, cuts, blending, and how it is measured."""

from __future__ import annotations

import json

import clips
import cv2
import numpy as np
import pytest
import torch

from impasto.base.errors import ImageError
from impasto.losses.objective import Anchor
from impasto.methods.optimize.frames import recoloured
from impasto.motion.flow import (
    FlowFinder,
    Motion,
    camera_motion,
    consistent,
    motion_edges,
    small_grey,
    warped,
)
from impasto.video.measure import steadiness
from impasto.video.painting import Key, frame_painter
from impasto.video.stability import MotionTracker, Stabiliser, sharpness

STYLE = "violet-spots"


def shifted(picture: np.ndarray, x: float, y: float, width: int, height: int) -> np.ndarray:
    matrix = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
    return cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_CUBIC)


def test_a_known_motion_is_found():
    picture = clips.photo(500, 400)
    before, now = (shifted(picture, x, 20 + y, 320, 200) for x, y in ((50, 0), (53, -2)))
    motion = FlowFinder().between(small_grey(before), small_grey(now))
    inner = motion.back[20:-20, 20:-20]
    assert np.median(inner[..., 0]) == pytest.approx(3, abs=0.15)
    assert np.median(inner[..., 1]) == pytest.approx(-2, abs=0.15)
    carried = warped(before, motion.back, cv2.INTER_CUBIC).astype(int)
    assert np.abs(carried - now)[20:-20, 20:-20].mean() < 2
    assert motion.trust[20:-20, 20:-20].mean() > 0.9


def test_what_comes_into_view_is_not_trusted():
    back = np.zeros((50, 80, 2), np.float32)
    back[:, 40:, 0] = 8
    forth = np.zeros_like(back)
    trusted = consistent(back, forth)  # equation 6: there and back again ends elsewhere
    assert trusted[:, :40].all()
    assert not trusted[:, 41:].any()
    assert motion_edges(back)[:, 39:41].all()
    assert not motion_edges(back)[:, 45:].any()
    outside = np.full((50, 80, 2), -10, np.float32)
    assert not consistent(outside, -outside)[:, :9].any()


@pytest.mark.parametrize("noise", [0, 0.5, 2])
def test_what_is_too_plain_to_follow_moves_with_the_camera(noise):
    picture = clips.photo(500, 400)
    picture[100:260, 100:300] = 90
    random = np.random.default_rng(0)
    watcher = MotionTracker()
    for x in (50, 54):
        view = shifted(picture, x, 40, 320, 200)
        motion = watcher.motion(clips._bytes(view + random.normal(0, noise, view.shape)))
    plain = slice(65, 200), slice(55, 240)
    assert motion.trust[plain].min() > 0.9
    assert np.percentile(motion.back[plain][..., 0], (5, 95)) == pytest.approx(4, abs=0.5)


@pytest.mark.parametrize("noise", [0, 2])
def test_what_moves_before_a_plain_wall_is_not_the_camera(noise):
    """Nothing else can be followed there, and yet the wall stands still."""
    picture, wall = clips.photo(320, 200), np.full((200, 320, 3), 120, np.uint8)
    random = np.random.default_rng(0)
    views = []
    for x in (60, 63):
        view = wall.copy()
        view[40:160, x : x + 190] = picture[:120, :190]
        views.append(small_grey(clips._bytes(view + random.normal(0, noise, view.shape))))
    assert camera_motion(FlowFinder().between(*views), views[1]) is None
    views = [small_grey(shifted(picture, x, 0, 280, 180)) for x in (10, 13)]
    camera = camera_motion(FlowFinder().between(*views), views[1])
    assert np.abs(camera - (3, 0)).max() < 0.3


def test_what_moves_by_itself_does_not_move_with_the_camera():
    clip = list(clips.panning(clips.photo(420, 300), clips.photo(80, 80, 3), 320, 192, 2))
    watcher = MotionTracker()
    for frame in clip:
        motion = watcher.motion(frame)
    (centre, rows), radius = (round(320 * 0.2 + 2.6), round(192 * 0.55)), 192 // 5
    assert np.median(motion.back[rows - 15 : rows + 15, centre - 15 : centre + 15, 0]) < -2
    assert np.median(motion.back[20:50, 200:, 0]) > 1.5
    assert motion.trust[20:50, 200:-4].mean() > 0.95
    uncovered = motion.trust[rows - 8 : rows + 8, centre - radius - 2 : centre - radius]
    assert uncovered.mean() < 0.5


def test_only_what_is_carried_on_is_sharpened():
    """The rest is as sharp as it was."""
    random = np.random.default_rng(0)
    first, second = random.uniform(0, 255, (2, 64, 96, 3)).astype(np.float32)
    stabiliser = Stabiliser(0.9)
    trust = np.zeros((64, 96), np.float32)
    trust[:, :48] = 1
    stabiliser.shown(first, None)
    shown = stabiliser.shown(second, Motion(np.zeros((64, 96, 2), np.float32), trust))
    assert np.abs(shown[:, 49:] - second[:, 49:]).max() < 0.01
    assert sharpness(shown[:, :48]) > 1.2 * sharpness(stabiliser.last[:, :48])


def test_motion_of_a_larger_picture():
    finder = FlowFinder()
    picture = clips.photo(400, 300)
    before, now = (small_grey(shifted(picture, x, 10, 320, 200)) for x in (0, 2))
    motion = finder.between(before, now)
    large = motion.scaled(400, 640)
    assert large.back.shape == (400, 640, 2)
    assert np.median(large.back[..., 0]) == pytest.approx(4, abs=0.3)


def test_cuts_are_found_and_nothing_else(frames):
    other = list(clips.noisy(clips.photo(160, 96, 9), 8))
    watcher = MotionTracker()
    starts = [i for i, frame in enumerate([*frames, *other]) if watcher.motion(frame) is None]
    assert starts == [0, len(frames)]


def test_a_pan_and_a_cut_and_noise_are_steady(frames):
    """Against frame by frame: half the warping error, as sharp; noise hardly seen."""
    still = list(clips.noisy(clips.photo(160, 96, 5), 60))
    for clip in (frames, still, [*frames[:12], *still[:12]]):
        plain, steady = (painted(clip, stability) for stability in (0, 0.9))
        before, after = steadiness(plain, clip), steadiness(steady, clip)
        assert after.warping_error < 0.5 * before.warping_error
        assert after.sharpness > 0.95 * before.sharpness
        assert after.sharpness < 1.1 * before.sharpness
        if clip is still:
            assert after.flicker < 0.4 * before.flicker
            assert after.frame_difference < 0.3 * before.frame_difference


def painted(clip: list[np.ndarray], stability: float, style: str = STYLE) -> list[np.ndarray]:
    painter = frame_painter([Key(0, style)], {}, clip[0], steady=stability > 0)
    watcher, stabiliser = MotionTracker(), Stabiliser(stability)
    pictures = []
    for index, frame in enumerate(clip):
        motion = watcher.motion(frame)
        picture = painter.paint(frame, index / 25, index, motion)
        pictures.append(cv2.convertScaleAbs(stabiliser.shown(picture, motion)))
    return pictures


def test_a_still_scene_changes_at_its_cut():
    """After a cut nothing of the shot before is seen."""
    first = [np.full((96, 160, 3), 40, np.uint8)] * 3
    second = list(clips.noisy(clips.photo(160, 96, 2), 4, sigma=0))
    steady, plain = (painted([*first, *second], stability) for stability in (1, 0))
    assert np.abs(steady[3].astype(int) - plain[3]).mean() < 3


def test_the_numbers_mean_what_they_say():
    still = [clips.photo(160, 96)] * 6
    flat = steadiness(still, still)
    assert (flat.warping_error, flat.flicker) == (0, 0)
    random = np.random.default_rng(0)
    noise = random.normal(0, 10, (200, 96, 160, 1))
    grey = [np.full((96, 160, 3), 128, np.uint8)] * 200
    flickering = [
        np.clip(g + n + 0.5, 0, 255).astype(np.uint8) for g, n in zip(grey, noise, strict=True)
    ]
    measured = steadiness(flickering, grey)
    assert measured.flicker == pytest.approx(10, rel=0.02)
    # Two independent deviations of 10 in each of three channels.
    assert measured.warping_error == pytest.approx(1000 * 3 * 2 * (10 / 255) ** 2, rel=0.02)
    moving = list(clips.panning(clips.photo(420, 300), clips.photo(80, 80), 160, 96, 40))
    carried = steadiness(moving, moving)
    assert carried.warping_error < 0.5
    assert carried.frame_difference == pytest.approx(1, abs=0.01)
    assert carried.flicker is None
    with pytest.raises(ImageError, match="two are needed"):
        steadiness(still[:1], still[:1])


@pytest.mark.parametrize("size", [(1920, 64), (40, 900), (448, 20), (33, 32)])
def test_narrow_pictures(size):
    """On what is under 32 px high OpenCV's search crashes."""
    picture = clips.photo(2000, 1000)
    width, height = size
    watcher = MotionTracker()
    for x in (0, 2):
        motion = watcher.motion(np.ascontiguousarray(picture[:height, x : x + width]))
    assert np.isfinite(motion.back).all()
    assert motion.scaled(height, width).trust.shape == (height, width)


def test_sharpness():
    picture = clips.photo(160, 96).astype(np.float32)
    assert sharpness(cv2.GaussianBlur(picture, (0, 0), 2)) < 0.8 * sharpness(picture)
    ramp = np.arange(96, dtype=np.float32)[:, None, None] + np.zeros((96, 100, 3), np.float32)
    assert sharpness(ramp) == 1


@pytest.mark.parametrize("style", [STYLE, "painting"])
def test_a_fade_is_painted_as_it_becomes_light(style, painting):
    """Black has nothing to be painted, and its statistics are no good for what comes out of it."""
    picture = clips.photo(160, 96).astype(np.float32)
    fade = [(picture * min(1, index / 12)).astype(np.uint8) for index in range(24)]
    style = str(painting) if style == "painting" else style
    steady, plain = (painted(fade, stability, style) for stability in (0.9, 0))
    apart = [np.abs(a.astype(int) - b).mean() for a, b in zip(steady, plain, strict=True)]
    assert max(apart) < 20
    assert steady[0].max() == 0
    assert steady[-1].std() > 15


def test_evaluate_a_film(impasto, clip, tmp_path):
    for name, stability in (("plain", 0), ("steady", 0.9)):
        made = impasto("video", clip, STYLE, "-o", f"{name}.mp4", "--stability", stability)
        assert made.code == 0, made.err
    flags = ("--video", "--content", clip)
    told = json.loads(
        impasto("evaluate", "steady.mp4", *flags, "--reference", "plain.mp4", "--json").out
    )
    assert told["frames"] == 24
    assert told["warping_error"] < 0.6 * told["reference"]["warping_error"]
    shown = impasto("evaluate", "steady.mp4", *flags, "--reference", "plain.mp4").out
    assert "warping error" in shown
    assert "no such file" in impasto("evaluate", "none.mp4", *flags).sentence()
    assert impasto("video", clip, STYLE, "-o", "short.mp4", "--end", "0.5").code == 0
    assert "one film ends after 13 frames" in impasto("evaluate", "short.mp4", *flags).sentence()
    assert "--style is missing" in impasto("evaluate", clip, "--content", clip).sentence()


def test_the_temporal_loss_and_its_gradient():
    """Ruder et al. 2016, equation 8: the mean of the trusted squared distance."""
    random = torch.Generator().manual_seed(0)
    image, picture = (torch.rand(1, 3, 8, 9, generator=random, dtype=torch.double) for _ in "ab")
    trust = (torch.rand(1, 1, 8, 9, generator=random) > 0.5).double()
    loss, gradient = Anchor(picture, trust, 7.0).at(image)
    assert float(loss) == pytest.approx(7 * float((trust * (image - picture) ** 2).mean()))
    held = image.clone().requires_grad_()
    expected = torch.autograd.grad(7 * (trust * (held - picture) ** 2).mean(), held)[0]
    assert torch.allclose(gradient, expected)


def test_what_comes_into_view_begins_in_the_paintings_colours():
    picture = clips.photo(160, 96)
    turned = 255 - picture[..., ::-1].astype(np.float32)
    trust = np.ones((96, 160), np.float32)
    trust[:, 100:] = 0
    like = np.where(trust[..., None] > 0, turned, 0)
    assert np.abs(recoloured(picture, like, trust) - turned).max() < 1
    assert (recoloured(picture, like, 0 * trust) == picture).all()


def test_an_optimised_frame_is_held_to_the_one_before(frames, painting):
    """With the temporal loss the next frame is nearer to the last one, warped."""
    settings = {"method": "optimize", "preset": "draft", "steps": 14}
    watcher, apart = MotionTracker(), []
    motions = [watcher.motion(frame) for frame in frames[:2]]
    for motion in (motions[1], None):
        painter = frame_painter(
            [Key(0, str(painting))], {"method": "optimize", **settings}, frames[0], steady=True
        )
        first = painter.paint(frames[0], 0, 0, None)
        second = painter.paint(frames[1], 0.04, 1, motion)
        carried = warped(first, motions[1].scaled(96, 160).back, cv2.INTER_CUBIC)
        apart.append(np.abs(second - carried)[10:-10, 10:-10].mean())
    assert apart[0] < 0.7 * apart[1]
