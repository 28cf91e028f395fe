"""``impasto doctor``: a description of this machine and installation for bug reports."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch

from impasto.base import devices, extras, files
from impasto.base.errors import DeviceError
from impasto.base.extras import EXTRAS, installed_version
from impasto.base.folders import cache_folder, home_folder, preset_folder
from impasto.cli.options import debug_option, json_option
from impasto.networks import weights
from impasto.networks.kernels import selection, speeds
from impasto.studio.server.settings import default_data_folder

PACKAGES = ("impasto", "torch", "numpy", "pillow", "av", "opencv-python-headless", "fastapi")


@click.command
@click.option("--clear", is_flag=True, help="Delete stored measurements and downloaded weights.")
@json_option
@debug_option
def doctor(clear: bool, as_json: bool, debug: bool) -> None:
    """Show the machine, the selected precision and kernel, memory, versions, weights and folders.

    Paste the output into a bug report. It contains neither your user name nor access tokens.
    """
    if clear:
        deleted = [without_user_name(path) for path in _delete_cached_files()]
        if as_json:
            click.echo(json.dumps({"deleted": deleted}))
        else:
            click.echo("\n".join(f"deleted {path}" for path in deleted) or "nothing to delete")
        return
    report = _build_report()
    click.echo(json.dumps(report) if as_json else "\n".join(_format_report(report)))


def _delete_cached_files() -> list[Path]:
    """Delete stored measurements and downloaded weights. Returns the deleted files."""
    deleted = selection.forget_measurements()
    for entry in weights.CATALOGUE.values():
        if not entry.is_bundled:
            deleted += weights.remove(entry.path)
    return deleted


def _build_report() -> dict[str, Any]:
    """Return the report as JSON values; on a CPU, measures its kernels if that was never done."""
    try:
        selected, problem = selection.choose(), None
    except DeviceError as error:  # a bad value of IMPASTO_KERNEL, which is listed below
        selected, problem = selection.choose(kernel="plain"), str(error)
    on_cpu = selected.device.type == "cpu"
    measured = (selection.measured_seconds() if on_cpu else None) or {}
    folders = {
        "cache": cache_folder(),
        "presets": preset_folder(),
        "studio": default_data_folder() if home_folder() else None,
    }
    return {
        "machine": {**devices.machine(), "threads": torch.get_num_threads()},
        "selected": {
            "device": str(selected.device),
            "precision": selected.precision,
            "kernel": selected.kernel,
            "why": problem or selected.why,
        },
        "milliseconds": {str(each): round(value * 1e3, 1) for each, value in measured.items()},
        "seconds_per_megapixel": {
            name.removeprefix(speeds.STEP): round(seconds * 1e6, 3)
            for name, seconds in speeds.all_stored().items()
            if name.startswith(speeds.STEP)
        },
        "memory_available_gb": round(devices.memory_available_mb(selected.device) / 1e3, 1),
        "versions": {
            "python": platform.python_version(),
            **{package: installed_version(package) for package in PACKAGES},
        },
        "extras": {
            package: installed_version(package)
            for extra in EXTRAS.values()
            for package in extra.packages
        },
        "missing_extras": [name for name, extra in EXTRAS.items() if extra.missing()],
        "weights": {name: weights.state(entry) for name, entry in weights.CATALOGUE.items()},
        "folders": {
            name: {"path": without_user_name(path), "is_writable": is_writable(path)}
            for name, path in folders.items()
            if path is not None
        },
        "environment": {
            name: without_user_name(Path(value)) if Path(value).is_absolute() else value
            for name, value in sorted(os.environ.items())
            if name.startswith("IMPASTO_") and "TOKEN" not in name
        },
    }


def _format_report(report: dict[str, Any]) -> Iterator[str]:
    """Yield the report as lines of two columns."""

    def row(name: str, value: object) -> str:
        return f"{name:<14}{value}"

    for name, value in report["machine"].items():
        yield row(name, value)
    selected = report["selected"]
    chosen = f"{selected['device']}, {selected['precision']}, {selected['kernel']}"
    yield row("selected", f"{chosen} ({selected['why']})")
    for candidate, milliseconds in report["milliseconds"].items():
        yield row("measured", f"{candidate:<18}{milliseconds:8.1f} ms")
    for step, seconds in report["seconds_per_megapixel"].items():
        yield row("step", f"{step}: {seconds:g} s for a step of one megapixel")
    yield row("memory", f"{report['memory_available_gb']} GB available")
    versions = [f"{name} {number or 'missing'}" for name, number in report["versions"].items()]
    yield row("versions", ", ".join(versions))
    for extra_name, extra in EXTRAS.items():
        is_missing = extra_name in report["missing_extras"]
        state = f"missing; {extras.install_command(extra_name)}" if is_missing else "installed"
        yield row("extra", f"{extra_name} ({extra.purpose}): {state}")
    for state in ("ok", "missing", "damaged"):
        names = [name for name, its_state in report["weights"].items() if its_state == state]
        if names:
            yield row("weights", f"{state}: {', '.join(names)}")
    for name, folder in report["folders"].items():
        access = "writable" if folder["is_writable"] else "not writable"
        yield row("folder", f"{name}: {folder['path']} ({access})")
    for name, value in report["environment"].items():
        yield row("environment", f"{name}={value}")


def without_user_name(path: Path) -> str:
    """Return a path as text, with the home folder written as ~."""
    home = home_folder()
    if home is None or not path.is_relative_to(home):
        return str(path)
    return str(Path("~") / path.relative_to(home))


def is_writable(folder: Path) -> bool:
    """Return whether files can be created in a folder, which may not exist yet."""
    existing = next(place for place in (folder, *folder.parents) if files.exists(place))
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
