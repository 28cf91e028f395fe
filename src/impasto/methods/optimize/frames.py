"""Frames of a film painted by optimisation, each from the one before (Ruder et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch

from impasto.images.picture import Picture
from impasto.losses.objective import Anchor
from impasto.methods.base import FilmStyles, FramePainter, Method
from impasto.methods.frames import as_array, as_picture, check_single_style
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.motion.flow import Motion, warped
from impasto.runs.job import Job
from impasto.runs.progress import last

LATER_STEPS = 0.3
"""A frame begins with the one before, so that so many of the steps are enough."""
LEAST_STEPS = 8
TOLD_PX, LEAST_TOLD = 4, 16
"""Colours are told from every 4th pixel across and down, and from that many at least."""
TEMPORAL_WEIGHT = 40.0
"""Of the mean squared distance from there, colours from 0 to 1."""


class OptimizingPainter(FramePainter):
    """The method optimize: the first frame of a shot as a picture by itself, each later one from
    the one before, warped, which it is held to where the motion is trusted.
    """

    is_steady = True

    def __init__(self, method: Method, styles: FilmStyles, first: np.ndarray) -> None:
        check_single_style(method, styles)
        self.method, self.styles = method, styles
        self.last: np.ndarray | None = None
        self.recipe = OptimizeSettings.of(self._prepared(as_picture(first)).recipe)

    def _prepared(self, frame: Picture, **overrides: Any) -> Job:
        # The palette of a picture that is matched by itself differs from the frame before's.
        (job,) = self.styles.prepare(frame, defaults={"palette": 0}, overrides=overrides)
        return job

    def _painted(self, pixels: np.ndarray, motion: Motion | None) -> np.ndarray:
        picture = as_picture(pixels)
        if motion is None or self.last is None:
            job = self._prepared(picture)
        else:
            motion = motion.scaled(*pixels.shape[:2])
            before = np.clip(warped(self.last, motion.back, cv2.INTER_CUBIC), 0, 255)
            fresh = recoloured(pixels, before, motion.trust)
            begun = _as_tensor(fresh + motion.trust[..., None] * (before - fresh))
            trust = torch.from_numpy(motion.trust)[None, None]
            steps = max(LEAST_STEPS, round(self.recipe.steps * LATER_STEPS))
            # A polish begins with long steps, which would differ from frame to frame.
            job = self._prepared(picture, steps=steps, scales=1, polish=0)
            job = replace(
                job,
                init=replace(picture, rgb=begun),
                anchor=Anchor(begun, trust, TEMPORAL_WEIGHT),
            )
        painted = torch.from_numpy(last(self.method.run(job)).result().array[..., :3])
        self.last = as_array(painted.permute(2, 0, 1)[None])
        return self.last

    def start(
        self, pixels: np.ndarray, time: float, index: int, motion: Motion | None
    ) -> Callable[[], np.ndarray]:
        picture = self._painted(pixels, motion)
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


def _as_tensor(picture: np.ndarray) -> torch.Tensor:
    """(H, W, 3), 0 to 255 → (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].div(255).contiguous()
