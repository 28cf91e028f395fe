"""Frames of a film painted by feed-forward methods."""

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
from impasto.methods.feed_forward.brushes import Brush, BrushMaker, between, with_slots
from impasto.methods.feed_forward.loaded import PHOTO_DEPENDENT_COLORS
from impasto.methods.feed_forward.run import ShotStatistics, paint
from impasto.methods.frames import as_picture
from impasto.motion.flow import Motion
from impasto.runs.job import Job
from impasto.runs.progress import last

UPDATE_INTERVAL = 8
"""Number of frames after which the statistics of a shot are updated."""
UPDATE_SHARE = 0.3
"""Share of a frame's own statistics in such an update. The statistics of the shot follow the light,
and an object that comes into view doesn't change the picture abruptly."""
FADE_LEVELS = 20.0
"""Change of brightness, in levels out of 255, since the last update after which a frame gets its
own statistics. If the contrast was lower than that, a change by the contrast is enough. Smaller
changes use a proportional share."""
BLANK_DEVIATION, FULL_DEVIATION = 1.0, 8.0
"""Standard deviation of brightness, in levels out of 255, below which a frame is blank and left
unpainted, and above which it is painted fully. In between, the style fades in."""
BRIGHTNESS_SIZE = (32, 18)
"""Width and height of the brightness maps that are compared, px."""


class FeedForwardPainter(FramePainter):
    """Paints frames in styles that may change over time.

    Args:
        method: The method.
        styles: The styles of the film.
        first: The first frame, (H, W, 3), uint8.
        steady: Whether the frames of a shot share their statistics.
    """

    def __init__(
        self, method: BrushMaker, styles: FilmStyles, first: np.ndarray, *, steady: bool
    ) -> None:
        self.method, self.styles, self.steady = method, styles, steady
        self.shot_statistics = ShotStatistics()
        self.first_frame = first  # of the shot
        self.brightness = _brightness(first)  # at the last update of the statistics
        self._begin_shot(first)
        if len({job.styles[0].built_in for job in self.jobs}) > 1:
            raise RecipeError("a built-in style can't change into a painting, only into another")
        job = self.jobs[0]
        self.is_photo_dependent = (
            job.recipe.color in PHOTO_DEPENDENT_COLORS or method.depends_on_photo(job)
        )

    def _begin_shot(self, frame: np.ndarray) -> None:
        """Prepare the jobs and brushes of a shot from its first frame."""
        self.first_frame = frame
        self.shot_statistics.by_size.clear()
        self.jobs: list[Job] = self.styles.prepare(as_picture(frame))
        self.brushes = with_slots([self.method.brushes(job) for job in self.jobs])

    def start(
        self, pixels: np.ndarray, time: float, index: int, motion: Motion | None
    ) -> Callable[[], np.ndarray]:
        if motion is None:
            self.shot_statistics.by_size.clear()
            if self.is_photo_dependent:
                self._begin_shot(pixels)
        device = self.jobs[0].device.device
        job = replace(self.jobs[0], content=as_picture(pixels, device))
        statistics = self.shot_statistics
        statistics.own_share = self._own_share(pixels, index)
        if statistics.own_share == 1:
            statistics.by_size.clear()
        event = last(
            paint(
                job,
                self._brushes_at(time),
                shot_statistics=statistics if self.steady else None,
            )
        )
        painted = Download(channels_last(job.finished(event.pixels)).mul_(255))
        cover = (_deviation(pixels) - BLANK_DEVIATION) / (FULL_DEVIATION - BLANK_DEVIATION)
        return partial(_blended, pixels, painted, min(1.0, max(0.0, cover)))

    def _own_share(self, pixels: np.ndarray, index: int) -> float:
        """Return the share of a frame's own statistics with which it is painted, 0 to 1."""
        brightness = _brightness(pixels)
        contrast = max(1e-6, min(FADE_LEVELS, float(self.brightness.std())))
        change = float(np.abs(brightness - self.brightness).mean()) / contrast
        share = UPDATE_SHARE if index % UPDATE_INTERVAL == 0 else 0.0
        if change > UPDATE_SHARE:
            share = min(1.0, change)
        if share or not self.shot_statistics.by_size:
            self.brightness = brightness
        return share

    def _brushes_at(self, time: float) -> list[Brush]:
        """Return the brushes at a time of the film, blended between two styles."""
        times = self.styles.times
        after = bisect.bisect_right(times, time)
        if after == 0 or after == len(times):
            return self.brushes[max(0, after - 1)]
        share = (time - times[after - 1]) / (times[after] - times[after - 1])
        return between(self.brushes[after - 1], self.brushes[after], share)

    def state(self) -> dict[str, Any]:
        known = {
            repr(size): [
                None if moments is None else [value.cpu() for value in moments]
                for moments in statistics
            ]
            for size, statistics in self.shot_statistics.by_size.items()
        }
        return {  # the names are those in the files of unfinished films
            "known": known,
            "shot": torch.from_numpy(self.first_frame),
            "glance": torch.from_numpy(self.brightness),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._begin_shot(state["shot"].numpy())
        self.brightness = state["glance"].numpy()
        device = self.jobs[0].device.device
        for size, statistics in state["known"].items():
            key = tuple(int(part) for part in size.strip("()").split(","))
            self.shot_statistics.by_size[key] = [  # type: ignore[index]
                None if moments is None else (moments[0].to(device), moments[1].to(device))
                for moments in statistics
            ]


def _blended(pixels: np.ndarray, painted: Download, cover: float) -> np.ndarray:
    """Return the painted frame over the original one; ``cover``, 0 to 1, is its opacity."""
    picture: np.ndarray = painted.array()[0]
    return picture if cover == 1 else pixels + cover * (picture - pixels)


def _brightness(pixels: np.ndarray) -> np.ndarray:
    """Return a coarse brightness map of a frame, float32, 0 to 255."""
    small = cv2.resize(pixels, BRIGHTNESS_SIZE, interpolation=cv2.INTER_AREA)
    brightness: np.ndarray = small.mean(axis=2, dtype=np.float32)
    return brightness


def _deviation(pixels: np.ndarray) -> float:
    """Return the standard deviation of a frame's brightness, 0 to 128."""
    _, deviation = cv2.meanStdDev(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    return float(deviation[0, 0])
