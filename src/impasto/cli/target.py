"""The output of a command that makes a picture: file or standard output, format and depth."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.base import files
from impasto.base.errors import OutputError, reason
from impasto.cli.inputs import STANDARD_STREAM, check_input
from impasto.cli.streams import silence

if TYPE_CHECKING:
    from impasto.images.picture import Picture
    from impasto.images.write import Encoding
    from impasto.runs.job import Job
    from impasto.runs.result import Result

MAX_STEM = 40
"""Characters of each image's name in the default name."""
MAX_STEM_BYTES = 100
"""The same in bytes: two of them, a number and a suffix stay well below the 255 of a name."""
RESCUED = "impasto.png"
"""Name of a picture that standard output didn't take."""
EXTENSIONS = {"jpeg": "jpg", "tiff": "tif"}  # where it differs from the format's name


@dataclass
class OutputTarget:
    """The output that a command was asked for.

    Attributes:
        output: A file, ``-`` for standard output, or None for a new file beside the first image.
        format: The image format, or None for the one that the file's name asks for.
        bit_depth: Bits per channel.
        has_metadata: Whether the recipe is written into the picture.
        should_replace: Whether an existing file is replaced.
        suffix: What the stem of a new file's name ends in.
    """

    output: str | None
    format: Any
    bit_depth: Any
    has_metadata: bool
    should_replace: bool
    suffix: str = ""

    def check_json(self, as_json: bool) -> None:
        """Refuse to write both JSON and the picture to standard output. Raises OutputError."""
        if as_json and self.output == STANDARD_STREAM:
            raise OutputError("--json and the picture can't both go to standard output")

    def check_early(self, content: str | Picture) -> None:
        """Check the content's name and the output before a run. Raises ImageError, OutputError."""
        name = content if isinstance(content, str) else content.name
        if isinstance(content, str):
            check_input(content)
        if self.output == STANDARD_STREAM and sys.stdout is None:
            raise OutputError("the picture can't go to standard output, which is closed")
        if self.output is None and name != STANDARD_STREAM:
            files.check_writable(Path(name).with_name(".impasto"), force=True)
        elif self.output not in (None, STANDARD_STREAM):
            files.check_writable(Path(str(self.output)), force=self.should_replace)
        self.encoding()

    def encoding(self) -> Encoding:
        """Return format and depth. Raises OutputError if a file can't have them."""
        from impasto.images import write

        if self.format is not None:
            return write.Encoding(self.format, self.bit_depth)
        has_name = self.output not in (None, STANDARD_STREAM)
        by_name = write.format_for(Path(str(self.output))) if has_name else "png"
        return write.Encoding(by_name, self.bit_depth)

    def path_for(self, job: Job) -> Path | None:
        """Return the file that will be written, or None for standard output."""
        if self.output == STANDARD_STREAM:
            return None
        if self.output is not None:
            return Path(self.output)
        content, style = Path(job.content.name), Path(job.styles[0].name)
        stem = short_stem(content)
        if content != style or not self.suffix:  # what is made of one image has a suffix
            stem = f"{stem}_{short_stem(style)}"
        stem = f"{stem}{self.suffix}"
        extension = EXTENSIONS.get(self.format, self.format or "png")
        return files.free_name(content.with_name(f"{stem}.{extension}"))

    def write(self, result: Result, path: Path | None, *, should_rescue: bool = True) -> str:
        """Write the picture of a result, as ``write_data`` does."""
        from impasto.images import write

        asked = self.encoding()
        encoding = result.encoding(asked.format, asked.bit_depth, metadata=self.has_metadata)
        if path is None:  # writing to a file seeks, which a pipe can't
            return self.write_data(write.encode(result.array, encoding), path)
        data = partial(write.write, pixels=result.array, encoding=encoding)
        return self.write_data(data, path, should_rescue=should_rescue)

    def write_data(
        self, data: bytes | files.Writer, path: Path | None, *, should_rescue: bool = True
    ) -> str:
        """Write an encoded picture. Returns where it is.

        A file that was created since the start isn't overwritten: the picture gets another name.

        Args:
            data: The encoded picture, or a function that writes it.
            path: The file; None is standard output.
            should_rescue: Whether to write the picture elsewhere if the file can't be written.

        Raises:
            OutputError: The file can't be written. The message says where the picture is instead.
        """
        if path is None:
            assert isinstance(data, bytes)
            _write_to_standard_output(data)
            return STANDARD_STREAM
        if not self.should_replace:
            path = files.free_name(path)
        try:
            files.write_atomically(path, data)
        except OutputError as error:
            if not should_rescue:
                raise
            raise OutputError(f"{error}; {rescue(data, path.name)}") from error
        files.remove_abandoned(path)
        return str(path)


def short_stem(path: Path) -> str:
    """Return a file's stem, cut to the length that it has in a default name."""
    return files.shortened(path.stem[:MAX_STEM], MAX_STEM_BYTES)


def _write_to_standard_output(data: bytes) -> None:
    """Write a picture to standard output.

    Raises:
        OutputError: That is impossible. The message says which file has the picture instead.
    """
    if sys.stdout is None:
        raise OutputError(f"standard output is closed; {rescue(data, RESCUED)}")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        silence(sys.stdout)
        sentence = f"standard output can't be written: {reason(error)}"
        raise OutputError(f"{sentence}; {rescue(data, RESCUED)}") from error


def rescue(data: bytes | files.Writer, name: str) -> str:
    """Write a picture to the first folder that takes it. Returns a clause that says where it is."""
    for folder in _rescue_folders():
        path = files.free_name(folder / name)
        try:
            files.write_atomically(path, data)
        except OutputError:
            continue
        return f"the picture was kept as {path}"
    return "nor could it be kept in the temporary folder, the home folder or the working folder"


def _rescue_folders() -> Iterator[Path]:
    """Yield the folders to try: the system's temporary folder, the home, the working folder."""
    places: tuple[Callable[[], str | Path], ...] = (tempfile.gettempdir, Path.home, Path.cwd)
    for place in places:
        with suppress(OSError, RuntimeError):  # there is none
            yield Path(place())
