"""Films as jobs of the painting worker. A step is a frame."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from impasto.base.errors import CheckpointError
from impasto.networks.kernels import selection
from impasto.studio.jobs.models import FilmRequest, FinalProgress, PictureSize, StepProgress
from impasto.studio.workers.picture_job import Send, write_end
from impasto.studio.workers.previews import (
    PREVIEW_INTERVAL_S,
    PROGRESS_INTERVAL_S,
    write_preview,
)
from impasto.studio.workers.protocol import JobAdvanced, JobEnded, RunOrder
from impasto.studio.workers.throttle import Throttle
from impasto.video.film import Film
from impasto.video.frames import Cut, as_image
from impasto.video.progress import FilmProgress

RESULT = "result.mp4"


class FilmJob:
    """A film that is painted frame by frame. It has the methods of ``PictureJob``."""

    def __init__(self, order: RunOrder, request: FilmRequest, send: Send) -> None:
        self.id, self.folder, self.send = order.job, Path(order.folder), send
        self.is_stopping = False
        self.previews = order.previews
        self.progress_throttle = Throttle(PROGRESS_INTERVAL_S)
        self.preview_throttle = Throttle(PREVIEW_INTERVAL_S)
        self.progress: FilmProgress | None = None
        self.film = self._film(request)
        self.frames: Iterator[FilmProgress] = iter(self.film)

    def _film(self, request: FilmRequest) -> Film:
        settings = request.settings.model_dump(exclude_none=True)
        styles = [
            (str(self.folder / style.file) if style.file else style.name, style.weight)
            for style in request.styles
        ]
        cut = Cut(
            settings.pop("start", 0.0),
            settings.pop("end", float("inf")),
            1,
            settings.pop("size", 0),
        )
        self.device = selection.choose(os.environ.get("IMPASTO_STUDIO_DEVICE", "auto"))
        arguments = {"cut": cut, "device": str(self.device.device), **settings}
        source, output = self.folder / request.content.file, self.folder / RESULT
        try:
            return Film(source, styles, output, resume=True, **arguments)
        except CheckpointError:  # there is nothing to resume
            return Film(source, styles, output, force=True, **arguments)

    def advance(self) -> bool:
        """Paint one frame. Return whether the job has ended."""
        event = next(self.frames, None)
        if event is not None:
            self.progress = event
            self._report(event)
        if event is not None and not self.is_stopping:
            return False
        self._finish()
        return True

    def save_checkpoint(self) -> None:
        """Do nothing: a film writes what it needs to be resumed while it is painted."""

    def _report(self, progress: FilmProgress) -> None:
        if self.preview_throttle.is_due():
            self._write_preview(progress)
        if self.progress_throttle.is_due():
            self.send(JobAdvanced(job=self.id, progress=self._step_progress(progress)))

    def _write_preview(self, progress: FilmProgress) -> None:
        write_preview(self.folder, as_image(progress.picture))
        self.previews += 1

    def _step_progress(self, progress: FilmProgress) -> StepProgress:
        return StepProgress(
            step=progress.frame,
            steps=progress.frames or progress.frame,
            scale=max(self.film.width, self.film.height),
            losses=None,
            seconds=round(progress.seconds, 2),
            eta=round(progress.eta, 1) if progress.eta < float("inf") else None,
            preview=self.previews,
        )

    def _finish(self) -> None:
        notes = [*self.film.notes, *self.film.finish()]
        self.film.unfinished.remove()  # a stopped film isn't resumed in the studio
        progress = self.progress
        assert progress is not None
        self._write_preview(progress)
        end = JobEnded(
            job=self.id,
            ended="done" if self.film.complete else "stopped",
            progress=FinalProgress(
                **self._step_progress(progress).model_dump(),
                result=PictureSize(width=self.film.width, height=self.film.height),
                device=f"{self.device.device}, {self.device.precision}",
                notes=notes,
            ),
        )
        write_end(self.folder, end)
        self.send(end)
