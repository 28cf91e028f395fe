"""Key frames of a film: the choice of frames to paint, and the training with the painted frames.

Frames that were painted by hand, or by another method, are pairs from which a network learns to
paint all other frames (Texler et al. 2020). One network is trained with all key frames. For each
key frame, a copy of it is then trained with that key frame only. The film fades from one copy to
the next. Near a key frame, the film therefore looks like this key frame; things that come into view
between key frames are painted with what was learned from all of them.
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
"""Largest number of frames, evenly spread over the film, from which key frames are chosen."""
THUMBNAIL_SIZE = (16, 9)
"""Width and height of the thumbnails with which frames are compared, px."""
SHARPNESS_PX = 320
"""Long side at which the sharpness of a frame is measured, px."""
MAX_KEYFRAMES = 20
"""Largest number of key frames that are proposed."""
GAIN_TOLERANCE = 0.1
"""Relative difference from the best gain up to which the sharpest frame is preferred."""
MIN_GAIN = 1e-3
"""Smallest gain of a further key frame, as a mean distance between thumbnails."""
SHARED_SHARE = 0.7
"""Share of the time in which the network is trained with all key frames."""
DEFAULT_SECONDS: dict[str, float] = {"cpu": 180.0, "gpu": 40.0}
"""Type of device → seconds of a training, if no time is given."""


@dataclass(frozen=True, eq=False)
class CandidateFrame:
    """A frame that may become a key frame.

    Attributes:
        time: The time from the start of the film, seconds.
        look: The thumbnail in Lab, flattened, float32.
        sharpness: The logarithm of the variance of the frame's Laplacian.
    """

    time: float
    look: np.ndarray
    sharpness: float


def propose(source: FrameSource, cut: Cut, count: int) -> list[float]:
    """Propose frames to paint as key frames.

    The frames are chosen one by one (greedy facility location, Nemhauser et al. 1978). Each choice
    reduces the mean distance between the frames of the film and their nearest key frames as much as
    possible. Of several frames that are about equally good, the sharpest is chosen.

    Args:
        source: The film.
        cut: The part of the film.
        count: The largest number of key frames. Fewer are proposed if they represent all frames.

    Returns:
        The times of the frames from the start of the film, seconds, in ascending order.

    Raises:
        RecipeError: The number is out of bounds.
        ImageError: The part of the film has no frames.
    """
    if not 1 <= count <= MAX_KEYFRAMES:
        raise RecipeError(f"between 1 and {MAX_KEYFRAMES} key frames can be proposed, not {count}")
    candidates = list(_candidates(source, cut))
    if not candidates:
        raise ImageError(f"{source.clip.name} has no frames from {cut.start:g} s on")
    looks = np.stack([candidate.look for candidate in candidates])  # (n, d)
    distances = np.linalg.norm(looks[:, None] - looks[None], axis=2)  # (n, n)
    sharpness = np.array([candidate.sharpness for candidate in candidates])
    nearest = np.full(len(candidates), distances.max(initial=0.0))  # (n,), to the key frames
    chosen: list[int] = []
    for _ in range(min(count, len(candidates))):
        gains = (nearest - np.minimum(nearest, distances)).mean(axis=1)  # (n,)
        if chosen and gains.max() < MIN_GAIN:
            break  # the chosen frames represent all others
        is_good = gains >= (1 - GAIN_TOLERANCE) * gains.max()
        chosen.append(int(np.where(is_good, sharpness, -np.inf).argmax()))
        nearest = np.minimum(nearest, distances[chosen[-1]])
    return sorted(candidates[index].time for index in chosen)


def frame_at(source: FrameSource, cut: Cut, time: float) -> Frame:
    """Return the frame of a film at a time.

    Args:
        source: The film.
        cut: The part of the film.
        time: The time from the start of the film, seconds.

    Raises:
        ImageError: The film ends before that time.
    """
    frame = next(source.frames(replace(cut, start=time, every=1)), None)
    if frame is None:
        raise ImageError(f"{source.clip.name} has no frame at {time:g} s")
    return frame


def _candidates(source: FrameSource, cut: Cut) -> Iterator[CandidateFrame]:
    """Yield at most ``MAX_CANDIDATES`` evenly spread frames of a film."""
    total = source.clip.frames or 0
    step = max(cut.every, -(-total // MAX_CANDIDATES), 1)
    for number, frame in enumerate(source.frames(replace(cut, every=1))):
        if number % step == 0:
            yield _candidate(frame, source)


def _candidate(frame: Frame, source: FrameSource) -> CandidateFrame:
    """Measure a frame."""
    pixels = np.ascontiguousarray(frame.pixels[..., :3])
    lab = cv2.cvtColor(
        cv2.resize(pixels, THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB
    )
    factor = SHARPNESS_PX / max(pixels.shape[:2])
    small = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    laplacian = cv2.Laplacian(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    return CandidateFrame(
        time=float((frame.pts - source.clip.origin) * source.clip.time_base),
        look=lab.astype(np.float32).ravel() / 255,
        sharpness=float(np.log(laplacian.var() + 1)),
    )


@dataclass(frozen=True)
class KeyframeProgress:
    """A progress event of a training with key frames.

    Attributes:
        share: The share of the training that is done, 0 to 1.
        eta: The estimated remaining time, seconds.
        message: A sentence for the user, or None.
    """

    share: float
    eta: float
    message: str | None = None


class KeyframeTraining:
    """The training of the networks that paint a film like its key frames.

    Iterating over the object runs the training, and yields its progress.

    Args:
        source: The film.
        cut: The part of the film.
        painted: The time of each key frame in the film, seconds, and the painted frame.
        seconds: The length of the training. By default, it depends on the device.
        settings: Other arguments of ``learning.api.prepare_pair_training``.

    Attributes:
        styles: The time of each key frame and its style file. Empty until the training has ended.
        notes: Sentences for the user about the painted frames.

    Raises:
        RecipeError: There are no key frames, or two of them have the same time.
        ImageError: A painted frame can't be read, or the film has no frame at a time.
        MissingExtraError: OpenCV isn't installed.
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
        self.seconds = seconds or DEFAULT_SECONDS[device]
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
        """Train one network.

        Args:
            pairs: The frames and the painted frames.
            done: The share of the whole training that is done before, 0 to 1.
            share: The share of the whole training that this network gets, 0 to 1.
            start: The initial parameters. By default, those of any training with pairs.

        Yields:
            The progress of the whole training.

        Returns:
            The last event of the training of this network.
        """
        job = self._training_job(pairs, self.seconds * share)
        state = None if start is None else TrainingState.initial(replace(job, start=start))
        progress: LearnProgress | None = None
        for progress in api.iterate_training(job, state):
            overall_share = done + share * progress.share
            yield KeyframeProgress(overall_share, self.seconds * (1 - overall_share))
        assert progress is not None
        return progress

    def _training_job(self, pairs: Sequence[tuple[Source, Source]], seconds: float) -> TrainingJob:
        """Prepare a training with pairs that takes ``seconds``."""
        return api.prepare_pair_training(pairs, time=seconds, name="key frames", **self.settings)


def _frame_picture(source: FrameSource, cut: Cut, time: float) -> Source:
    """Return the frame of a film at a time, as a ``Picture`` named after the time."""
    pixels = np.ascontiguousarray(frame_at(source, cut, time).pixels[..., :3])
    return replace(as_picture(pixels), name=f"the frame at {time:g} s")
