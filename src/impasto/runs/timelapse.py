"""A film of a run: from the initial image to the finished picture in ten seconds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from impasto.base import files
from impasto.base.errors import OutputError, reason
from impasto.images.film_encoders import film_encoder_for
from impasto.runs.progress import Progress

SECONDS_OF_CHANGE = 8.0
"""Time in which the run is shown."""
SECONDS_OF_REST = 2.0
"""Time for which the last picture is held."""
EARLY_STEPS = 20
"""Number of steps that count as early. The picture changes fast at first, so film time grows with
log(1 + step / 20): early steps get more time than later ones, and short runs are shown evenly."""
ROUNDING = 1e-6
"""Part of a frame, added before rounding down, against rounding errors."""


class Timelapse:
    """A film of a run: MP4, animated GIF or WebP, depending on the name of the file.

    The film lasts ten seconds, however many steps the run has; it is shorter if the run ends early.
    It shows the pictures at their final size or smaller: the long side is at most 1920 px in an
    MP4, with 24 frames a second; 1024 px in a WebP and 640 px in a GIF, with at most about 100
    frames, since these are kept in memory. Transparency becomes white.

    The file is written at the end of the ``with`` block, even if the block is left early.

    Args:
        path: The file.
        force: Whether to replace an existing file.

    Raises:
        OutputError: There is no such format, the file exists, or it can't be written.

    >>> with impasto.Timelapse("timelapse.mp4") as film:
    ...     for progress in impasto.iterate("photo.jpg", "painting.jpg"):
    ...         film.add(progress)
    """

    def __init__(self, path: str | Path, *, force: bool = False) -> None:
        self.path, self.force = Path(path), force
        self._film = film_encoder_for(self.path)()
        files.check_writable(self.path, force=force)
        self._last: Progress | None = None
        self._is_last_shown = False  # whether ``_picture`` is of ``_last``
        self._picture: np.ndarray | None = None  # (H, W, 3), from the frame ``_frame`` on
        self._frame = 0
        self._first_step = 0
        self._seconds = 0.0  # of film, up to ``_last``

    def add(self, progress: Progress) -> None:
        """Add the next event of the run.

        An event that falls into the same frame as an earlier one is left out.
        """
        self._is_last_shown = False
        if self._last is None:
            self._first_step = progress.step
            self._keep(progress)
        else:
            self._seconds += self._seconds_between(self._last, progress)
            frame = math.floor(self._seconds * self._film.frames_per_second + ROUNDING)
            if frame > self._frame:
                self._show(frame - self._frame)
                self._frame = frame
                self._keep(progress)
        self._last = progress

    def close(self) -> Path | None:
        """Write the film.

        Returns:
            The path of the file, which has a new name if a file of the wanted name was made in the
            meantime. None if there was no event to show.

        Raises:
            OutputError: The file can't be written.
        """
        if self._last is None:
            return None
        if not self._is_last_shown:
            self._show(1)
            self._keep(self._last)
        self._last = None
        self._show(round(SECONDS_OF_REST * self._film.frames_per_second))
        with self._writing():
            data = self._film.encode()
        if not self.force:
            self.path = files.free_name(self.path)
        files.write_atomically(self.path, data)
        return self.path

    def __enter__(self) -> Timelapse:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _seconds_between(self, before: Progress, now: Progress) -> float:
        """Return the film time between two events, seconds.

        Time is added up event by event, because a run that converges early has fewer steps than it
        announced.
        """

        def position(step: int) -> float:
            return math.log1p(max(0, step - self._first_step) / EARLY_STEPS)

        end = position(max(now.step, now.steps))
        share = (position(now.step) - position(before.step)) / end if end else 0.0
        return SECONDS_OF_CHANGE * max(0.0, share)

    def _keep(self, progress: Progress) -> None:
        self._is_last_shown = True
        image = progress.result().image
        if image.mode == "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        self._picture = np.asarray(image.convert("RGB"))

    def _show(self, frames: int) -> None:
        assert self._picture is not None
        with self._writing():
            self._film.show(self._picture, frames)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # FFmpeg's errors are OSErrors as well
            self._last = None  # there is nothing left to close
            raise OutputError(f"{self.path} can't be written: {reason(error)}") from error
