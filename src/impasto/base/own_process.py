"""Settings of a whole process. Only processes that impasto starts itself make them: the command
line and the studio's workers. Importing the library changes nothing in a process.
"""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from typing import Any

SPIN_COUNT = "10000"
"""Iterations that an idle thread of GNU OpenMP waits actively; benchmarks/README.md, section 4."""


def configure() -> None:
    """Configure this process and, through the environment, those that it starts.

    Call it before torch is imported, because OpenMP reads its variables once. A worker is started
    with the variables of the server, so it may have imported torch.
    """
    # Convolutions run on a thread pool of their own. OpenMP's threads, which do the rest, must not
    # keep the cores busy waiting meanwhile: that costs a fifth of a step.
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    # libsvtav1 prints a banner for each film without this variable.
    os.environ.setdefault("SVT_LOG", "1")
    # Pillow warns about oddities in files that it reads all the same.
    warnings.filterwarnings("ignore", module=r"PIL\.")


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
KEEP = {M_TRIM_THRESHOLD: 2**31 - 1, M_MMAP_MAX: 0}
GIVE_BACK = {M_MMAP_THRESHOLD: 2**20, M_MMAP_MAX: 2**16}
"""Options for ``mallopt``: what glibc does with freed memory."""


def set_freed_memory(*, should_keep: bool) -> None:
    """Keep freed memory in this process from now on, or give it back to the system at once.

    The system zeroes what it hands out. The feature maps of a step are those of the next one, so
    giving them back costs up to a quarter of a step. But what is kept has holes into which no
    feature map fits, several hundred MB of them. Nothing happens without glibc.
    """
    libc = _glibc()
    if libc is not None:
        for option, value in (KEEP if should_keep else GIVE_BACK).items():
            libc.mallopt(option, value)


def give_back_freed_memory() -> None:
    """Give the memory that was kept back to the system, after a run."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> Any | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") else None
