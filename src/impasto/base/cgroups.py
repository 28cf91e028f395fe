"""The memory limits of Linux control groups: of containers, systemd's units and batch systems."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil


@dataclass(frozen=True)
class Version:
    """The names that one version of control groups uses.

    Attributes:
        file_system: The type of its file system in ``mountinfo``.
        mount_point: The usual mount point, relative to the root.
        limit: The file with the limit of a group.
        usage: The file with the memory that a group uses.
        cache: The field of ``memory.stat`` for cached file contents, which the kernel can drop.
    """

    file_system: str
    mount_point: str
    limit: str
    usage: str
    cache: str


V1 = Version(
    "cgroup",
    "sys/fs/cgroup/memory",
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "total_inactive_file",
)
V2 = Version("cgroup2", "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")


def free_memory(root: Path = Path("/")) -> float:
    """Return the memory that the limits of this process's groups leave, bytes.

    The limits of all groups above count too. Without any limit the result is infinity.

    Args:
        root: The folder that contains ``proc`` and ``sys``.
    """
    return min(
        (_free_in(folder, version) for version in (V1, V2) for folder in _groups(root, version)),
        default=math.inf,
    )


def _free_in(folder: Path, version: Version) -> float:
    """Return the memory that the limit of one group leaves, bytes; infinity without a limit."""
    limit = _number(folder / version.limit)
    if limit is None:  # no such file, or "max"
        return math.inf
    usage = _number(folder / version.usage)
    if usage is None:
        usage = psutil.Process().memory_info().rss
    return limit - max(0.0, usage - _cache(folder, version))


def _groups(root: Path, version: Version) -> Iterator[Path]:
    """Yield the folder of this process's group and those of the groups above it."""
    path = _path_of_group(root, version)
    for top, mounted in _mounts(root, version):
        folder = top / os.path.relpath(path, mounted)
        if ".." in folder.relative_to(top).parts:  # the group lies outside of the mounted part
            folder = top
        yield folder
        while folder != top:
            folder = folder.parent
            yield folder


def _path_of_group(root: Path, version: Version) -> PurePosixPath:
    """Return the path of this process's group, as in ``0::/user.slice`` or ``4:memory:/docker``."""
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(",") if version is V1 else number == "0":
            return PurePosixPath(path)
    return PurePosixPath("/")


def _mounts(root: Path, version: Version) -> Iterator[tuple[Path, PurePosixPath]]:
    """Yield the mount points of groups, each with the path of the group mounted there."""
    yield root / version.mount_point, PurePosixPath("/")
    for line in _lines(root / "proc/self/mountinfo"):
        left, _, right = line.partition(" - ")
        fields, types = left.split(), right.split()
        if len(fields) > 4 and types[:1] == [version.file_system]:
            yield root / fields[4].lstrip("/"), PurePosixPath(fields[3])


def _cache(folder: Path, version: Version) -> float:
    for line in _lines(folder / "memory.stat"):
        name, _, value = line.partition(" ")
        if name == version.cache and value.isdigit():
            return float(value)
    return 0.0


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None
