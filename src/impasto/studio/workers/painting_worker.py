"""The process that paints the pictures and films of the studio; see ``protocol.py``.

It paints one job at a time, step by step. Between two steps it makes pictures of quick methods and
estimates, so that they don't wait for a long job. When standard input ends, the server is gone: the
process writes a checkpoint of the job and ends.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from impasto.base import devices, own_process
from impasto.base.errors import (
    CheckpointError,
    DeviceError,
    DivergenceError,
    ImageError,
    ImpastoError,
    RecipeError,
    WeightsError,
    bug,
)
from impasto.images.picture import Picture
from impasto.learning.start import start_file
from impasto.library import api
from impasto.networks.kernels import selection
from impasto.runs.progress import last
from impasto.settings.methods import METHODS
from impasto.studio.jobs.models import PREVIEW_METHOD, EstimateResponse, FilmRequest, LearnRequest
from impasto.studio.workers.learn_job import LearnJob
from impasto.studio.workers.picture_job import PictureJob, prepare_job, run_whole
from impasto.studio.workers.protocol import (
    DropOrder,
    EstimateAnswer,
    EstimateQuery,
    JobDropped,
    JobEnded,
    PaintingEvent,
    PaintingOrder,
    Query,
    QueryAnswer,
    QueryFailed,
    RunOrder,
    StopOrder,
    StylizeAnswer,
    StylizeQuery,
    WorkerActivity,
    WorkerReady,
    decode_painting_order,
    encode_message,
    read_frame,
)

if TYPE_CHECKING:
    from impasto.studio.workers.film_job import FilmJob

LAST_STEP_S = 5.0
"""Time that the current step may take after the server is gone."""
SETTINGS_ERRORS = (RecipeError, DeviceError, DivergenceError, WeightsError, CheckpointError)
"""Errors that other settings may avoid."""
QUERIES = (StylizeQuery, EstimateQuery)


class PaintingWorker:
    """Takes orders from standard input and works on them."""

    def __init__(self) -> None:
        # Whatever prints to standard output must not get between the messages.
        self.output = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self.orders: queue.Queue[PaintingOrder | None] = queue.Queue()
        self.current_job: PictureJob | FilmJob | LearnJob | None = None

    def send(self, event: PaintingEvent) -> None:
        """Send an event to the server."""
        try:
            self.output.write(encode_message(event))
            self.output.flush()
        except BrokenPipeError:
            pass  # standard input has ended too

    def receive_orders(self) -> None:
        """Queue the orders, in a thread. End the process if the last step takes too long."""
        while (frame := read_frame(sys.stdin.buffer)) is not None:
            self.orders.put(decode_painting_order(frame))
        self.orders.put(None)
        time.sleep(LAST_STEP_S)
        os._exit(0)  # the last checkpoint is good enough

    def run(self) -> None:
        """Work on orders until the server is gone."""
        device = selection.choose(os.environ.get("IMPASTO_STUDIO_DEVICE", "auto"))
        self.send(WorkerReady(device=f"{device.device}, {device.precision}", reason=device.why))
        threading.Thread(target=self.receive_orders, daemon=True).start()
        self._attempt(None, warm_up)
        self.send(WorkerActivity(job=None))
        while True:
            try:
                order = self.orders.get(block=self.current_job is None)
            except queue.Empty:
                assert self.current_job is not None
                self._attempt(self.current_job.id, self._advance)
                continue
            if order is None:
                break
            self.send(WorkerActivity(job="" if isinstance(order, QUERIES) else order.job))
            self._handle(order)
            self.send(WorkerActivity(job=None))
        if self.current_job is not None:
            self._attempt(None, self.current_job.save_checkpoint)

    def _advance(self) -> None:
        assert self.current_job is not None
        if self.current_job.advance():
            self.current_job = None

    def _handle(self, order: PaintingOrder) -> None:
        match order:
            case RunOrder():
                self._attempt(order.job, lambda: self._begin(order))
            case StopOrder():
                if self.current_job is not None and self.current_job.id == order.job:
                    self.current_job.is_stopping = True
            case DropOrder():
                if self.current_job is not None and self.current_job.id == order.job:
                    self.current_job = None
                self.send(JobDropped(job=order.job))
            case StylizeQuery() | EstimateQuery():
                self.send(answer_query(order))

    def _begin(self, order: RunOrder) -> None:
        """Make a picture of a quick method, or begin a job of many steps."""
        request = order.request
        if isinstance(request, FilmRequest):
            from impasto.studio.workers.film_job import FilmJob  # noqa: PLC0415, OpenCV

            self.current_job = FilmJob(order, request, self.send)
        elif isinstance(request, LearnRequest):
            self.current_job = LearnJob(order, request, self.send)
        elif request.recipe.is_quick:
            run_whole(order, request, self.send)
        else:
            self.current_job = PictureJob(order, request, self.send)

    def _attempt(self, job_id: str | None, action: Callable[[], None]) -> None:
        """Run an action. If it raises an error, the job fails."""
        try:
            action()
        except Exception as error:
            if self.current_job is not None and self.current_job.id == job_id:
                self.current_job = None
            if job_id is not None:
                self.send(JobEnded(job=job_id, ended="failed", error=describe_error(error)))
            else:
                traceback.print_exc()


def answer_query(query: Query) -> QueryAnswer:
    """Return the answer to a query, or why there is none."""
    try:
        return stylize(query) if isinstance(query, StylizeQuery) else estimate(query)
    except Exception as error:
        return QueryFailed(ticket=query.ticket, error=describe_error(error), cause=cause_of(error))


def stylize(query: StylizeQuery) -> StylizeAnswer:
    """Make a picture of a quick method at once, as a file in the query's folder."""
    folder = Path(query.folder)
    path = folder / "result.png"
    last(api.run(prepare_job(query.request, folder))).result().save(path, force=True)
    return StylizeAnswer(ticket=query.ticket, file=path.name)


def estimate(query: EstimateQuery) -> EstimateAnswer:
    """Estimate the size, the time and the memory of a picture."""
    photo = Picture.probe(query.width, query.height)
    takes_images = METHODS[query.recipe.method].accepts.style_images
    style = Picture.probe(256, 256) if takes_images else start_file("fast")
    job = api.prepare(photo, style, recipe=query.recipe.settings())
    found = api.estimate(job)
    return EstimateAnswer(
        ticket=query.ticket,
        estimate=EstimateResponse(
            width=job.content.width,
            height=job.content.height,
            seconds=round(found.seconds, 1),
            memory_mb=round(found.memory.needed_mb),
        ),
    )


def cause_of(error: Exception) -> Literal["settings", "image", "internal"]:
    """Return what would have to change for an error not to happen."""
    if isinstance(error, ImageError):
        return "image"
    return "settings" if isinstance(error, SETTINGS_ERRORS) else "internal"


def describe_error(error: Exception) -> str:
    """Return one sentence for the person who must act."""
    if isinstance(error, ImpastoError):
        return " ".join(str(error).split())
    if devices.is_out_of_memory(error):
        return "this machine ran out of memory; try a smaller size"
    if isinstance(error, OSError):
        return f"a file can't be written: {error.strerror or error}".lower()
    traceback.print_exception(error)
    return bug(error)


def warm_up() -> None:
    """Load the networks for previews, so that the first one is quick."""
    job = api.prepare(
        Picture.probe(256, 256),
        Picture.probe(256, 256),
        method=PREVIEW_METHOD,
        size=256,
    )
    last(api.run(job))


def main() -> None:
    """Run worker number IMPASTO_STUDIO_WORKER of IMPASTO_STUDIO_WORKERS."""
    own_process.configure()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's
    number, count = (
        int(os.environ.get(f"IMPASTO_STUDIO_WORKER{end}", default))
        for end, default in (("", 0), ("S", 1))
    )
    gpus = torch.cuda.device_count()
    if gpus:
        os.environ["IMPASTO_STUDIO_DEVICE"] = f"cuda:{number % gpus}"
    elif count > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // count))
    PaintingWorker().run()


if __name__ == "__main__":
    main()
