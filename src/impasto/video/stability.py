"""Temporal stability: each stylized frame is blended with the warped frame before it.

A network paints different strokes for every bit of noise, so that frames painted by themselves
flicker. Where the source's motion can be trusted (``motion/flow.py``), the previous picture, warped
by the motion, gets most of the weight. Where something comes into view, or the shot changes, the
new picture does (Ruder et al. 2016; Lai et al. 2018). Warping blurs the picture a little each time,
and it may drift away from the source: sharpening and a comparison at low resolution prevent both.
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

MAX_PREVIOUS_WEIGHT = 0.97
"""Weight of the previous picture at stability 1, where the motion is trusted."""
NOISE_GREY = 10.0
"""If a place differs in brightness by so much, of 255, from where it came from, its trust is 1/e.
Differences are averaged over ``NEIGHBOURHOOD`` first, which removes most of the noise.
"""
NEIGHBOURHOOD = 7, 7  # px
SAME_GREY, DIFFERENT_GREY = 4.0, 10.0
"""Places whose mean difference from the prediction by the camera's motion is below the first value
are explained by it; those above the second aren't.
"""
STILL_PX, MOVING_PX = 0.1, 0.35
"""Flow below the first value is regarded as error, above the second one as motion, in between as a
mixture.
"""
DRIFT = 40.0
"""The difference of the two pictures at low resolution, of 255, that reduces the old one's weight
to 1/e."""
DOWNSCALE = 8
"""The low resolution is that of the pictures divided by this."""
CUT_GREY, CUT_TRUST = 18.0, 0.5
"""A frame begins a shot if its mean difference from the warped frame before it is above the first
value, of 255, and the mean trust is below the second one.
"""
MIN_SHARPNESS_RATIO = 0.96
"""Mean sharpness of a stabilised frame relative to that of the unstabilised one."""
MAX_DETAIL_GAIN = 2.5
"""Upper limit of the factor by which the finest detail is added."""

KERNEL_3X3 = np.ones((3, 3), np.uint8)


def _smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return values that rise smoothly from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


GREYS = np.arange(256, dtype=np.float32)
TRUST_BY_DIFFERENCE = np.exp(-np.square(GREYS / NOISE_GREY))
EXPLAINED_BY_DIFFERENCE = 1 - _smoothstep(GREYS, SAME_GREY, DIFFERENT_GREY)
"""Lookup tables, by the difference in brightness, 0 to 255: the trust that two places are the same,
and how far the camera's motion explains a place.
"""


class MotionTracker:
    """Finds the motion between source frames, which it gets one after the other."""

    def __init__(self) -> None:
        self.finder = FlowFinder()
        self.previous: np.ndarray | None = None

    def state(self) -> dict[str, Any]:
        """Return the state to resume from."""
        return {} if self.previous is None else {"before": torch.from_numpy(self.previous)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state."""
        self.previous = state["before"].numpy() if state else None

    def motion(self, pixels: np.ndarray) -> Motion | None:
        """Return the motion since the previous frame, or None if a shot begins.

        Args:
            pixels: (H, W, 3) of uint8.
        """
        now = small_grey(pixels)
        before, self.previous = self.previous, now
        if before is None or before.shape != now.shape:
            return None
        found = self.finder.between(before, now)
        # Small flow vectors are errors: set them to zero.
        moving = _smoothstep(np.sqrt(squares(found.back)), STILL_PX, MOVING_PX)
        back = found.back * moving[..., None]
        # Trust the flow where it is consistent and predicts the brightness.
        difference = cv2.absdiff(
            cv2.blur(now, NEIGHBOURHOOD), cv2.blur(warped(before, back), NEIGHBOURHOOD)
        )
        trust = cv2.GaussianBlur(cv2.erode(found.trust, KERNEL_3X3), (5, 5), 0)
        trust = np.maximum(trust, 1 - moving)  # static places need no flow
        trust = trust * cv2.LUT(difference, TRUST_BY_DIFFERENCE)
        if difference.mean() > CUT_GREY and trust.mean() < CUT_TRUST:
            return None
        # Where the camera's motion predicts the brightness, it is more precise than the flow.
        camera = camera_motion(found, now)
        if camera is None or np.abs(camera).max() < STILL_PX:
            return Motion(back, trust)
        difference = cv2.blur(cv2.absdiff(now, warped(before, camera)), NEIGHBOURHOOD)
        explained = cv2.erode(
            cv2.LUT(difference, EXPLAINED_BY_DIFFERENCE) * within(camera), KERNEL_3X3
        )
        cv2.copyTo(camera, (explained >= trust).astype(np.uint8), back)
        return Motion(back, np.maximum(explained, trust))


class Stabiliser:
    """Blends each painted frame with the previous one.

    Args:
        stability: From 0, each frame by itself, to 1.
    """

    def __init__(self, stability: float) -> None:
        self.stability = stability
        self.previous_weight = MAX_PREVIOUS_WEIGHT * (1 - (1 - stability) ** 2)
        self.last: np.ndarray | None = None
        self.age: np.ndarray | None = None  # frames that each place has been seen for

    def state(self) -> dict[str, Any]:
        """Return the state to resume from."""
        kept = {"last": self.last, "age": self.age}
        return {name: torch.from_numpy(array) for name, array in kept.items() if array is not None}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state."""
        self.last, self.age = (
            state[name].numpy() if name in state else None for name in ("last", "age")
        )

    def shown(self, painted: np.ndarray, motion: Motion | None) -> np.ndarray:
        """Return the stabilised frame.

        Args:
            painted: The painted frame, (H, W, 3) of float32, 0 to 255.
            motion: The source's motion since the previous frame; None if a shot begins.
        """
        if self.stability == 0:
            return painted
        if motion is None or self.last is None or self.last.shape != painted.shape:
            self.last, self.age = painted, None
            return painted
        height, width = painted.shape[:2]
        motion = self._weighted(motion).scaled(height, width)
        previous = warped(self.last, motion.back, cv2.INTER_CUBIC)
        weight = motion.trust * _agreement(painted, previous)
        self.last = cv2.blendLinear(previous, painted, weight, 1 - weight)
        return _sharpened(self.last, painted, weight)

    def _weighted(self, motion: Motion) -> Motion:
        """Return the motion with the previous picture's weight as its trust.

        Of a place that has come into view, the first pictures are averaged: the weight grows with
        its age. Otherwise it would keep the noise of the very first picture.
        """
        age = np.ones_like(motion.trust) if self.age is None else self.age
        age = warped(age, motion.back)
        self.age = motion.trust * age + 1
        return Motion(motion.back, motion.trust * np.minimum(self.previous_weight, age / (age + 1)))


def _sharpened(picture: np.ndarray, painted: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return a blended picture, sharpened to about the mean sharpness of the painted one.

    Only the shown picture is sharpened, not the one that is blended with the next frame: otherwise
    patterns would grow from frame to frame.

    Args:
        picture: The blended picture, (H, W, 3), 0 to 255.
        painted: The painted picture, of the same shape.
        weight: The previous picture's weight, (H, W): only blended places are sharpened.
    """
    detail = (picture - cv2.GaussianBlur(picture, (0, 0), 1.0)) * weight[..., None]
    current, sharper = sharpness(picture), sharpness(picture + detail)
    gain = (MIN_SHARPNESS_RATIO * sharpness(painted) - current) / max(1e-6, sharper - current)
    shown: np.ndarray = np.clip(picture + min(max(gain, 0.0), MAX_DETAIL_GAIN) * detail, 0, 255)
    return shown


def _agreement(painted: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """Return how far two pictures agree at low resolution, (H, W), 0 to 1.

    Where they don't, the previous picture has drifted away from the source.
    """
    height, width = painted.shape[:2]
    size = max(1, width // DOWNSCALE), max(1, height // DOWNSCALE)
    difference = cv2.resize(painted - previous, size, interpolation=cv2.INTER_AREA)
    agreement = np.exp(-np.einsum("hwc,hwc->hw", difference, difference) / DRIFT**2)
    full: np.ndarray = cv2.resize(agreement, (width, height), interpolation=cv2.INTER_LINEAR)
    return full


def sharpness(picture: np.ndarray) -> float:
    """Return the mean gradient of the green channel over every other row."""
    green = np.ascontiguousarray(picture[..., 1])
    across = cv2.absdiff(green[::2, 1:], green[::2, :-1]).mean()
    down = cv2.absdiff(green[1::2], green[: len(green) // 2 * 2 : 2]).mean()
    return float(across + down)
