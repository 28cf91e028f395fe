"""Writing files so that nothing is ever half written or lost."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from impasto.errors import OutputError, reason

Writer = Callable[[BinaryIO], object]

UMASK = os.umask(0o077)
"""What new files may not be, by the user's wish; it can only be read by setting it."""
os.umask(UMASK)


def is_file(path: Path) -> bool:
    """Return whether there is a file; False where a folder above it can't be searched.

    Before Python 3.12, ``Path.is_file`` raises PermissionError there.
    """
    try:
        return path.is_file()
    except OSError:
        return False


def exists(path: Path) -> bool:
    """Return whether there is a file or folder; False where that can't be told."""
    try:
        return path.exists()
    except OSError:
        return False


def write_atomically(path: Path, data: bytes | Writer) -> None:
    """Write ``data``, or what it writes, to ``path``; as ``make_atomically``."""

    def make(temporary: Path) -> None:
        with temporary.open("w+b") as file:
            if isinstance(data, bytes):
                file.write(data)
            else:
                data(file)

    make_atomically(path, make)


def write_json(path: Path, value: Any) -> None:
    """As ``write_atomically``."""
    write_atomically(path, json.dumps(value).encode())


def make_atomically(path: Path, make: Callable[[Path], object], *, private: bool = False) -> None:
    """Have ``make`` write a temporary file beside ``path`` (and with its suffix), then rename it.
    One that is ``private`` nobody else may read.

    Whoever looks at ``path``, at any moment and after any crash, sees the old file or the whole
    new one. Raises OutputError; the temporary file is then gone.
    """
    temporary: str | None = None
    target = path.resolve()  # a link stays a link
    try:
        descriptor, temporary = tempfile.mkstemp(path.suffix, ".impasto-", target.parent)
        os.close(descriptor)
        make(Path(temporary))
        sync(Path(temporary))
        if not private:  # as mkstemp makes it
            Path(temporary).chmod(0o666 & ~UMASK)
        Path(temporary).replace(target)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(f"{path} can't be written: {reason(error)}") from error
        raise


def sync(path: Path) -> None:
    """Have the system write ``path`` to the disk, for a power cut. Raises OutputError."""
    try:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"{path} can't be written: {reason(error)}") from error


def check_writable(path: Path, *, force: bool = False) -> None:
    """Raise OutputError now rather than after the work: ``path`` exists (and not ``force``), is a
    folder, or lies in a folder that is missing or can't be written to.
    """
    try:
        path.lstat()  # is it a possible name at all?
    except FileNotFoundError:
        pass
    except OSError as error:
        raise OutputError(f"{path} can't be written: {reason(error)}") from error
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a file")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is a device, not a file; - is standard output")
    if os.path.lexists(path) and not force:
        raise OutputError(f"{path} exists already; choose another name, or --force to replace it")
    folder = path.resolve().parent if path.is_symlink() else path.parent
    if not folder.is_dir():
        raise OutputError(f"{path} can't be written: there is no folder {folder}")
    try:  # permissions have many sources (modes, ACLs, read-only mounts): the test is to try
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{path} can't be written: {reason(error)}") from error


def check_apart(output: Path, source: Path) -> None:
    """Raise OutputError: the two are one file, which would be read while it is written."""
    if output.exists() and source.exists() and output.samefile(source):
        raise OutputError(f"{output} is what is read; choose another name for what is made")


def make_folder(path: Path) -> None:
    """Make ``path`` unless it is there. Raises OutputError."""
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {path} can't be made: {reason(error)}") from error


def free_name(path: Path) -> Path:
    """``path`` itself, or with the first number that makes it new: ``a.png``, ``a-2.png``, …"""
    candidate, number = path, 1
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate
