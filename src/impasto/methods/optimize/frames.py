"""Frames of a film painted by optimisation, each from the previous one (Ruder et al. 2016)."""

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

LATER_STEPS_SHARE = 0.3
"""Share of the steps that is enough for a frame which starts from the previous one."""
MIN_LATER_STEPS = 8
SAMPLE_STRIDE_PX, MIN_SAMPLES = 4, 16
"""The colour map of ``recoloured`` is fitted to every 4th pixel across and down, and only if there
are at least 16 of them."""
TEMPORAL_WEIGHT = 40.0
"""Weight of the mean squared distance to the warped previous frame, for colours from 0 to 1."""


class OptimizingPainter(FramePainter):
    """Paints the frames of a film by optimisation.

    The first frame of a shot is an independent picture. Each later frame starts from the previous
    one, warped by the motion, and is held to it where the motion is trusted.
    """

    is_steady = True

    def __init__(self, method: Method, styles: FilmStyles, first: np.ndarray) -> None:
        check_single_style(method, styles)
        self.method, self.styles = method, styles
        self.last: np.ndarray | None = None
        self.recipe = OptimizeSettings.of(self._prepared(as_picture(first)).recipe)

    def _prepared(self, frame: Picture, **overrides: Any) -> Job:
        # A palette that is matched for each frame independently would differ between frames.
        (job,) = self.styles.prepare(frame, defaults={"palette": 0}, overrides=overrides)
        return job

    def _painted(self, pixels: np.ndarray, motion: Motion | None) -> np.ndarray:
        picture = as_picture(pixels)
        if motion is None or self.last is None:
            job = self._prepared(picture)
        else:
            motion = motion.scaled(*pixels.shape[:2])
            previous = np.clip(warped(self.last, motion.back, cv2.INTER_CUBIC), 0, 255)
            unpainted = recoloured(pixels, previous, motion.trust)
            blend = unpainted + motion.trust[..., None] * (previous - unpainted)
            initial = _as_tensor(blend)
            trust = torch.from_numpy(motion.trust)[None, None]  # (1, 1, H, W)
            steps = max(MIN_LATER_STEPS, round(self.recipe.steps * LATER_STEPS_SHARE))
            # A polish begins with long steps, which would differ from frame to frame.
            job = self._prepared(picture, steps=steps, scales=1, polish=0)
            job = replace(
                job,
                init=replace(picture, rgb=initial),
                anchor=Anchor(initial, trust, TEMPORAL_WEIGHT),
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
    """Return a frame in approximately the colours of a painted frame.

    An affine map of colours is fitted where the two are known to show the same. The optimisation of
    parts that come into view starts from the recoloured frame.

    Args:
        pixels: The frame, (H, W, 3), 0 to 255.
        like: The painted previous frame, warped, (H, W, 3), 0 to 255.
        trust: How far the two show the same, 0 to 1, (H, W).

    Returns:
        The recoloured frame, (H, W, 3), float32. It is ``pixels`` if too few pixels are trusted.
    """
    colours = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=2) / np.float32(255)
    sampled = (slice(None, None, SAMPLE_STRIDE_PX), slice(None, None, SAMPLE_STRIDE_PX))
    is_trusted = trust[sampled] > 0.5
    if is_trusted.sum() < MIN_SAMPLES:
        return pixels.astype(np.float32)
    samples, targets = (image[sampled][is_trusted] for image in (colours, like))
    affine = np.linalg.lstsq(samples, targets, rcond=None)[0]  # (4, 3)
    result: np.ndarray = np.clip(colours @ affine, 0, 255).astype(np.float32)
    return result


def _as_tensor(picture: np.ndarray) -> torch.Tensor:
    """Convert (H, W, 3), 0 to 255, to (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].div(255).contiguous()
