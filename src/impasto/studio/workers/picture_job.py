"""Pictures as jobs of the painting worker."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from impasto.base import files, own_process
from impasto.base.errors import CheckpointError
from impasto.images.limits import LARGE
from impasto.images.read import NamedFile
from impasto.library import api
from impasto.methods.base import method_of
from impasto.runs import checkpoint
from impasto.runs.job import Job
from impasto.runs.progress import Progress, Snapshot
from impasto.studio.jobs.models import (
    ContentFile,
    FinalProgress,
    PictureRequest,
    PictureSize,
    StepProgress,
    StyleFile,
)
from impasto.studio.workers.previews import (
    PREVIEW_INTERVAL_S,
    PROGRESS_INTERVAL_S,
    write_preview,
)
from impasto.studio.workers.protocol import JobAdvanced, JobEnded, PaintingEvent, RunOrder
from impasto.studio.workers.throttle import Throttle

MIN_CHECKPOINT_INTERVAL_S = 10.0
MAX_CHECKPOINT_SHARE = 0.05
"""The largest share of the time that writing checkpoints may take."""
FILES_IN_RECIPE = ("mask", "init")
"""Settings that name a file in the job's folder."""

Send = Callable[[PaintingEvent], None]


class PictureJob:
    """A picture that is painted step by step."""

    def __init__(self, order: RunOrder, request: PictureRequest, send: Send) -> None:
        self.id, self.folder, self.send = order.job, Path(order.folder), send
        self.checkpoint = self.folder / "checkpoint"
        self.events = self._events(request)
        self.progress: Progress | None = None
        self.is_stopping = False
        self.previews = order.previews
        self.progress_throttle = Throttle(PROGRESS_INTERVAL_S)
        self.preview_throttle = Throttle(PREVIEW_INTERVAL_S)
        self.checkpoint_interval_s = MIN_CHECKPOINT_INTERVAL_S
        self.last_checkpoint = time.monotonic()

    def _events(self, request: PictureRequest) -> Iterator[Progress]:
        job, snapshot = self._job(request)
        plan = method_of(job.recipe).plan_of(job)
        own_process.set_freed_memory(should_keep=plan.memory.stays)
        return api.run(replace(job, plan=plan), snapshot)

    def _job(self, request: PictureRequest) -> tuple[Job, Snapshot | None]:
        if self.checkpoint.exists():
            try:
                return checkpoint.load(self.checkpoint)
            except CheckpointError:  # of another version
                self.checkpoint.unlink()
        return prepare_job(request, self.folder), None

    def advance(self) -> bool:
        """Take one step. Return whether the job has ended."""
        event = next(self.events, None)
        if event is not None:
            self.progress = event
            self._report(event)
        if event is not None and not self.is_stopping:
            return False
        assert self.progress is not None
        self.send(finish(self.id, self.folder, self.progress, is_complete=event is None))
        self.events = iter(())
        own_process.give_back_freed_memory()
        return True

    def _report(self, progress: Progress) -> None:
        """Write the checkpoint and the preview and send the progress, each if it is due."""
        if time.monotonic() - self.last_checkpoint > self.checkpoint_interval_s:
            self.save_checkpoint()
        if self.preview_throttle.is_due(force=progress.step == 0):
            write_preview(self.folder, progress.image)
            self.previews += 1
        if self.progress_throttle.is_due():
            self.send(JobAdvanced(job=self.id, progress=step_progress(progress, self.previews)))

    def save_checkpoint(self) -> None:
        """Write a checkpoint of the current step, and plan the next one by how long it takes."""
        if self.progress is None or self.progress.snapshot is None:
            return
        started = time.monotonic()
        checkpoint.save(self.progress, self.checkpoint)
        self.last_checkpoint = time.monotonic()
        took_s = self.last_checkpoint - started
        self.checkpoint_interval_s = max(MIN_CHECKPOINT_INTERVAL_S, took_s / MAX_CHECKPOINT_SHARE)


def prepare_job(request: PictureRequest, folder: Path) -> Job:
    """Read the images of a request, by the names that people gave them, and its recipe."""

    def named_file(part: ContentFile | StyleFile) -> NamedFile:
        assert part.file is not None
        return NamedFile(folder / part.file, part.name)

    settings = request.recipe.settings()
    names = {"mask": request.mask, "init": request.init}
    paths = {name: str(folder / file) for name, file in names.items() if file is not None}
    device = settings["device"]
    if device == "auto":
        device = os.environ.get("IMPASTO_STUDIO_DEVICE", "auto")
    styles = [
        (style.name if style.built_in else named_file(style), style.weight)
        for style in request.styles
    ]
    job = api.prepare(
        named_file(request.content),
        styles,
        recipe={**settings, **paths, "device": device},
        limits=LARGE,
    )
    # The recipe inside the picture names no files of this machine.
    named = {name: settings[name] for name in (*paths, "device")}
    return replace(job, recipe=job.recipe.model_copy(update=named))


def finish(job_id: str, folder: Path, progress: Progress, *, is_complete: bool = True) -> JobEnded:
    """Write the picture, then the end of the job, and return the end."""
    result = progress.result()
    result.save(folder / "result.png", force=True)
    is_complete = is_complete or progress.step >= progress.steps
    write_preview(folder, progress.image)
    state = step_progress(progress, 0)
    end = JobEnded(
        job=job_id,
        ended="done" if is_complete else "stopped",
        progress=FinalProgress(
            **state.model_dump(exclude={"preview"}),
            result=PictureSize(width=result.width, height=result.height),
            device=f"{progress.job.device.device}, {progress.job.device.precision}",
        ),
    )
    if not is_complete and progress.snapshot is not None:
        checkpoint.save(progress, folder / "checkpoint")
    write_end(folder, end)
    if is_complete:  # not before the end is written: until then the job may have to be resumed
        (folder / "checkpoint").unlink(missing_ok=True)
    return end


def write_end(folder: Path, end: JobEnded) -> None:
    """Write the end of a job into its folder, for a server that starts later."""
    files.write_json(folder / "ended.json", end.model_dump(mode="json"))


def step_progress(progress: Progress, previews: int) -> StepProgress:
    """Return what the server records of a step."""
    return StepProgress(
        step=progress.step,
        steps=progress.steps,
        scale=progress.scale,
        losses=None if progress.losses is None else dict(progress.losses.as_dict()),
        seconds=round(progress.seconds, 2),
        eta=round(progress.eta, 1) if progress.eta < float("inf") else None,
        preview=previews,
    )


def run_whole(order: RunOrder, request: PictureRequest, send: Send) -> None:
    """Make a picture of a quick method, from the beginning to the end."""
    folder = Path(order.folder)
    for progress in api.run(prepare_job(request, folder)):
        send(JobAdvanced(job=order.job, progress=step_progress(progress, 0)))
    send(finish(order.job, folder, progress))
