"""Writing files such that none is ever half written or lost."""

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
"""Longest file name on ext4, XFS, Btrfs and tmpfs. APFS and NTFS allow 255 UTF-16 units, which is
never less."""
MAX_SUFFIX_BYTES = 32
"""Longest suffix that a temporary name keeps; no format has a longer one."""
UNSUPPORTED = {
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.ENOTTY,
}
"""Error numbers of file systems (FUSE, SMB, 9p) that don't support a call."""
RENAME_UNSUPPORTED = UNSUPPORTED | {errno.EXDEV, errno.EBUSY, errno.EACCES}
"""Error numbers after which a file is copied instead: EXDEV comes from overlays, EBUSY from a file
that is itself a mount point."""


def is_file(path: Path) -> bool:
    """Return whether there is a file; False where a folder above it can't be searched.

    Before Python 3.12, ``Path.is_file`` raises PermissionError there.
    """
    try:
        return path.is_file()
    except (OSError, ValueError):  # ValueError: a null character
        return False


def exists(path: Path) -> bool:
    """Return whether there is a file or folder; False where that can't be determined."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Return whether there is a folder; False where that can't be determined."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def shortened(text: str, max_bytes: int) -> str:
    """Return the longest start of a name, in whole characters, that takes at most ``max_bytes``.

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
    """Return the path with the name ``stem + ending``; a stem that is too long is cut."""
    max_stem_bytes = MAX_NAME_BYTES - len(os.fsencode(ending))
    return path.with_name(shortened(stem, max_stem_bytes) + ending)


def write_atomically(path: Path, data: bytes | Writer) -> None:
    """Write a file such that a reader sees either the old or the complete new one.

    Args:
        path: The file.
        data: Its content, or a function that writes the content to an open binary file.

    Raises:
        OutputError: The file can't be written.
    """

    def make(temporary: Path) -> None:
        with temporary.open("w+b") as file:
            if isinstance(data, bytes):
                file.write(data)
            else:
                data(file)

    make_atomically(path, make)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON; see ``write_atomically``."""
    write_atomically(path, json.dumps(value).encode())


def make_atomically(path: Path, make: Callable[[Path], object], *, private: bool = False) -> None:
    """Call ``make`` with a temporary file beside ``path``, then rename that file to ``path``.

    At any moment, and after any crash, ``path`` is either the old file or the complete new one. The
    file is copied only where the file system can't rename it.

    Args:
        path: The file to make.
        make: Writes the temporary file, which has the suffix of ``path``.
        private: Whether only the owner may read the file.

    Raises:
        OutputError: The file can't be written. The temporary file has been deleted.
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
    """Make an empty file beside ``target``, locked during the block and then deleted.

    A file that was renamed during the block is not deleted. The permissions are those of any new
    file, ``mode`` less the umask, because some file systems refuse to change them later.
    """
    while True:
        ending = f"-{secrets.token_hex(4)}{shortened(target.suffix, MAX_SUFFIX_BYTES)}"
        temporary = target.with_name(_temporary_prefix(target) + ending)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        try:
            _lock(descriptor)
            if not temporary.exists():
                continue  # remove_abandoned deleted it before it was locked
            if sys.platform == "win32":  # Windows can't rename an open file
                os.close(descriptor)
            yield temporary
            return
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            if sys.platform != "win32":
                os.close(descriptor)


def _temporary_prefix(target: Path) -> str:
    """Return the start of temporary files' names, which is different for every target."""
    return f".impasto-{zlib.crc32(target.name.encode('utf-8', 'surrogatepass')):08x}"


def _replace(temporary: Path, target: Path) -> None:
    """Rename a file, or copy it where the file system can't rename."""
    try:
        temporary.replace(target)
    except OSError as error:
        if error.errno not in RENAME_UNSUPPORTED or is_folder(target):
            raise
        shutil.copyfile(temporary, target)
        _flush(target)


def remove_abandoned(path: Path) -> None:
    """Delete the temporary files of ``path`` whose writers were killed.

    A running writer holds a lock on its file, so that file stays. Nothing is deleted on platforms
    without such locks.
    """
    target = Path(os.path.realpath(path))
    with suppress(OSError):
        for stray in target.parent.glob(f"{_temporary_prefix(target)}-*"):
            with suppress(OSError), stray.open("rb") as file:
                if _lock(file.fileno()):
                    stray.unlink()


def _lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; return False if that is impossible."""
    if sys.platform == "win32":
        return False
    import fcntl  # noqa: PLC0415 (Windows has none)

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sync(path: Path) -> None:
    """Flush ``path`` to the disk, so that it survives a power cut.

    Raises:
        OutputError: The file can't be written.
    """
    try:
        _flush(path)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {reason(error)}") from error


def _flush(path: Path) -> None:
    """Flush a file to the disk, where the file system supports it; raise OSError if it fails."""
    with path.open("rb") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise


def check_writable(path: Path, *, force: bool = False) -> None:
    """Check before the work begins that ``path`` can be written.

    Args:
        path: The file to be written.
        force: Whether an existing file may be replaced.

    Raises:
        OutputError: ``path`` exists, is a folder or device, or its folder is missing or can't be
            written to.
    """
    try:
        path.lstat()  # raises OSError for an impossible name
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
    try:  # modes, ACLs and mounts all limit access: only an attempt shows whether it is allowed
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{path} can't be written: {reason(error)}") from error


def check_apart(output: Path, source: Path) -> None:
    """Check that two paths are different files: one file would be read while it is written.

    Raises:
        OutputError: The two are the same file.
    """
    if exists(output) and exists(source) and output.samefile(source):
        raise OutputError(f"{output} is what is read; choose another name for what is made")


def make_folder(path: Path, *, parents: bool = False) -> None:
    """Make the folder ``path`` unless it exists.

    Args:
        path: The folder.
        parents: Whether to make missing parent folders, too.

    Raises:
        OutputError: The folder can't be made.
    """
    try:
        path.mkdir(parents=parents, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {path} can't be made: {reason(error)}") from error


def free_name(path: Path) -> Path:
    """Return ``path``, or if it exists the first free one of ``a-2.png``, ``a-3.png``, …"""
    candidate, number = path, 1
    while os.path.lexists(candidate):
        number += 1
        candidate = named(path, path.stem, f"-{number}{path.suffix}")
    return candidate
