"""The lock on a data folder.

One server holds it, and its workers inherit it. So a new server can't start while a worker of an
earlier one still writes to the folder.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from impasto.base.errors import OutputError, reason

WAIT_S = 15
"""Seconds that a server waits for the workers of an earlier one."""


def hold(data: Path) -> int | None:
    """Lock a data folder as long as this process, or a child that inherits the lock, lives.

    Returns:
        The descriptor of the lock, for children to inherit, or None on Windows, which has no such
        locks.

    Raises:
        OutputError: The folder is in use, or can't be written.
    """
    if sys.platform == "win32":
        return None
    import fcntl  # noqa: PLC0415, Windows has none

    try:
        descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OutputError(
            f"{data / 'lock'} can't be written: {reason(error)}; choose another place with --data"
        ) from error
    os.set_inheritable(descriptor, True)
    deadline = time.monotonic() + WAIT_S
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
