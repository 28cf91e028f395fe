"""Frames of a film painted by the method ``instant``."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch

from impasto.base.errors import RecipeError
from impasto.images.transfer import Download, channels_last
from impasto.methods.base import FilmStyles, FramePainter
from impasto.methods.frames import as_picture
from impasto.methods.instant.brushes import Brush, brushes, depends_on_photo
from impasto.methods.instant.loaded import BY_PHOTO
from impasto.methods.instant.run import Memory, paint
from impasto.motion.flow import Motion
from impasto.runs.job import Job
from impasto.runs.progress import last

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


class InstantPainter(FramePainter):
    """Paints frames in styles that may change over time.

    With ``steady``, the frames of a shot share their statistics.
    """

    def __init__(self, styles: FilmStyles, first: np.ndarray, *, steady: bool) -> None:
        self.styles, self.steady = styles, steady
        self.memory = Memory()
        self.shot = first
        self.glance = _glance(first)
        self._begin(first)
        if len({job.styles[0].built_in for job in self.jobs}) > 1:
            raise RecipeError("a built-in style can't change into a painting, only into another")
        job = self.jobs[0]
        self.by_photo = job.recipe.color in BY_PHOTO or depends_on_photo(job)

    def _begin(self, frame: np.ndarray) -> None:
        """Begin a shot."""
        self.shot = frame
        self.memory.known.clear()
        self.jobs: list[Job] = self.styles.prepare(as_picture(frame))
        self.brushes = [brushes(job) for job in self.jobs]

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
        event = last(paint(job, tools=self._tools(time), memory=memory))
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
        times = self.styles.times
        after = bisect.bisect_right(times, time)
        if after == 0 or after == len(times):
            return self.brushes[max(0, after - 1)]
        share = (time - times[after - 1]) / (times[after] - times[after - 1])
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
