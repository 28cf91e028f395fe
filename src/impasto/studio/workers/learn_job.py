"""Trainings as jobs of the painting worker."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from impasto.base import files, own_process
from impasto.base.errors import CheckpointError, OutputError
from impasto.images.limits import LARGE
from impasto.images.read import NamedFile
from impasto.learning import api, checkpoint
from impasto.learning.style import preview_sheet, style_bytes
from impasto.learning.training import LearnProgress, TrainingJob, TrainingState
from impasto.studio.jobs.models import FinalProgress, LearnRequest, StepProgress
from impasto.studio.workers.picture_job import Send, write_end
from impasto.studio.workers.previews import write_preview
from impasto.studio.workers.protocol import JobAdvanced, JobEnded, RunOrder
from impasto.studio.workers.throttle import Throttle
from impasto.styles import library

log = logging.getLogger("impasto.studio")

RESULT = "result.style"
"""Name of the style file in the folder of the job."""
PROGRESS_INTERVAL_S = 1.0
"""Interval between two progress events. It isn't shorter because the database keeps each event."""
PREVIEW_INTERVAL_S = 5.0
"""Interval between two previews. A preview takes about 0.2 s on two cores."""
CHECKPOINT_INTERVAL_S = 30.0
"""Interval between two checkpoints."""


class LearnJob:
    """A training that runs step by step. It has the same methods as ``PictureJob``.

    Args:
        order: The order of the server.
        request: The request for the training.
        send: The function that sends an event to the server.
    """

    def __init__(self, order: RunOrder, request: LearnRequest, send: Send) -> None:
        self.id, self.folder, self.send = order.job, Path(order.folder), send
        self.name = request.name
        self.checkpoint = self.folder / "checkpoint"
        self.is_stopping = False
        self.previews = order.previews
        self.progress_throttle = Throttle(PROGRESS_INTERVAL_S)
        self.preview_throttle = Throttle(PREVIEW_INTERVAL_S)
        self.checkpoint_throttle = Throttle(CHECKPOINT_INTERVAL_S)
        self.progress: LearnProgress | None = None
        self.events: Iterator[LearnProgress] = api.iterate_training(*self._training_job(request))
        own_process.set_freed_memory(should_keep=True)

    def _training_job(self, request: LearnRequest) -> tuple[TrainingJob, TrainingState | None]:
        """Return the inputs of the training, and the state in the checkpoint if there is one."""
        if self.checkpoint.exists():
            try:
                return checkpoint.load(self.checkpoint)
            except CheckpointError:  # written by another version of impasto, or damaged
                self.checkpoint.unlink()
        training_job = api.prepare_training(
            [
                (NamedFile(self.folder / style.file, style.name), style.weight)
                for style in request.styles
                if style.file is not None
            ],
            name=request.name,
            limits=LARGE,
            look={"device": os.environ.get("IMPASTO_STUDIO_DEVICE", "auto")},
            **request.settings.model_dump(),
        )
        return training_job, None

    def advance(self) -> bool:
        """Take one step. Return whether the job has ended."""
        event = next(self.events, None)
        if event is not None:
            self.progress = event
            self._report(event)
        # A job that is being stopped takes its first step nevertheless, so that it has a result.
        if event is not None and not (self.is_stopping and event.step):
            return False
        self._finish()
        self.events = iter(())
        own_process.give_back_freed_memory()
        return True

    def _report(self, progress: LearnProgress) -> None:
        """Write the checkpoint, write the preview and send the progress, each if it is due."""
        if progress.step and self.checkpoint_throttle.is_due():
            self._try_to_write(self.save_checkpoint)
        if progress.step and self.preview_throttle.is_due():
            self._try_to_write(self._write_preview)
        if self.progress_throttle.is_due():
            self.send(JobAdvanced(job=self.id, progress=self._step_progress(progress)))

    def _try_to_write(self, write: Callable[[], None]) -> None:
        """Write a file that the result doesn't depend on. A full disk is only logged."""
        try:
            write()
        except OutputError as error:
            log.warning("%s: %s", self.id, error)

    def _write_preview(self) -> None:
        """Write a preview of the current step."""
        assert self.progress is not None
        write_preview(self.folder, preview_sheet(self.progress))
        self.previews += 1

    def save_checkpoint(self) -> None:
        """Write a checkpoint of the current step."""
        if self.progress is not None:
            checkpoint.save(self.progress.job, self.progress.state, self.checkpoint)

    def _step_progress(self, progress: LearnProgress) -> StepProgress:
        """Return the progress as the server stores it. The number of steps may be an estimate."""
        losses, settings = progress.losses, progress.job.settings
        expected = round(progress.step / progress.share) if progress.share else 0
        return StepProgress(
            step=progress.step,
            steps=settings.steps if settings.time is None and settings.steps else expected,
            scale=settings.crop,
            losses=None
            if losses is None
            else {"content": losses.content, "style": losses.style, "total": losses.total},
            seconds=round(progress.seconds, 2),
            eta=round(progress.eta, 1) if progress.eta < float("inf") else None,
            preview=self.previews,
            share=round(progress.share, 4),
        )

    def _finish(self) -> None:
        """Write the style file, add it to the user's library, and end the job.

        If the worker is killed in between, the job is resumed from the checkpoint and makes the
        same style file, which isn't added to the library twice.
        """
        progress = self.progress
        assert progress is not None
        selected = progress.job.look.device
        self._try_to_write(self.save_checkpoint)
        data = style_bytes(progress)
        files.write_atomically(self.folder / RESULT, data)
        name, notes = self._add_to_library(data)
        self._try_to_write(self._write_preview)
        end = JobEnded(
            job=self.id,
            ended="done" if progress.share == 1 else "stopped",
            progress=FinalProgress(
                **self._step_progress(progress).model_dump(),
                result=None,
                style=name,
                device=f"{selected.device}, {selected.precision}",
                notes=notes,
            ),
        )
        write_end(self.folder, end)
        self.checkpoint.unlink(missing_ok=True)
        self.send(end)

    def _add_to_library(self, data: bytes) -> tuple[str | None, list[str]]:
        """Add the style to the user's library; return its name there, or None, and notes."""
        try:
            return library.add_new(data, self.name), []
        except OutputError as error:
            return None, [f"It couldn't be added to your library: {error}"]
