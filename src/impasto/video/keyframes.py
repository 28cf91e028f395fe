"""Key frames of a film: which frames are worth painting, and how the others are painted like them.

Frames that were painted by hand, or by another method, teach a network how to paint the rest
(Texler et al. 2020). A network learns from all key frames first. Then a copy of it learns from each
key frame by itself. The film fades from one copy to the next, so each key frame is painted as it
was, and what is new in between is painted as all of them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from impasto.base.errors import ImageError, RecipeError
from impasto.images.read import Source
from impasto.learning import api
from impasto.learning.style import style_bytes
from impasto.learning.training import LearnProgress, TrainingJob, TrainingState
from impasto.methods.frames import as_picture
from impasto.networks.transformer import Parameters
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
class CandidateFrame:
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


def _candidates(source: FrameSource, cut: Cut) -> Iterator[CandidateFrame]:
    """Yield evenly spread frames of a film."""
    total = source.clip.frames or 0
    step = max(cut.every, -(-total // MAX_CANDIDATES), 1)
    for number, frame in enumerate(source.frames(replace(cut, every=1))):
        if number % step == 0:
            yield _candidate(frame, source)


def _candidate(frame: Frame, source: FrameSource) -> CandidateFrame:
    pixels = np.ascontiguousarray(frame.pixels[..., :3])
    lab = cv2.cvtColor(
        cv2.resize(pixels, THUMBNAIL, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB
    )
    factor = SHARPNESS_SIDE / max(pixels.shape[:2])
    small = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    laplacian = cv2.Laplacian(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    return CandidateFrame(
        time=float((frame.pts - source.clip.origin) * source.clip.time_base),
        look=lab.astype(np.float32).ravel() / 255,
        sharpness=float(np.log(laplacian.var() + 1)),
    )


SHARED_SHARE = 0.7
"""Share of the time in which a network learns from all key frames together."""
TIMES: dict[str, float] = {"cpu": 180.0, "gpu": 40.0}
"""Seconds of a training for which no time is given."""


@dataclass(frozen=True)
class KeyframeProgress:
    """One event of a training with key frames.

    Attributes:
        share: The share of the training that is done, 0 to 1.
        eta: The estimated remaining time, seconds.
        message: A sentence for the user, or None.
    """

    share: float
    eta: float
    message: str | None = None


class KeyframeTraining:
    """Trains the networks that paint a film like its key frames. Iterate over it.

    Args:
        source: The film.
        cut: The part of the film.
        painted: The time of each key frame in the film, seconds, and the painted frame.
        seconds: The time of the training.
        settings: More arguments of ``learning.api.prepare_pair_training``.

    Attributes:
        styles: The time of each key frame and its style file, once the iteration has ended.

    Raises:
        RecipeError: There is no key frame, or two have the same time.
        ImageError: A painted frame can't be read, or the film has no frame at a time.
        MissingExtraError: A package is missing.
    """

    def __init__(
        self,
        source: FrameSource,
        cut: Cut,
        painted: Sequence[tuple[float, Source]],
        *,
        seconds: float | None = None,
        **settings: Any,
    ) -> None:
        self.times = [time for time, _ in painted]
        if not painted or len(set(self.times)) < len(painted):
            raise RecipeError("each key frame needs a time of its own")
        self.pairs: list[tuple[Source, Source]] = [
            (_frame_picture(source, cut, time), picture) for time, picture in painted
        ]
        self.settings = settings
        shared = self._training_job(self.pairs, 1.0)
        device = "cpu" if shared.device.type == "cpu" else "gpu"
        self.seconds = seconds or TIMES[device]
        self.notes = shared.notes
        self.styles: list[tuple[float, bytes]] = []

    def __iter__(self) -> Iterator[KeyframeProgress]:
        for note in self.notes:
            yield KeyframeProgress(0.0, self.seconds, note)
        is_single = len(self.pairs) == 1
        shared_share = 1.0 if is_single else SHARED_SHARE
        own_share = (1 - shared_share) / len(self.pairs)
        shared = yield from self._train(self.pairs, 0.0, shared_share, None)
        if is_single:
            self.styles = [(self.times[0], style_bytes(shared))]
            return
        styles = []
        for number, (time, pair) in enumerate(zip(self.times, self.pairs, strict=True)):
            done = shared_share + number * own_share
            own = yield from self._train([pair], done, own_share, shared.state.averaged)
            styles.append((time, style_bytes(own)))
        self.styles = styles

    def _train(
        self,
        pairs: Sequence[tuple[Source, Source]],
        done: float,
        share: float,
        start: Parameters | None,
    ) -> Generator[KeyframeProgress, None, LearnProgress]:
        """Train for a share of the time; yield the progress, and return the last event."""
        job = self._training_job(pairs, self.seconds * share)
        state = None if start is None else TrainingState.initial(replace(job, start=start))
        progress: LearnProgress | None = None
        for progress in api.iterate_training(job, state):
            whole = done + share * progress.share
            yield KeyframeProgress(whole, self.seconds * (1 - whole))
        assert progress is not None
        return progress

    def _training_job(self, pairs: Sequence[tuple[Source, Source]], seconds: float) -> TrainingJob:
        return api.prepare_pair_training(pairs, time=seconds, name="key frames", **self.settings)


def _frame_picture(source: FrameSource, cut: Cut, time: float) -> Source:
    """Return the frame of a film at a time as a picture."""
    pixels = np.ascontiguousarray(frame_at(source, cut, time).pixels[..., :3])
    return replace(as_picture(pixels), name=f"the frame at {time:g} s")
