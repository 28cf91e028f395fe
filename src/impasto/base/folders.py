"""The folders of a user: presets, pictures, and the cache of downloads and measurements."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

APP = "impasto"


def home_folder() -> Path | None:
    """Return the user's home folder, or None: a numeric user of a container may have none."""
    home = _absolute(Path.home)
    return None if home == Path("/") else home  # what an empty HOME comes to


def preset_folder() -> Path | None:
    """Return where a user's own presets are, or None for a user without a home."""
    folder = _absolute(lambda: platformdirs.user_config_path(APP, appauthor=False))
    return None if folder is None else folder / "presets"


def data_folder() -> Path | None:
    """Return where a user's pictures are kept, or None for a user without a home."""
    return _absolute(lambda: platformdirs.user_data_path(APP, appauthor=False))


def cache_folder() -> Path:
    """Return where fetched files and measurements are kept: ``IMPASTO_HOME``, or the platform's
    cache folder, or for a user without a home a temporary one.
    """
    chosen = os.environ.get("IMPASTO_HOME")
    if chosen:
        return Path(chosen)
    usual = _absolute(lambda: platformdirs.user_cache_path(APP, appauthor=False))
    return usual or Path(os.environ.get("TMPDIR") or "/tmp", f"{APP}-{os.getuid()}")


def _absolute(find: Callable[[], Path]) -> Path | None:
    try:
        folder = find()
    except (RuntimeError, KeyError, OSError):  # no HOME, and no entry in the list of users
        return None
    return folder if folder.is_absolute() else None
