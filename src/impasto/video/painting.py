"""Frames painted by the method instant, in styles that may change over time."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from impasto.base.errors import RecipeError
from impasto.images.picture import Picture
from impasto.images.read import Source
from impasto.images.transfer import Download, channels_last, upload
from impasto.library import api
from impasto.methods import instant
from impasto.methods.instant import Brush, Memory
from impasto.motion.flow import Motion
from impasto.runs.result import Job, last

LOOK_AGAIN_EVERY = 8
OWN_SHARE = 0.3
"""Every 8th frame of a shot so much of its own statistics goes into those that the shot is painted
with: it follows the light, and what comes into view changes nothing at once."""
FADE_GREY = 20.0
"""Light that changes by so much, out of 255, or by all the contrast there was, since the last such
frame needs statistics of its own, and half of it half of them."""
EMPTY_GREY, FULL_GREY = 1.0, 8.0
"""Frames whose deviation of brightness is below the first are nothing that could be painted; what
fades in is painted more and more up to the second."""
GLANCE = (32, 18)
BY_PHOTO = ("match", "histogram")
"""Colour modes that recolour the painting for a photo: here, for the first frame of a shot."""


@dataclass(frozen=True)
class Key:
    """From ``time`` on, seconds, these styles; those between two keys are blended."""

    time: float
    styles: Source | list[tuple[Source, float]]


class Painter(Protocol):
    """Paints frames in turn."""

    def paint(
        self, pixels: np.ndarray, time: float, index: int, motion: Motion | None
    ) -> np.ndarray:
        """A frame (H, W, 3) of uint8 → (H, W, 3) of float32, 0 to 255. ``motion`` None: the first
        of a shot.
        """
        ...

    def start(
        self, pixels: np.ndarray, time: float, index: int, motion: Motion | None
    ) -> Callable[[], np.ndarray]:
        """Start to paint a frame, and return a function that waits for the result of ``paint``."""
        ...

    def state(self) -> dict[str, Any]:
        """What it takes to go on."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


class InstantPainter:
    """The method instant. With ``steady``, the frames of a shot share their statistics."""

    def __init__(
        self, keys: Sequence[Key], settings: Mapping[str, Any], first: np.ndarray, *, steady: bool
    ) -> None:
        self.keys, self.settings, self.steady = keys, settings, steady
        self.pairs = [api.read_styles(key.styles) for key in keys]
        self.memory = Memory()
        self.shot = first
        self.glance = _glance(first)
        self._begin(first)
        if len({job.styles[0].built_in for job in self.jobs}) > 1:
            raise RecipeError("a built-in style can't change into a painting, only into another")
        recipe = self.jobs[0].recipe
        by_style = recipe.strength != 1 and not self.jobs[0].styles[0].built_in
        self.by_photo = recipe.color in BY_PHOTO or by_style

    def _begin(self, frame: np.ndarray) -> None:
        """Begin a shot."""
        self.shot = frame
        self.memory.known.clear()
        picture = as_picture(frame)
        self.jobs: list[Job] = [
            api.prepare(picture, pairs, **{**self.settings, "method": "instant", "size": 0})
            for pairs in self.pairs
        ]
        self.brushes = [instant.brushes(job) for job in self.jobs]

    def paint(
        self, pixels: np.ndarray, time: float, index: int, motion: Motion | None
    ) -> np.ndarray:
        return self.start(pixels, time, index, motion)()

    def start(
        self, pixels: np.ndarray, time: float, index: int, motion: Motion | None
    ) -> Callable[[], np.ndarray]:
        if motion is None:
            self.memory.known.clear()
            if self.by_photo:
                self._begin(pixels)
        device = self.jobs[0].device.device
        job = replace(self.jobs[0], content=as_picture(pixels, device))
        self.memory.own_share = self._own_share(pixels, index)
        if self.memory.own_share == 1:
            self.memory.known.clear()
        memory = self.memory if self.steady else None
        event = last(instant.instant(job, tools=self._tools(time), memory=memory))
        painted = Download(channels_last(job.finished(event.pixels)).mul_(255))
        cover = (_deviation(pixels) - EMPTY_GREY) / (FULL_GREY - EMPTY_GREY)
        return partial(_covered, pixels, painted, min(1.0, max(0.0, cover)))

    def _own_share(self, pixels: np.ndarray, index: int) -> float:
        """How much of a frame's own statistics it needs."""
        glance = _glance(pixels)
        contrast = max(1e-6, min(FADE_GREY, float(self.glance.std())))
        change = float(np.abs(glance - self.glance).mean()) / contrast
        share = OWN_SHARE if index % LOOK_AGAIN_EVERY == 0 else 0.0
        if change > OWN_SHARE:
            share = min(1.0, change)
        if share or not self.memory.known:
            self.glance = glance
        return share

    def _tools(self, time: float) -> list[Brush]:
        """The brushes at a time."""
        after = bisect.bisect_right([key.time for key in self.keys], time)
        if after == 0 or after == len(self.keys):
            return self.brushes[max(0, after - 1)]
        before, next_key = self.keys[after - 1], self.keys[after]
        share = (time - before.time) / (next_key.time - before.time)
        return [
            replace(old, style=torch.lerp(old.style, new.style, share))
            for old, new in zip(self.brushes[after - 1], self.brushes[after], strict=True)
        ]

    def state(self) -> dict[str, Any]:
        known = {
            repr(size): [
                None if moments is None else [value.cpu() for value in moments]
                for moments in statistics
            ]
            for size, statistics in self.memory.known.items()
        }
        return {
            "known": known,
            "shot": torch.from_numpy(self.shot),
            "glance": torch.from_numpy(self.glance),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._begin(state["shot"].numpy())
        self.glance = state["glance"].numpy()
        device = self.jobs[0].device.device
        for size, statistics in state["known"].items():
            key = tuple(int(part) for part in size.strip("()").split(","))
            self.memory.known[key] = [  # type: ignore[index]
                None if moments is None else (moments[0].to(device), moments[1].to(device))
                for moments in statistics
            ]


def _covered(pixels: np.ndarray, painted: Download, cover: float) -> np.ndarray:
    """Return the painted frame; ``cover`` 0 to 1 is how much of it is over the original."""
    picture: np.ndarray = painted.array()[0]
    return picture if cover == 1 else pixels + cover * (picture - pixels)


def _glance(pixels: np.ndarray) -> np.ndarray:
    """Where it is light and dark, roughly."""
    small = cv2.resize(pixels, GLANCE, interpolation=cv2.INTER_AREA)
    grey: np.ndarray = small.mean(axis=2, dtype=np.float32)
    return grey


def _deviation(pixels: np.ndarray) -> float:
    """Of brightness, from 0 to 128."""
    _, deviation = cv2.meanStdDev(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    return float(deviation[0, 0])


def as_picture(pixels: np.ndarray, device: torch.device | None = None) -> Picture:
    """(H, W, 3) of uint8 as the methods take it, on a device."""
    frame = upload(pixels, device or torch.device("cpu"))
    rgb = frame.permute(2, 0, 1)[None].float().div_(255)
    return Picture(rgb.contiguous(), name="frame")


def as_array(rgb: torch.Tensor) -> np.ndarray:
    """(1, 3, H, W) in [0, 1] → (H, W, 3), 0 to 255, float32."""
    array: np.ndarray = rgb[0].permute(1, 2, 0).contiguous().numpy()
    array *= 255
    return array
