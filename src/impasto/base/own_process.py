"""Settings that affect a whole process.

Only impasto's own processes use this module: the command line and the studio's workers. Importing
the library changes no such setting.
"""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from typing import Any

SPIN_COUNT = "10000"
"""Iterations for which an idle thread of GNU OpenMP spins; benchmarks/README.md, section 4."""


def configure() -> None:
    """Configure this process and, through the environment, the processes that it starts.

    Call it before torch is imported, because OpenMP reads its variables once. A worker is started
    with the variables of the server, so it may have imported torch.
    """
    # Convolutions run on a separate thread pool. Meanwhile, OpenMP's idle threads, which do the
    # rest, must not keep the cores busy by spinning: that costs a fifth of a step.
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    # libsvtav1 prints a banner for each film without this variable.
    os.environ.setdefault("SVT_LOG", "1")
    # Pillow warns about flaws in files that it reads correctly.
    warnings.filterwarnings("ignore", module=r"PIL\.")


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
KEEP = {M_TRIM_THRESHOLD: 2**31 - 1, M_MMAP_MAX: 0}
GIVE_BACK = {M_MMAP_THRESHOLD: 2**20, M_MMAP_MAX: 2**16}
"""Options for ``mallopt``, which decide what glibc does with freed memory."""


def set_freed_memory(*, should_keep: bool) -> None:
    """Keep freed memory in this process from now on, or return it to the system at once.

    The system zeroes memory before it hands it out. Each step needs the same feature maps, so
    returning their memory costs up to a quarter of a step. Kept memory, however, becomes
    fragmented: several hundred MB are in holes into which no feature map fits. Without glibc this
    function does nothing.
    """
    libc = _glibc()
    if libc is not None:
        for option, value in (KEEP if should_keep else GIVE_BACK).items():
            libc.mallopt(option, value)


def give_back_freed_memory() -> None:
    """Return the kept memory to the system, after a run."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> Any | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") else None
