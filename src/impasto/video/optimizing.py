"""Frames painted by optimisation, each from the one before (Ruder et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch

from impasto.base.errors import RecipeError
from impasto.library import api
from impasto.losses.objective import Anchor
from impasto.motion.flow import Motion, warped
from impasto.runs.result import last
from impasto.video.painting import Key, as_array, as_picture

LATER_STEPS = 0.3
"""A frame begins with the one before, so that so many of the steps are enough."""
LEAST_STEPS = 8
TOLD_PX, LEAST_TOLD = 4, 16
"""Colours are told from every 4th pixel across and down, and from that many at least."""
TEMPORAL_WEIGHT = 40.0
"""Of the mean squared distance from there, colours from 0 to 1."""


class OptimizingPainter:
    """The method optimize: the first frame of a shot as a picture by itself, each later one from
    the one before, warped, which it is held to where the motion is trusted.
    """

    def __init__(self, keys: Sequence[Key], settings: Mapping[str, Any], first: np.ndarray) -> None:
        if len(keys) > 1:
            raise RecipeError("styles change over time with the method instant only")
        self.pairs = api.read_styles(keys[0].styles)
        # The palette of a picture that is matched by itself differs from the frame before's.
        self.settings = {"palette": 0, **settings, "size": 0}
        self.last: np.ndarray | None = None
        self.recipe = api.prepare(as_picture(first), self.pairs, **self.settings).recipe

    def paint(
        self, pixels: np.ndarray, time: float, index: int, motion: Motion | None
    ) -> np.ndarray:
        picture = as_picture(pixels)
        if motion is None or self.last is None:
            job = api.prepare(picture, self.pairs, **self.settings)
        else:
            motion = motion.scaled(*pixels.shape[:2])
            before = np.clip(warped(self.last, motion.back, cv2.INTER_CUBIC), 0, 255)
            fresh = recoloured(pixels, before, motion.trust)
            begun = as_tensor(fresh + motion.trust[..., None] * (before - fresh))
            trust = torch.from_numpy(motion.trust)[None, None]
            steps = max(LEAST_STEPS, round(self.recipe.steps * LATER_STEPS))
            # A polish begins with long steps, which would differ from frame to frame.
            later = {**self.settings, "steps": steps, "scales": 1, "polish": 0}
            job = api.prepare(picture, self.pairs, **later)
            job = replace(
                job,
                init=replace(picture, rgb=begun),
                anchor=Anchor(begun, trust, TEMPORAL_WEIGHT),
            )
        painted = torch.from_numpy(last(api.run(job)).result().array[..., :3])
        self.last = as_array(painted.permute(2, 0, 1)[None])
        return self.last

    def start(
        self, pixels: np.ndarray, time: float, index: int, motion: Motion | None
    ) -> Callable[[], np.ndarray]:
        picture = self.paint(pixels, time, index, motion)
        return lambda: picture

    def state(self) -> dict[str, Any]:
        return {} if self.last is None else {"last": torch.from_numpy(self.last)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.last = state["last"].numpy() if state else None


def recoloured(pixels: np.ndarray, like: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """A frame in about the colours of a painting ``like`` it, (H, W, 3), 0 to 255: by the affine
    map of colours that suits best where the two are known to show the same. What comes into view
    begins with it.
    """
    colours = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=2) / np.float32(255)
    same = trust[::TOLD_PX, ::TOLD_PX] > 0.5
    if same.sum() < LEAST_TOLD:
        return pixels.astype(np.float32)
    told, wanted = (image[::TOLD_PX, ::TOLD_PX][same] for image in (colours, like))
    affine = np.linalg.lstsq(told, wanted, rcond=None)[0]
    shown: np.ndarray = np.clip(colours @ affine, 0, 255).astype(np.float32)
    return shown


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    """(H, W, 3), 0 to 255 → (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].div(255).contiguous()
