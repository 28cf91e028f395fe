"""A film as a long job of the worker: a frame is a step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from impasto.base import files
from impasto.base.errors import CheckpointError
from impasto.networks.kernels import selection as kernels
from impasto.studio.workers.previews import PREVIEW_INTERVAL_S, PROGRESS_INTERVAL_S, write_preview
from impasto.studio.workers.throttle import Throttle
from impasto.video.film import Film, FilmProgress
from impasto.video.frames import Cut, as_image

RESULT = "result.mp4"

Message = dict[str, Any]


class FilmJob:
    """As ``worker.Long``, of a request whose kind is "film"."""

    def __init__(
        self, id: str, folder: Path, request: Message, news: Callable[[Message], None]
    ) -> None:
        self.id, self.folder, self.news = id, folder, news
        self.stopping = False
        self.previews = request.get("previews", 0)
        self.progress_throttle = Throttle(PROGRESS_INTERVAL_S)
        self.preview_throttle = Throttle(PREVIEW_INTERVAL_S)
        self.progress: FilmProgress | None = None
        self.film = self._film(request)
        self.frames: Iterator[FilmProgress] = iter(self.film)

    def _film(self, request: Message) -> Film:
        asked = {k: v for k, v in request["settings"].items() if v is not None}
        styles = [
            (part["name"] if part["built_in"] else str(self.folder / part["file"]), part["weight"])
            for part in request["styles"]
        ]
        cut = Cut(asked.pop("start", 0.0), asked.pop("end", float("inf")), 1, asked.pop("size", 0))
        self.device = kernels.choose(os.environ.get("IMPASTO_STUDIO_DEVICE", "auto"))
        arguments = {"cut": cut, "device": str(self.device.device), **asked}
        source, output = self.folder / request["content"]["file"], self.folder / RESULT
        try:
            return Film(source, styles, output, resume=True, **arguments)
        except CheckpointError:  # it begins
            return Film(source, styles, output, force=True, **arguments)

    def advance(self) -> bool:
        """One frame. Whether the job is over."""
        last = next(self.frames, None)
        if last is not None:
            self.progress = last
            self._tell()
        if last is not None and not self.stopping:
            return False
        self._finish()
        return True

    def keep(self) -> None:
        """What a film needs to go on is written as it goes."""

    def _tell(self) -> None:
        if self.preview_throttle.is_due():
            self._write_preview()
        if self.progress_throttle.is_due():
            self.news({"job": self.id, "progress": self._summary()})

    def _write_preview(self) -> None:
        assert self.progress is not None
        write_preview(self.folder, as_image(self.progress.picture))
        self.previews += 1

    def _summary(self) -> Message:
        progress = self.progress
        assert progress is not None
        return {
            "step": progress.frame,
            "steps": progress.frames or progress.frame,
            "scale": max(self.film.width, self.film.height),
            "losses": None,
            "seconds": round(progress.seconds, 2),
            "eta": round(progress.eta, 1) if progress.eta < float("inf") else None,
            "preview": self.previews,
        }

    def _finish(self) -> None:
        notes = [*self.film.notes, *self.film.finish()]
        self.film.unfinished.remove()  # one that was stopped isn't gone on with here
        if self.progress is not None:
            self._write_preview()
        ended = {
            "job": self.id,
            "ended": "done" if self.film.complete else "stopped",
            "progress": {
                **self._summary(),
                "result": {"width": self.film.width, "height": self.film.height},
                "device": f"{self.device.device}, {self.device.precision}",
                "notes": notes,
            },
        }
        files.write_json(self.folder / "ended.json", ended)
        self.news(ended)
