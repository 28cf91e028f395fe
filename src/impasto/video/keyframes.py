"""Key frames of a film: the frames that are worth painting by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from impasto.base.errors import ImageError, RecipeError
from impasto.video.frames import Cut, Frame
from impasto.video.read.frame_source import FrameSource

MAX_CANDIDATES = 200
"""Frames, evenly spread over the film, among which key frames are chosen."""
THUMBNAIL = (16, 9)
"""Width and height of the thumbnails by which frames are compared, px."""
SHARPNESS_SIDE = 320
"""Long side at which the sharpness of a frame is measured, px."""
MAX_COUNT = 20
EQUALLY_GOOD = 0.1
"""Share of the best frame's gain that a sharper frame may lack."""


MIN_GAIN = 1e-3
"""Smallest gain of another key frame, in units of the distance between thumbnails."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A frame that may become a key frame.

    Attributes:
        time: Seconds from the start of the film.
        look: Its thumbnail in Lab, flattened.
        sharpness: The logarithm of the variance of its Laplacian.
    """

    time: float
    look: np.ndarray
    sharpness: float


def propose(source: FrameSource, cut: Cut, count: int) -> list[float]:
    """Return the times of frames that stand for all frames of a film, seconds, ascending.

    The frames are chosen one by one. Each brings the film's frames closest to their nearest key
    frame; of frames that are about equally good, the sharpest is taken (greedy facility location,
    Nemhauser et al. 1978).

    Args:
        source: The film.
        cut: The part of the film.
        count: The number of key frames. A film with fewer frames gives fewer.

    Raises:
        RecipeError: The number is out of bounds.
        ImageError: There are no frames.
    """
    if not 1 <= count <= MAX_COUNT:
        raise RecipeError(f"between 1 and {MAX_COUNT} key frames can be proposed, not {count}")
    candidates = list(_candidates(source, cut))
    if not candidates:
        raise ImageError(f"{source.clip.name} has no frames from {cut.start:g} s on")
    looks = np.stack([candidate.look for candidate in candidates])  # (n, d)
    distances = np.linalg.norm(looks[:, None] - looks[None], axis=2)  # (n, n)
    sharpness = np.array([candidate.sharpness for candidate in candidates])
    nearest = np.full(len(candidates), distances.max(initial=0.0))  # (n,), to a key frame
    chosen: list[int] = []
    for _ in range(min(count, len(candidates))):
        gains = (nearest - np.minimum(nearest, distances)).mean(axis=1)  # (n,)
        if chosen and gains.max() < MIN_GAIN:
            break  # the chosen frames show all that there is
        is_good = gains >= (1 - EQUALLY_GOOD) * gains.max()
        chosen.append(int(np.where(is_good, sharpness, -np.inf).argmax()))
        nearest = np.minimum(nearest, distances[chosen[-1]])
    return sorted(candidates[index].time for index in chosen)


def frame_at(source: FrameSource, cut: Cut, time: float) -> Frame:
    """Return the frame of a film at a time.

    Raises:
        ImageError: The film ends before that.
    """
    frame = next(source.frames(replace(cut, start=time, every=1)), None)
    if frame is None:
        raise ImageError(f"{source.clip.name} has no frame at {time:g} s")
    return frame


def _candidates(source: FrameSource, cut: Cut) -> Iterator[Candidate]:
    """Yield evenly spread frames of a film."""
    total = source.clip.frames or 0
    step = max(cut.every, -(-total // MAX_CANDIDATES), 1)
    for number, frame in enumerate(source.frames(replace(cut, every=1))):
        if number % step == 0:
            yield _candidate(frame, source)


def _candidate(frame: Frame, source: FrameSource) -> Candidate:
    pixels = np.ascontiguousarray(frame.pixels[..., :3])
    lab = cv2.cvtColor(
        cv2.resize(pixels, THUMBNAIL, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB
    )
    factor = SHARPNESS_SIDE / max(pixels.shape[:2])
    small = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    laplacian = cv2.Laplacian(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    return Candidate(
        time=float((frame.pts - source.clip.origin) * source.clip.time_base),
        look=lab.astype(np.float32).ravel() / 255,
        sharpness=float(np.log(laplacian.var() + 1)),
    )
