"""Standard streams that may be closed, full, or in another encoding than UTF-8."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from impasto.base.errors import OutputError, reason

STANDARD_DESCRIPTORS = (0, 1, 2)


class StandardOutput(io.TextIOWrapper):
    """Standard output whose errors differ from those of files: they are OutputErrors."""

    def write(self, text: str) -> int:
        if text == "":  # click tests so whether text can be written; a full device would refuse
            return 0
        try:
            return super().write(text)
        except OSError as error:
            raise self._failure(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> Exception:
        silence(self)
        if isinstance(error, BrokenPipeError):  # the reader has closed the pipe
            return error
        return OutputError(f"standard output can't be written: {reason(error)}")


class StandardError(io.TextIOWrapper):
    """Standard error that may disappear, as a closed terminal does, without ending the run."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            silence(self)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            silence(self)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Make standard output and error accept any name and message inside the ``with`` block."""
    _open_missing()
    before = sys.stdin, sys.stdout, sys.stderr
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BytesIO())
    sys.stdout = _wrapped(sys.stdout, StandardOutput)
    sys.stderr = _wrapped(sys.stderr, StandardError)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, (StandardOutput, StandardError)):
                with suppress(OSError, OutputError):
                    stream.detach()  # or it would close what it writes to
        sys.stdin, sys.stdout, sys.stderr = before


def silence(stream: Any) -> None:
    """Discard what a stream has buffered, because writing it at exit would fail again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_missing() -> None:
    """Open the null device for each standard descriptor that is closed.

    Otherwise the next opened file would get its number, and whatever a library writes to standard
    error would go into that file.
    """
    for descriptor in STANDARD_DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number


def _wrapped(stream: Any, kind: type[StandardOutput | StandardError]) -> Any:
    """Wrap a stream in one of that kind, unless it is a stream without a binary buffer."""
    if stream is None or not hasattr(stream, "buffer"):
        return stream
    with suppress(OSError):
        stream.flush()
    return kind(
        stream.buffer,
        encoding=stream.encoding,
        errors=_error_handler(stream.encoding, stream.errors),
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _error_handler(encoding: str, errors: str | None) -> str:
    """Return how to encode characters that a strict stream refuses.

    In UTF-8, names that aren't text keep their bytes. In other encodings such characters become
    "?".
    """
    if errors not in (None, "strict"):
        return errors or "replace"
    return "surrogateescape" if codecs.lookup(encoding).name == "utf-8" else "replace"
