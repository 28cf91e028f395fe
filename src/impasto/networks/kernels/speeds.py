"""Measured speeds of this machine, kept in the cache folder.

One JSON file has an entry for each machine: a combination of CPU, number of threads, instruction
sets and versions. Two processes that write at once do no harm: a measurement may be lost.
"""

from __future__ import annotations

import json
import math
from importlib.metadata import version
from pathlib import Path

import torch

from impasto.base import devices, files
from impasto.base.errors import OutputError, reason
from impasto.base.folders import cache_folder

CACHE_FILE = "speeds.json"
STEP = "step "
"""Prefix of the names of steps, whose seconds are those for one pixel."""


def path() -> Path:
    """Return where the speeds are stored."""
    return cache_folder() / CACHE_FILE


def stored(name: str) -> float | None:
    """Return the seconds that are stored under a name for this machine."""
    return all_stored().get(name)


def all_stored() -> dict[str, float]:
    """Return everything that is stored for this machine, seconds by name."""
    entry = _of_this_machine(_read())
    return {
        name: value
        for name, value in entry.items()
        if isinstance(value, float) and math.isfinite(value) and value > 0
    }


def store(name: str, seconds: float) -> bool:
    """Store the seconds under a name. Returns whether the file could be written."""
    return store_all({name: seconds})


def store_all(seconds: dict[str, float]) -> bool:
    """Store several measurements; see ``store``."""
    everything = _read()  # just before writing: another process may have stored a measurement
    entry = {**_of_this_machine(everything), **seconds}
    try:
        path().parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path(), {**everything, machine_key(): entry})
    except (OSError, OutputError):
        return False
    return True


def forget() -> list[Path]:
    """Delete the stored speeds of all machines. Returns the deleted files.

    Raises OutputError: the file can't be deleted.
    """
    if not files.is_file(path()):
        return []
    try:
        path().unlink()
    except OSError as error:
        raise OutputError(f"{path()} can't be deleted: {reason(error)}") from error
    return [path()]


def machine_key() -> str:
    """Return a text that changes with anything that a speed depends on."""
    supported = torch.cpu.get_capabilities()
    instructions = " ".join(sorted(name for name, value in supported.items() if value is True))
    versions = f"torch {torch.__version__}, impasto {version('impasto')}"
    gpu = f"; {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    threads = torch.get_num_threads()
    return f"{devices.processor()}{gpu}; {threads} threads; {instructions}; {versions}"


def _read() -> dict[str, object]:
    """Return the stored speeds by machine; an empty mapping if the file is damaged."""
    try:
        content = json.loads(path().read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _of_this_machine(everything: dict[str, object]) -> dict[str, object]:
    entry = everything.get(machine_key())
    return entry if isinstance(entry, dict) else {}
