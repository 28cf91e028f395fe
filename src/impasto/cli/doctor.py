"""``impasto doctor``: what this machine has, and what is made of it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import torch

from impasto import devices
from impasto.cli.options import debug_option, json_option
from impasto.networks import download, kernels, weights
from impasto.recipe_files import user_preset_folder
from impasto.studio.settings import default_data_folder

PACKAGES = ("impasto", "torch", "numpy", "pillow", "av", "opencv-python-headless", "fastapi")
EXTRAS = {"pillow-heif": "reads HEIC photos; install impasto[heic]"}


@click.command
@click.option(
    "--clear", is_flag=True, help="Forget the measured speeds, and remove fetched weights."
)
@json_option
@debug_option
def doctor(clear: bool, as_json: bool, debug: bool) -> None:
    """Show the machine, what impasto computes with on it and how fast that is, memory, versions,
    weights and folders: what a bug report needs. Nothing of it names you.
    """
    if clear:
        removed = [shown(path) for path in cleared()]
        click.echo(json.dumps({"removed": removed}) if as_json else removed_in_words(removed))
        return
    found = findings()
    click.echo(json.dumps(found) if as_json else "\n".join(lines(found)))


def cleared() -> Iterator[Path]:
    """Remove what was measured and fetched; yields each file that was there."""
    fetched = [entry.path for entry in weights.CATALOGUE.values() if entry.url is not None]
    for path in (
        weights.cache_folder() / kernels.MEASURED,
        *fetched,
        *map(download.partial_path, fetched),
    ):
        if path.is_file():
            path.unlink()
            yield path
    kernels.forget()


def removed_in_words(removed: list[str]) -> str:
    """A line for each file."""
    return "\n".join(f"removed {path}" for path in removed) or "there was nothing to remove"


def findings() -> dict[str, Any]:
    """Everything that is shown."""
    chosen = kernels.choose()
    speeds = kernels.speeds() or {}
    folders = {
        "cache": weights.cache_folder(),
        "presets": user_preset_folder(),
        "studio": default_data_folder(),
    }
    return {
        "machine": {**devices.machine(), "threads": torch.get_num_threads()},
        "choice": {
            "device": str(chosen.device),
            "precision": chosen.precision,
            "kernel": chosen.kernel,
            "why": chosen.why,
        },
        "milliseconds": {str(way): round(seconds * 1e3, 1) for way, seconds in speeds.items()},
        "memory_free_gb": round(devices.memory_available_mb(chosen.device) / 1e3, 1),
        "versions": {
            "python": platform.python_version(),
            **{package: installed(package) for package in PACKAGES},
        },
        "extras": {package: installed(package) for package in EXTRAS},
        "weights": {name: weights.state(entry) for name, entry in weights.CATALOGUE.items()},
        "folders": {
            name: {"path": shown(path), "writable": is_writable(path)}
            for name, path in folders.items()
        },
        "environment": {
            name: shown(Path(value)) if Path(value).is_absolute() else value
            for name, value in sorted(os.environ.items())
            if name.startswith("IMPASTO_") and "TOKEN" not in name
        },
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The findings in words, two columns."""

    def row(name: str, value: object) -> str:
        return f"{name:<14}{value}"

    for name, value in found["machine"].items():
        yield row(name, value)
    choice = found["choice"]
    yield row(
        "computing on",
        f"{choice['device']} in {choice['precision']}, {choice['kernel']} ({choice['why']})",
    )
    for way, milliseconds in found["milliseconds"].items():
        yield row("", f"{way:<18}{milliseconds:8.1f} ms for three layers")
    yield row("memory free", f"{found['memory_free_gb']} GB")
    yield row(
        "versions", ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    )
    for name, number in found["extras"].items():
        yield row("extras", f"{name} {number or f'is missing: it {EXTRAS[name]}'}")
    for state in ("ok", "missing", "damaged"):
        names = [name for name, is_so in found["weights"].items() if is_so == state]
        if names:
            yield row("weights", f"{state}: {', '.join(names)}")
    for name, folder in found["folders"].items():
        can = "can be written" if folder["writable"] else "can't be written"
        yield row("folder", f"{name}: {folder['path']} ({can})")
    for name, value in found["environment"].items():
        yield row("environment", f"{name}={value}")


def installed(package: str) -> str | None:
    """The version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def shown(path: Path) -> str:
    """A path without the user's name."""
    home = Path.home()
    return str(Path("~") / path.relative_to(home)) if path.is_relative_to(home) else str(path)


def is_writable(folder: Path) -> bool:
    """Whether files can be put there, or it can be made."""
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
