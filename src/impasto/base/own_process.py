"""Settings of a whole process. Only processes that impasto starts itself make them: the command
line and the studio's workers. Importing the library changes nothing in a process.
"""

from __future__ import annotations

import os
import warnings

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
