"""The standard streams of the command line, as they come: closed, full, or not in UTF-8."""

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
    """Standard output whose errors can be told from those of files. Raises OutputError."""

    def write(self, text: str) -> int:
        if text == "":  # click's question whether text can be written; a full device refuses it
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
        if isinstance(error, BrokenPipeError):  # whoever read our output has seen enough
            return error
        return OutputError(f"standard output can't be written: {reason(error)}")


class StandardError(io.TextIOWrapper):
    """Standard error that may go away, as a terminal does: that must not end a run."""

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
    """Make standard output and error fit for any name and any message, while this lasts."""
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
    """Send what a stream still holds nowhere: writing it at exit would fail again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_missing() -> None:
    """Open the standard descriptors that are closed: otherwise the next files get their numbers,
    and with them whatever a library writes to standard error.
    """
    for descriptor in STANDARD_DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number


def _wrapped(stream: Any, kind: type[StandardOutput | StandardError]) -> Any:
    """Return a stream of that kind for another one; a stream without bytes stays."""
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
    """Return how to encode what a strict stream refuses: names that aren't text keep their bytes in
    UTF-8; other encodings show what they can't as "?".
    """
    if errors not in (None, "strict"):
        return errors or "replace"
    return "surrogateescape" if codecs.lookup(encoding).name == "utf-8" else "replace"
