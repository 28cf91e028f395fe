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
    return None if home == Path("/") else home  # "/" is what an empty HOME becomes


def preset_folder() -> Path | None:
    """Return the folder of a user's own presets, or None for a user without a home."""
    folder = _absolute(lambda: platformdirs.user_config_path(APP, appauthor=False))
    return None if folder is None else folder / "presets"


def data_folder() -> Path | None:
    """Return the folder of a user's pictures, or None for a user without a home."""
    return _absolute(lambda: platformdirs.user_data_path(APP, appauthor=False))


def cache_folder() -> Path:
    """Return the folder of downloaded files and measurements.

    It is ``IMPASTO_HOME`` or the platform's cache folder. A user without a home gets a temporary
    folder.
    """
    chosen = os.environ.get("IMPASTO_HOME")
    if chosen:
        return Path(chosen)
    default = _absolute(lambda: platformdirs.user_cache_path(APP, appauthor=False))
    return default or Path(os.environ.get("TMPDIR") or "/tmp", f"{APP}-{os.getuid()}")


def _absolute(find: Callable[[], Path]) -> Path | None:
    try:
        folder = find()
    except (RuntimeError, KeyError, OSError):  # no HOME, and no entry in the list of users
        return None
    return folder if folder.is_absolute() else None
