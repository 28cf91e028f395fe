"""Where the picture goes, and how."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto import files
from impasto.cli.inputs import STANDARD_STREAM, check_input
from impasto.errors import OutputError

if TYPE_CHECKING:
    from impasto.images.picture import Picture
    from impasto.images.write import Encoding
    from impasto.result import Job, Result

MAX_STEM = (
    40  # characters of each image's name in the default name; few systems allow over 255 bytes
)
EXTENSIONS = {"jpeg": "jpg", "tiff": "tif"}  # where it isn't the format's own name


@dataclass
class Target:
    """The output as it was asked for: a file, ``-`` for standard output, or None for a new file
    beside the first image, whose name ends in ``suffix``.
    """

    output: str | None
    format: Any
    bit_depth: Any
    metadata: bool
    force: bool
    suffix: str = ""

    def check_json(self, as_json: bool) -> None:
        """Refuse to write both JSON and the picture to standard output. Raises OutputError."""
        if as_json and self.output == STANDARD_STREAM:
            raise OutputError("--json and the picture can't both go to standard output")

    def check_early(self, content: str | Picture) -> None:
        """Refuse before the work what would fail after it. Raises ImageError, OutputError."""
        name = content if isinstance(content, str) else content.name
        if isinstance(content, str):
            check_input(content)
        if self.output is None and name != STANDARD_STREAM:
            files.check_writable(Path(name).with_name(".impasto"), force=True)
        elif self.output not in (None, STANDARD_STREAM):
            files.check_writable(Path(str(self.output)), force=self.force)
        self.encoding()

    def encoding(self) -> Encoding:
        """Format and depth. Raises OutputError if they don't go together, or the name has none."""
        from impasto.images import write

        format = self.format
        if format is None:
            named = self.output not in (None, STANDARD_STREAM)
            format = write.format_for(Path(str(self.output))) if named else "png"
        return write.Encoding(format, self.bit_depth)

    def path_for(self, job: Job) -> Path | None:
        """The file that will be written; None for standard output."""
        if self.output == STANDARD_STREAM:
            return None
        if self.output is not None:
            return Path(self.output)
        content, style = Path(job.content.name), Path(job.styles[0].name)
        stem = content.stem[:MAX_STEM]
        if content != style or not self.suffix:  # what is made of one image has a suffix
            stem = f"{stem}_{style.stem[:MAX_STEM]}"
        stem = f"{stem}{self.suffix}"
        extension = EXTENSIONS.get(self.format, self.format or "png")
        return files.free_name(content.with_name(f"{stem}.{extension}"))

    def write(self, result: Result, path: Path | None) -> str:
        """Write the picture, as ``put`` does."""
        from impasto.images import write

        asked = self.encoding()
        encoding = result.encoding(asked.format, asked.bit_depth, metadata=self.metadata)
        if path is None:  # a pipe can't be gone back in
            return self.put(write.encode(result.array, encoding), path)
        return self.put(partial(write.write, pixels=result.array, encoding=encoding), path)

    def put(self, data: bytes | files.Writer, path: Path | None) -> str:
        """Write a picture to ``path`` (None: standard output) and return where it went.

        Nothing that has come into being since the start is overwritten. Where writing has become
        impossible the picture is kept in the temporary folder. Raises OutputError, saying so.
        """
        if path is None:
            assert isinstance(data, bytes)
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return STANDARD_STREAM
        if not self.force:
            path = files.free_name(path)
        try:
            files.write_atomically(path, data)
        except OutputError as error:
            rescue = files.free_name(Path(tempfile.gettempdir()) / path.name)
            files.write_atomically(rescue, data)
            raise OutputError(f"{error}; the picture was kept as {rescue}") from error
        return str(path)
