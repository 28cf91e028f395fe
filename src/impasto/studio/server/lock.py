"""One server for a data folder, and none while a worker of an earlier one still paints in it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from impasto.base.errors import OutputError, reason

PATIENCE_S = 15


def hold(data: Path) -> int | None:
    """Lock the folder as long as this process, or a child that inherits the descriptor, lives.

    Raises OutputError: it is in use. Returns None on Windows, which has no such locks.
    """
    if sys.platform == "win32":
        return None
    import fcntl
    import os

    try:
        descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OutputError(
            f"{data / 'lock'} can't be written: {reason(error)}; choose another place with --data"
        ) from error
    os.set_inheritable(descriptor, True)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise OutputError(
                    f"another studio uses {data}; stop it, or choose another --data"
                ) from None
            time.sleep(0.1)
        else:
            return descriptor
