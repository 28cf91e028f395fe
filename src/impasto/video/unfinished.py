"""What lies beside a film while it is made: its pictures, and how to go on with it."""

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
from impasto.video.codecs import Codec
from impasto.video.frames import Clip
from impasto.video.writing import FilmWriter, Part

MAX_ENDING_BYTES = 32
"""Room for what follows a film's name in the names of the files beside it: a number of eight
digits, ``.part``, a number of resumed runs and a suffix."""


class Unfinished:
    """The files beside ``output``: ``OUT.part.mp4`` and the like, one for each time that it was
    gone on with, and ``OUT.part.state``. What was asked for is in there as ``asked``, a hash.
    """

    def __init__(self, output: Path, asked: str) -> None:
        beside = output / "film" if files.is_folder(output) else output
        suffix = ".mkv" if output.suffix.lower() == ".gif" else output.suffix
        self.output, self.asked = output, asked
        self.work = beside.with_name(f"{_work_stem(beside)}.part{suffix}")
        self.state_file = self.work.with_suffix(".state")
        self.earlier: list[Part] = []
        self.writer: FilmWriter | None = None
        self.state: dict[str, Any] | None = None

    @property
    def exists(self) -> bool:
        """Whether it can be gone on with."""
        return files.exists(self.state_file)

    def check(self, read: Iterable[Path], *, force: bool) -> None:
        """Raises OutputError: the work file's name is that of what is ``read``, or taken."""
        for path in read:
            files.check_apart(self.work, path)
        if files.exists(self.work) and not self.exists and not force:
            raise OutputError(
                f"{self.work} is in the way: it is kept there how far {self.output} is; move it, or"
                " --force to replace both"
            )

    def load(self) -> dict[str, Any]:
        """What was remembered last. Raises CheckpointError."""
        saved = self._read()
        for part in self.earlier:
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
        except Exception as error:  # whatever unpickling thinks of
            raise CheckpointError(f"{self.state_file} is damaged; --force begins anew") from error
        if saved.get("asked") != self.asked:
            raise CheckpointError(
                f"{self.output} was begun with another film, other styles or settings;"
                " resume with the same"
            )
        self.earlier = [
            Part(self.work.with_name(name), first, count) for name, first, count in saved["parts"]
        ]
        return saved

    def open(self, codec: Codec, clip: Clip) -> FilmWriter:
        """A work file for what comes now. Raises OutputError."""
        path = self._work_file(len(self.earlier) + 1)
        try:
            self.writer = FilmWriter(path, codec, clip)
        except OutputError:
            _delete(path)
            raise
        return self.writer

    def begin(self) -> None:
        """From here on it can be gone on with: at first, from the first frame.

        Raises OutputError: that can't be written down; nothing is left then.
        """
        self.remember({"frames": 0})
        try:
            self.write(closed=True)
        except OutputError:
            if self.writer is not None:
                self.writer.abandon()
                _delete(self.writer.path)
            raise

    @property
    def parts(self) -> list[Part]:
        """The work files that make up the film so far."""
        if self.writer is None or not self.writer.times.pts:
            return self.earlier
        return [*self.earlier, self.writer.part]

    def remember(self, state: Mapping[str, Any]) -> None:
        """How to go on from here; ``write`` writes it down."""
        parts = [[part.path.name, part.first, part.frames] for part in self.parts]
        self.state = {**state, "asked": self.asked, "parts": parts}

    def write(self, *, closed: bool = False) -> None:
        """Write down what is remembered, once what it goes on from is in the file."""
        if self.state is None:
            return
        if closed or self.writer is None or self.writer.relies_on(self.state["parts"][-1][2]):
            if self.writer is not None:
                files.sync(self.writer.path)
            buffer = io.BytesIO()  # on a full disk torch.save raises something of its own
            torch.save(self.state, buffer)
            files.write_atomically(self.state_file, buffer.getvalue())
            self.state = None

    def discard(self) -> None:
        """Remove what an earlier run left."""
        for number in itertools.count(1):
            path = self._work_file(number)
            if not files.exists(path):
                break
            path.unlink()
        self._remove_state()

    def remove(self) -> None:
        """Remove what this run, and those that it went on with, made."""
        paths = [part.path for part in self.parts]
        for path in [*paths, *([] if self.writer is None else [self.writer.path])]:
            path.unlink(missing_ok=True)
        self._remove_state()

    def _remove_state(self) -> None:
        """Remove the state, and what writers of it or of the film left that were killed."""
        self.state_file.unlink(missing_ok=True)
        for path in (self.state_file, self.output):
            files.remove_abandoned(path)

    def _work_file(self, number: int) -> Path:
        """That of the first, second, … time that it was gone on with."""
        return self.work.with_stem(f"{self.work.stem}-{number}") if number > 1 else self.work


def _work_stem(output: Path) -> str:
    """Return what the names of the files beside a film begin with: its own, or where their endings
    have no room, the start of it and a number that tells it from others.
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
