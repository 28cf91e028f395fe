"""Conversions of film frames, and the default frame painter of a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from impasto.base.errors import RecipeError
from impasto.images.picture import Picture
from impasto.images.transfer import upload
from impasto.methods.base import FilmStyles, FramePainter, Method, run_method
from impasto.motion.flow import Motion
from impasto.runs.progress import last


class SingleFramePainter(FramePainter):
    """Paints every frame as an independent picture."""

    def __init__(self, method: Method, styles: FilmStyles, first: np.ndarray) -> None:
        check_single_style(method, styles)
        self.method, self.styles = method, styles
        styles.prepare(as_picture(first))  # refuses bad settings before the film begins

    def start(
        self, pixels: np.ndarray, time: float, index: int, motion: Motion | None
    ) -> Callable[[], np.ndarray]:
        """Paint a frame, see ``FramePainter.start``."""
        (job,) = self.styles.prepare(as_picture(pixels))
        painted = last(run_method(job)).result().array[..., :3]
        return lambda: painted * np.float32(255)

    def state(self) -> dict[str, Any]:
        """Return an empty state, because no frame depends on another."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Do nothing, because there is no state."""


def check_single_style(method: Method, styles: FilmStyles) -> None:
    """Check that a film has a single style, for a method that can't change the style over time.

    Raises:
        RecipeError: The film has several styles.
    """
    if len(styles.times) > 1:
        raise RecipeError(f"the method {method.name} has one style for all of a film")


def as_picture(pixels: np.ndarray, device: torch.device | None = None) -> Picture:
    """Return a frame (H, W, 3), uint8, as a content image on a device."""
    frame = upload(pixels, device or torch.device("cpu"))
    rgb = frame.permute(2, 0, 1)[None].float().div_(255)
    return Picture(rgb.contiguous(), name="frame")


def as_array(rgb: torch.Tensor) -> np.ndarray:
    """Convert (1, 3, H, W) in [0, 1] to (H, W, 3), 0 to 255, float32."""
    array: np.ndarray = rgb[0].permute(1, 2, 0).contiguous().numpy()
    array *= 255
    return array
