"""A film without flicker: each picture is blended with the one before, moved as the source moved.

Frame by frame, a network answers every bit of noise with other strokes. So where the source's
motion can be trusted (``flow.py``) the picture before, warped, counts most; where something comes
into view, or the shot changes, the new one (Ruder et al. 2016; Lai et al. 2018). What is carried on
is blurred a little each time and may drift from what is there now: both are kept in check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch

from impasto.motion.flow import (
    FlowFinder,
    Motion,
    camera_motion,
    small_grey,
    squares,
    warped,
    within,
)

MOST_CARRIED = 0.97
"""How much of the picture before counts at stability 1, where it is trusted."""
NOISE_GREY = 10.0
"""A place that is so much brighter or darker than where it came from, out of 255, isn't the same.
Differences are averaged over ``NEIGHBOURHOOD``, px, first: that leaves little of noise.
"""
NEIGHBOURHOOD = 7, 7
LIKE_GREY, UNLIKE_GREY = 4.0, 10.0
"""Places that differ less, on average, from where the camera's motion puts them are the same; such
that differ more aren't."""
STILL_PX, MOVING_PX = 0.1, 0.35
"""Motion below the first is none, but the flow's error; above the second all of it is motion."""
DRIFT = 40.0
"""Where, seen from afar, the two pictures differ so much, out of 255, the old one counts 1/e."""
AFAR_SHARE = 8
CUT_GREY, CUT_TRUST = 18.0, 0.5
"""A frame is the first of a shot if it differs so much, on average, from the one before, warped,
and no more of it can be trusted."""
AS_SHARP = 0.96
"""What is shown is to be so sharp, of the frame by itself, on average."""
SHARPEST = 2.5
"""At most so much of the finest detail is added to what is shown."""

AROUND = np.ones((3, 3), np.uint8)


def _smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


GREYS = np.arange(256, dtype=np.float32)
SAME_PLACE = np.exp(-np.square(GREYS / NOISE_GREY))
EXPLAINED = 1 - _smoothstep(GREYS, LIKE_GREY, UNLIKE_GREY)
"""Tables: how far a place is the same, and what it looks like explained by the camera's motion, if
it differs by so much."""


class Watcher:
    """Looks at source frames in turn."""

    def __init__(self) -> None:
        self.finder = FlowFinder()
        self.before: np.ndarray | None = None

    def state(self) -> dict[str, Any]:
        return {} if self.before is None else {"before": torch.from_numpy(self.before)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.before = state["before"].numpy() if state else None

    def motion(self, pixels: np.ndarray) -> Motion | None:
        """The motion since the frame before, (H, W, 3) of uint8; None: a shot begins."""
        now = small_grey(pixels)
        before, self.before = self.before, now
        if before is None or before.shape != now.shape:
            return None
        found = self.finder.between(before, now)
        moving = _smoothstep(np.sqrt(squares(found.back)), STILL_PX, MOVING_PX)
        back = found.back * moving[..., None]
        apart = cv2.absdiff(
            cv2.blur(now, NEIGHBOURHOOD), cv2.blur(warped(before, back), NEIGHBOURHOOD)
        )
        trust = cv2.GaussianBlur(cv2.erode(found.trust, AROUND), (5, 5), 0)
        trust = np.maximum(trust, 1 - moving)  # what doesn't move needs no flow
        trust = trust * cv2.LUT(apart, SAME_PLACE)
        if apart.mean() > CUT_GREY and trust.mean() < CUT_TRUST:
            return None
        camera = camera_motion(found, now)
        if camera is None or np.abs(camera).max() < STILL_PX:
            return Motion(back, trust)
        apart = cv2.blur(cv2.absdiff(now, warped(before, camera)), NEIGHBOURHOOD)
        explained = cv2.erode(cv2.LUT(apart, EXPLAINED) * within(camera), AROUND)
        cv2.copyTo(camera, (explained >= trust).astype(np.uint8), back)
        return Motion(back, np.maximum(explained, trust))


class Stabiliser:
    """Takes the painted frames in turn, (H, W, 3) of float32 from 0 to 255, with the source's
    motion, and returns what to show. ``stability`` from 0, which is frame by frame, to 1.
    """

    def __init__(self, stability: float) -> None:
        self.stability = stability
        self.carried = MOST_CARRIED * (1 - (1 - stability) ** 2)
        self.last: np.ndarray | None = None
        self.age: np.ndarray | None = None  # frames that each place has been seen for

    def state(self) -> dict[str, Any]:
        kept = {"last": self.last, "age": self.age}
        return {name: torch.from_numpy(array) for name, array in kept.items() if array is not None}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.last, self.age = (
            state[name].numpy() if name in state else None for name in ("last", "age")
        )

    def shown(self, painted: np.ndarray, motion: Motion | None) -> np.ndarray:
        """What to show of a frame."""
        if self.stability == 0:
            return painted
        if motion is None or self.last is None or self.last.shape != painted.shape:
            self.last, self.age = painted, None
            return painted
        height, width = painted.shape[:2]
        motion = self._weighed(motion).scaled(height, width)
        carried = warped(self.last, motion.back, cv2.INTER_CUBIC)
        weight = motion.trust * _same(painted, carried)
        self.last = cv2.blendLinear(carried, painted, weight, 1 - weight)
        return _sharpened(self.last, painted, weight)

    def _weighed(self, motion: Motion) -> Motion:
        """The motion, its trust being how much the picture before counts: of what is new to the
        film the first pictures are averaged, so that it doesn't cling to the very first one's
        noise.
        """
        age = np.ones_like(motion.trust) if self.age is None else self.age
        age = warped(age, motion.back)
        self.age = motion.trust * age + 1
        return Motion(motion.back, motion.trust * np.minimum(self.carried, age / (age + 1)))


def _sharpened(picture: np.ndarray, painted: np.ndarray, carried: np.ndarray) -> np.ndarray:
    """On average about as sharp as the painted one. As far as places were carried on, ``carried``
    (H, W), they are sharpened; the others are as sharp as they were. Only what is shown is, or
    patterns would grow from frame to frame.
    """
    fine = (picture - cv2.GaussianBlur(picture, (0, 0), 1.0)) * carried[..., None]
    own, sharper = sharpness(picture), sharpness(picture + fine)
    amount = (AS_SHARP * sharpness(painted) - own) / max(1e-6, sharper - own)
    shown: np.ndarray = np.clip(picture + min(max(amount, 0.0), SHARPEST) * fine, 0, 255)
    return shown


def _same(painted: np.ndarray, carried: np.ndarray) -> np.ndarray:
    """How far the two agree, seen from afar, (H, W): where not, what is carried on has drifted."""
    height, width = painted.shape[:2]
    size = max(1, width // AFAR_SHARE), max(1, height // AFAR_SHARE)
    difference = cv2.resize(painted - carried, size, interpolation=cv2.INTER_AREA)
    far = np.exp(-np.einsum("hwc,hwc->hw", difference, difference) / DRIFT**2)
    same: np.ndarray = cv2.resize(far, (width, height), interpolation=cv2.INTER_LINEAR)
    return same


def sharpness(picture: np.ndarray) -> float:
    """The mean slope of the green channel, from every other row."""
    green = np.ascontiguousarray(picture[..., 1])
    across = cv2.absdiff(green[::2, 1:], green[::2, :-1]).mean()
    down = cv2.absdiff(green[1::2], green[: len(green) // 2 * 2 : 2]).mean()
    return float(across + down)
