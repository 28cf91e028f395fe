"""The process that paints: jobs in by standard input, news out by standard output, a line of JSON
each. ``crew.py`` looks after it.

One long job is painted at a time, a step at a time; between two steps instant pictures and
estimates are made, so that nobody waits for a poster. When standard input ends the server is gone:
the job is kept as a checkpoint, and the process ends.

    {"do": "run", "job": id, "folder": path, "request": {...}}    {"do": "stop" | "drop", "job": id}
    {"do": "stylize" | "estimate", "ticket": n, ...}

Among the news is what it is at (``{"at": id}``), so that if it dies the right job is blamed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from impasto.base import devices, files, own_process
from impasto.base.errors import CheckpointError, ImpastoError
from impasto.images.limits import LARGE
from impasto.images.picture import Picture
from impasto.images.read import NamedFile
from impasto.library import api, checkpoint
from impasto.methods import instant
from impasto.networks.kernels import selection as kernels
from impasto.runs.result import Job, Progress, last
from impasto.studio.news import NEWS_EVERY_S, PREVIEW_EVERY_S, Due, write_preview

CHECKPOINT_EVERY_S = 10.0
CHECKPOINT_SHARE = 0.05
"""At most so much of the time goes into checkpoints."""
PATIENCE_S = 5.0
"""How long a step may go on after the server is gone."""

if TYPE_CHECKING:
    from impasto.studio.films import FilmJob

Message = dict[str, Any]


class Long:
    """A job that takes many steps."""

    def __init__(self, id: str, folder: Path, request: Message, news: Any) -> None:
        self.id, self.folder, self.news = id, folder, news
        self.checkpoint = folder / "checkpoint"
        self.events = self._events(request)
        self.progress: Progress | None = None
        self.stopping = False
        self.previews = request.get("previews", 0)
        self.news_due, self.preview_due = Due(NEWS_EVERY_S), Due(PREVIEW_EVERY_S)
        self.every = CHECKPOINT_EVERY_S
        self.kept = time.monotonic()

    def _events(self, request: Message) -> Iterator[Progress]:
        if self.checkpoint.exists():
            try:
                return api.resume(self.checkpoint)
            except CheckpointError:  # of another version
                self.checkpoint.unlink()
        return api.run(prepared(request, self.folder))

    def advance(self) -> bool:
        """One step. Whether the job is over."""
        last = next(self.events, None)
        if last is not None:
            self.progress = last
            self._tell()
        if last is not None and not self.stopping:
            return False
        assert self.progress is not None
        finish(self.id, self.folder, self.progress, self.news, completed=last is None)
        return True

    def _tell(self) -> None:
        assert self.progress is not None
        if time.monotonic() - self.kept > self.every:
            self.keep()
        if self.preview_due(anyway=self.progress.step == 0):
            write_preview(self.folder, self.progress.image)
            self.previews += 1
        if self.news_due():
            self.news({"job": self.id, "progress": summary(self.progress, self.previews)})

    def keep(self) -> None:
        """Write a checkpoint."""
        if self.progress is None or self.progress.snapshot is None:
            return
        started = time.monotonic()
        checkpoint.save(self.progress, self.checkpoint)
        self.kept = time.monotonic()
        self.every = max(CHECKPOINT_EVERY_S, (self.kept - started) / CHECKPOINT_SHARE)


def prepared(request: Message, folder: Path) -> Job:
    """The request's images, by the names that people gave them, and its recipe."""

    def picture(part: Message) -> NamedFile:
        return NamedFile(folder / part["file"], part["name"])

    asked = request["recipe"]
    files_of_it = {
        setting: str(folder / request[setting])
        for setting in ("mask", "init")
        if request[setting] is not None
    }
    device = asked["device"]
    if device == "auto":
        device = os.environ.get("IMPASTO_STUDIO_DEVICE", "auto")
    styles = [
        (part["name"] if part["built_in"] else picture(part), part["weight"])
        for part in request["styles"]
    ]
    content = picture(request["content"])
    job = api.prepare(
        content, styles, recipe={**asked, **files_of_it, "device": device}, limits=LARGE
    )
    # What the picture says of itself names no files of this server.
    named = {name: asked[name] for name in (*files_of_it, "device")}
    return replace(job, recipe=job.recipe.model_copy(update=named))


def finish(id: str, folder: Path, progress: Progress, news: Any, *, completed: bool = True) -> None:
    """Write the picture, then what came of the job, then say so."""
    result = progress.result()
    result.save(folder / "result.png", force=True)
    completed = completed or progress.step >= progress.steps
    write_preview(folder, progress.image)
    ended = {
        "job": id,
        "ended": "done" if completed else "stopped",
        "progress": {
            **summary(progress, None),
            "result": {"width": result.width, "height": result.height},
            "device": f"{progress.job.device.device}, {progress.job.device.precision}",
        },
    }
    if not completed and progress.snapshot is not None:
        checkpoint.save(progress, folder / "checkpoint")
    files.write_json(folder / "ended.json", ended)
    if completed:  # only now: until it is written down, the job may have to be gone on with
        (folder / "checkpoint").unlink(missing_ok=True)
    news(ended)


def summary(progress: Progress, previews: int | None) -> Message:
    """What the API shows of it."""
    known = {
        "step": progress.step,
        "steps": progress.steps,
        "scale": progress.scale,
        "losses": None if progress.losses is None else progress.losses.as_dict(),
        "seconds": round(progress.seconds, 2),
        "eta": round(progress.eta, 1) if progress.eta < float("inf") else None,
    }
    return known if previews is None else {**known, "preview": previews}


def run_instantly(id: str, folder: Path, request: Message, news: Any) -> None:
    """A job of the method instant, to its end."""
    for progress in api.run(prepared(request, folder)):
        news({"job": id, "progress": summary(progress, 0)})
    finish(id, folder, progress, news)


def stylized(message: Message) -> Message:
    """An instant picture at once, as a file in the request's folder."""
    folder = Path(message["folder"])
    path = folder / "result.png"
    last(api.run(prepared(message["request"], folder))).result().save(path, force=True)
    return {"file": path.name}


def estimated(message: Message) -> Message:
    """How large, how long and how much memory."""
    grey = Picture.grey(message["width"], message["height"], "photo")
    job = api.prepare(grey, Picture.grey(256, 256, "painting"), recipe=message["recipe"])
    estimate = api.estimate(job)
    return {
        "width": job.content.width,
        "height": job.content.height,
        "seconds": round(estimate.seconds, 1),
        "memory_mb": round(estimate.memory.needed_mb),
    }


ANSWERS = {"stylize": stylized, "estimate": estimated}


class Worker:
    """Takes messages from standard input and works on them."""

    def __init__(self) -> None:
        # What prints to standard output, whatever it is, must not be taken for news.
        self.output = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self.messages: queue.Queue[Message | None] = queue.Queue()
        self.long: Long | FilmJob | None = None

    def news(self, message: Message) -> None:
        try:
            self.output.write(json.dumps(message) + "\n")
            self.output.flush()
        except BrokenPipeError:
            pass  # standard input has ended too

    def listen(self) -> None:
        """Queue what comes, in a thread. After its end the step in hand may go on a little."""
        for line in sys.stdin:
            self.messages.put(json.loads(line))
        self.messages.put(None)
        time.sleep(PATIENCE_S)
        os._exit(0)  # the last checkpoint is good enough

    def work(self) -> None:
        device = kernels.choose(os.environ.get("IMPASTO_STUDIO_DEVICE", "auto"))
        self.news({"ready": f"{device.device}, {device.precision}", "why": device.why})
        threading.Thread(target=self.listen, daemon=True).start()
        self._attempt(None, warm_up)
        self.news({"at": None})
        while True:
            try:
                message = self.messages.get(block=self.long is None)
            except queue.Empty:
                assert self.long is not None
                self._attempt(self.long.id, self._advance)
                continue
            if message is None:
                break
            self.news({"at": message.get("job", "")})
            self._obey(message)
            self.news({"at": None})
        if self.long is not None:
            self._attempt(None, self.long.keep)

    def _advance(self) -> None:
        assert self.long is not None
        if self.long.advance():
            self.long = None

    def _obey(self, message: Message) -> None:
        id = str(message.get("job"))
        match message["do"]:
            case "run" if message["request"].get("kind") == "film":
                self._attempt(id, lambda: self._begin_film(message))
            case "run" if message["request"]["recipe"]["method"] == "instant":
                arguments = id, Path(message["folder"]), message["request"], self.news
                self._attempt(id, lambda: run_instantly(*arguments))
            case "run":
                self._attempt(id, lambda: self._begin(message))
            case "stop" if self.long is not None and self.long.id == id:
                self.long.stopping = True
            case "drop":
                if self.long is not None and self.long.id == id:
                    self.long = None
                self.news({"job": id, "ended": "dropped"})
            case "stylize" | "estimate":
                self._answer(message)

    def _begin(self, message: Message) -> None:
        self.long = Long(message["job"], Path(message["folder"]), message["request"], self.news)

    def _begin_film(self, message: Message) -> None:
        from impasto.studio.films import FilmJob

        folder = Path(message["folder"])
        self.long = FilmJob(message["job"], folder, message["request"], self.news)

    def _answer(self, message: Message) -> None:
        answer: Message = {"ticket": message["ticket"]}
        try:
            answer["answer"] = ANSWERS[message["do"]](message)
        except Exception as error:
            answer |= {"error": sentence(error), "kind": type(error).__name__}
        self.news(answer)

    def _attempt(self, id: str | None, action: Any) -> None:
        """Do it; the job fails if that does."""
        try:
            action()
        except Exception as error:
            if self.long is not None and self.long.id == id:
                self.long = None
            if id is not None:
                self.news({"job": id, "ended": "failed", "error": sentence(error)})
            else:
                traceback.print_exc()


def sentence(error: Exception) -> str:
    """One sentence for the person who must act."""
    if isinstance(error, ImpastoError):
        return " ".join(str(error).split())
    if devices.is_out_of_memory(error):
        return "this machine ran out of memory; try a smaller size"
    if isinstance(error, OSError):
        return f"a file can't be written: {error.strerror or error}".lower()
    traceback.print_exception(error)
    return f"this is a bug in impasto, please report it: {type(error).__name__}: {error}"


def warm_up() -> None:
    """Load the networks of the method instant, for a quick first preview."""
    job = api.prepare(
        Picture.grey(256, 256, "photo"),
        Picture.grey(256, 256, "painting"),
        method="instant",
        size=256,
    )
    for _ in instant.instant(job):
        pass


def main() -> None:
    """Be worker number IMPASTO_STUDIO_WORKER of IMPASTO_STUDIO_WORKERS."""
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
    Worker().work()


if __name__ == "__main__":
    main()
