"""Writing files so that nothing is ever half written or lost."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from impasto.base.errors import OutputError, reason

Writer = Callable[[BinaryIO], object]

MAX_NAME_BYTES = 255
"""The longest name of a file on ext4, XFS, Btrfs and tmpfs; APFS and NTFS count 255 UTF-16 units,
which is never less."""
MAX_SUFFIX_BYTES = 32
"""Longest suffix that a temporary name keeps; no format has a longer one."""
CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.ENOTTY}
"""Error numbers of file systems (FUSE, SMB, 9p) that don't support a call."""
CANNOT_RENAME = CANNOT | {errno.EXDEV, errno.EBUSY, errno.EACCES}
"""EXDEV comes from overlays, EBUSY from a file that is a mount of its own."""


def is_file(path: Path) -> bool:
    """Return whether there is a file; False where a folder above it can't be searched.

    Before Python 3.12, ``Path.is_file`` raises PermissionError there.
    """
    try:
        return path.is_file()
    except (OSError, ValueError):  # ValueError: a null character
        return False


def exists(path: Path) -> bool:
    """Return whether there is a file or folder; False where that can't be told."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Return whether there is a folder; False where that can't be told."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def shortened(text: str, max_bytes: int) -> str:
    """Return as much of the start of a name as takes at most ``max_bytes``, in whole characters.

    >>> shortened("caf\u00e9", 4)
    'caf'
    """
    length = used = 0
    for character in text:
        # UTF-8 is what most file systems count; a byte that isn't UTF-8 counts as three.
        used += len(character.encode("utf-8", "surrogatepass"))
        if used > max_bytes:
            break
        length += 1
    return text[:length]


def named(path: Path, stem: str, ending: str) -> Path:
    """Return the path with the name ``stem + ending``, the stem cut if the name is too long."""
    room = MAX_NAME_BYTES - len(os.fsencode(ending))
    return path.with_name(shortened(stem, room) + ending)


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
    new one; only where the file system can't rename is the file copied. Raises OutputError; the
    temporary file is then gone.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    try:
        with _temporary_file(target, 0o600 if private else 0o666) as temporary:
            make(temporary)
            _flush(temporary)
            _replace(temporary, target)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {reason(error)}") from error


@contextmanager
def _temporary_file(target: Path, mode: int) -> Iterator[Path]:
    """Make an empty file beside ``target``; it is locked while this lasts, and deleted in the end
    unless it was renamed.

    The permissions are those of any new file, ``mode`` less the umask: some file systems refuse to
    change them later.
    """
    while True:
        ending = f"-{secrets.token_hex(4)}{shortened(target.suffix, MAX_SUFFIX_BYTES)}"
        temporary = target.with_name(_temporary_prefix(target) + ending)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        try:
            _lock(descriptor)
            if not temporary.exists():
                continue  # remove_abandoned came between making and locking it
            if sys.platform == "win32":  # which can't rename a file that is open
                os.close(descriptor)
            yield temporary
            return
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            if sys.platform != "win32":
                os.close(descriptor)


def _temporary_prefix(target: Path) -> str:
    """Return how the names of temporary files for ``target`` begin, and of no other file's."""
    return f".impasto-{zlib.crc32(target.name.encode('utf-8', 'surrogatepass')):08x}"


def _replace(temporary: Path, target: Path) -> None:
    """Rename a file, or copy it where the file system can't rename."""
    try:
        temporary.replace(target)
    except OSError as error:
        if error.errno not in CANNOT_RENAME or is_folder(target):
            raise
        shutil.copyfile(temporary, target)
        _flush(target)


def remove_abandoned(path: Path) -> None:
    """Delete the temporary files of ``path`` whose writers were killed.

    A writer that lives holds a lock on its file, so its file stays. Does nothing where there are no
    such locks.
    """
    target = Path(os.path.realpath(path))
    with suppress(OSError):
        for stray in target.parent.glob(f"{_temporary_prefix(target)}-*"):
            with suppress(OSError), stray.open("rb") as file:
                if _lock(file.fileno()):
                    stray.unlink()


def _lock(descriptor: int) -> bool:
    """Lock an open file until it is closed. Returns False if it is locked, or can't be."""
    if sys.platform == "win32":
        return False
    import fcntl  # noqa: PLC0415 (Windows has none)

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sync(path: Path) -> None:
    """Have the system write ``path`` to the disk, for a power cut. Raises OutputError."""
    try:
        _flush(path)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {reason(error)}") from error


def _flush(path: Path) -> None:
    """Do what ``sync`` does, where the file system can. Raises OSError."""
    with path.open("rb") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in CANNOT:
                raise


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
    if is_folder(path):
        raise OutputError(f"{path} is a folder; give the name of a file")
    if exists(path) and not is_file(path):
        raise OutputError(f"{path} is a device, not a file; - is standard output")
    if os.path.lexists(path) and not force:
        raise OutputError(f"{path} exists already; choose another name, or --force to replace it")
    folder = Path(os.path.realpath(path)).parent if path.is_symlink() else path.parent
    if not is_folder(folder):
        raise OutputError(f"{path} can't be written: there is no folder {folder}")
    try:  # permissions have many sources (modes, ACLs, read-only mounts): the test is to try
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{path} can't be written: {reason(error)}") from error


def check_apart(output: Path, source: Path) -> None:
    """Raise OutputError: the two are one file, which would be read while it is written."""
    if exists(output) and exists(source) and output.samefile(source):
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
        candidate = named(path, path.stem, f"-{number}{path.suffix}")
    return candidate
