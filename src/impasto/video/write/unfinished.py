"""The files beside a film while it is made: its work files, and the state to resume from."""

from __future__ import annotations

import io
import itertools
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from impasto.base import files
from impasto.base.errors import CheckpointError, OutputError
from impasto.video.frames import Clip
from impasto.video.write.codecs import Codec
from impasto.video.write.work_file import FilmWriter, WorkFilePart

MAX_ENDING_BYTES = 32
"""Longest ending of the names of these files: a number of eight digits, ``.part``, a number of
resumed runs and a suffix."""


class Unfinished:
    """The files of an unfinished film.

    These are the work files, ``OUT.part.mp4`` and ``OUT.part-2.mp4`` and so on, one for each time
    that the film was resumed, and the state, ``OUT.part.state``.

    Args:
        output: The film.
        request_hash: A hash of what the film is made from. Only the same request resumes it.
    """

    def __init__(self, output: Path, request_hash: str) -> None:
        beside = output / "film" if files.is_folder(output) else output
        suffix = ".mkv" if output.suffix.lower() == ".gif" else output.suffix
        self.output, self.request_hash = output, request_hash
        self.work = beside.with_name(f"{_work_stem(beside)}.part{suffix}")
        self.state_file = self.work.with_suffix(".state")
        self.earlier_parts: list[WorkFilePart] = []
        self.writer: FilmWriter | None = None
        self.state: dict[str, Any] | None = None

    @property
    def exists(self) -> bool:
        """Whether the film can be resumed."""
        return files.exists(self.state_file)

    def check(self, inputs: Iterable[Path], *, should_replace: bool) -> None:
        """Raise OutputError if the work file is one of the inputs, or another program's file."""
        for path in inputs:
            files.check_apart(self.work, path)
        if files.exists(self.work) and not self.exists and not should_replace:
            raise OutputError(
                f"{self.work} is in the way: it is kept there how far {self.output} is; move it, or"
                " --force to replace both"
            )

    def load(self) -> dict[str, Any]:
        """Return the state to resume from. Raises CheckpointError."""
        saved = self._read()
        for part in self.earlier_parts:
            if not part.is_whole():
                raise CheckpointError(f"{part.path} is damaged: it ends too early; begin anew")
        return saved

    def _read(self) -> dict[str, Any]:
        try:
            saved: dict[str, Any] = torch.load(self.state_file, weights_only=True)
        except FileNotFoundError:
            raise CheckpointError(
                f"{self.output} wasn't interrupted: there is nothing to resume"
            ) from None
        except Exception as error:  # unpickling damaged data raises anything
            raise CheckpointError(f"{self.state_file} is damaged; --force begins anew") from error
        if saved.get("asked") != self.request_hash:
            raise CheckpointError(
                f"{self.output} was begun with another film, other styles or settings;"
                " resume with the same"
            )
        self.earlier_parts = [
            WorkFilePart(self.work.with_name(name), first, count)
            for name, first, count in saved["parts"]
        ]
        return saved

    def open(self, codec: Codec, clip: Clip) -> FilmWriter:
        """Open a work file for the next frames. Raises OutputError."""
        path = self._work_file(len(self.earlier_parts) + 1)
        try:
            self.writer = FilmWriter(path, codec, clip)
        except OutputError:
            _delete(path)
            raise
        return self.writer

    def begin(self) -> None:
        """Make the film resumable, from its first frame at first.

        Raises:
            OutputError: The state can't be written. No file is left then.
        """
        self.remember({"frames": 0})
        try:
            self.write(is_closed=True)
        except OutputError:
            if self.writer is not None:
                self.writer.abandon()
                _delete(self.writer.path)
            raise

    @property
    def parts(self) -> list[WorkFilePart]:
        """The parts that make up the film so far."""
        if self.writer is None or not self.writer.times.pts:
            return self.earlier_parts
        return [*self.earlier_parts, self.writer.part]

    def remember(self, state: Mapping[str, Any]) -> None:
        """Keep the state to resume from; ``write`` writes it."""
        parts = [[part.path.name, part.first, part.frames] for part in self.parts]
        self.state = {**state, "asked": self.request_hash, "parts": parts}

    def write(self, *, is_closed: bool = False) -> None:
        """Write the state that was kept, if the frames before it are in the work file.

        Args:
            is_closed: Whether the work file is complete.
        """
        if self.state is None:
            return
        if is_closed or self.writer is None or self.writer.has_written(self.state["parts"][-1][2]):
            if self.writer is not None:
                files.sync(self.writer.path)
            buffer = io.BytesIO()  # on a full disk torch.save itself raises an unclear error
            torch.save(self.state, buffer)
            files.write_atomically(self.state_file, buffer.getvalue())
            self.state = None

    def discard(self) -> None:
        """Remove the files of an earlier run."""
        for number in itertools.count(1):
            path = self._work_file(number)
            if not files.exists(path):
                break
            path.unlink()
        self._remove_state()

    def remove(self) -> None:
        """Remove the files of this run, and of those that it resumed."""
        paths = [part.path for part in self.parts]
        for path in [*paths, *([] if self.writer is None else [self.writer.path])]:
            path.unlink(missing_ok=True)
        self._remove_state()

    def _remove_state(self) -> None:
        """Remove the state, and temporary files of killed processes."""
        self.state_file.unlink(missing_ok=True)
        for path in (self.state_file, self.output):
            files.remove_abandoned(path)

    def _work_file(self, number: int) -> Path:
        """Return the work file of the first, second, … run."""
        return self.work.with_stem(f"{self.work.stem}-{number}") if number > 1 else self.work


def _work_stem(output: Path) -> str:
    """Return the stem of the names of the files beside a film.

    It is the film's own, or if the endings would make it too long, the start of it and a number
    that distinguishes it from others.
    """
    stem = output.stem.replace("%", "")
    room = files.MAX_NAME_BYTES - MAX_ENDING_BYTES
    if files.shortened(stem, room) == stem:
        return stem
    number = zlib.crc32(output.name.encode("utf-8", "surrogatepass"))
    return f"{files.shortened(stem, room)}-{number:08x}"


def _delete(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
