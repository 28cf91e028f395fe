"""Fixtures: small real pictures, and the command line run in this process or its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import clips
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils import backend_registration

pytest_plugins = ["browser_page"]

ROOT = Path(__file__).parents[1]
MARKED_FOLDERS = ("browser", "video")
"""Folders whose tests are marked with the folder's name."""
PHOTO = ROOT / "examples/photos/chelsea.png"
PAINTING = ROOT / "examples/paintings/harvest.webp"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder, and those in slow.txt."""
    slow = set((ROOT / "tests" / "slow.txt").read_text(encoding="utf-8").split("\n"))
    for item in items:
        if item.nodeid.partition("[")[0] in slow:
            item.add_marker("slow")
        folder = item.path.parent.name
        if folder in MARKED_FOLDERS:
            item.add_marker(folder)


FAKE_GPU = "fakegpu"
"""A device that PyTorch knows by name only, for tensors without values. A CPU build of PyTorch
can't differentiate fake CUDA tensors."""
# Here, because PyTorch counts the devices at the first gradient of the process. A real GPU can't
# differentiate beside it.
_register = getattr(backend_registration, "_setup_privateuseone_for_python_backend", None)
if _register is not None and not torch.accelerator.is_available():
    _register(FAKE_GPU)


@pytest.fixture(scope="session")
def fake_gpu():
    """A device for fake tensors, which fails as a GPU does where it meets the CPU."""
    if backend_registration._get_privateuse1_backend_name() != FAKE_GPU:
        pytest.skip("there is a real GPU, or this PyTorch can't register a backend in Python")
    return torch.device(FAKE_GPU, 0)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory, monkeypatch):
    """Hide the user's cache, presets and styles, and select kernels without a measurement."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("IMPASTO_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.delenv("IMPASTO_OFFLINE", raising=False)
    monkeypatch.setenv("IMPASTO_KERNEL", "guess")


@pytest.fixture(scope="session")
def photo_image() -> Image.Image:
    """A real photo, 96×64 px."""
    return Image.open(PHOTO).convert("RGB").resize((96, 64), Image.Resampling.LANCZOS)


@pytest.fixture(scope="session")
def painting_image() -> Image.Image:
    """A real painting, 64×80 px."""
    return Image.open(PAINTING).convert("RGB").resize((64, 80), Image.Resampling.LANCZOS)


@pytest.fixture
def photo(tmp_path, photo_image) -> Path:
    photo_image.save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def painting(tmp_path, painting_image) -> Path:
    painting_image.save(tmp_path / "painting.png")
    return tmp_path / "painting.png"


@pytest.fixture
def photo_array(photo_image) -> np.ndarray:
    return np.asarray(photo_image)


@pytest.fixture(scope="session")
def frames() -> list[np.ndarray]:
    """A second of film: a panning picture with something moving before it, 160×96 px."""
    return list(clips.panning(clips.photo(420, 300), clips.photo(80, 80, 3), 160, 96, 24))


@pytest.fixture
def clip(tmp_path, frames) -> Path:
    """The same as a file, with sound."""
    return clips.write(tmp_path / "clip.mp4", frames, sound=True)


@dataclass
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def sentence(self) -> str:
        """The one sentence of an error: exit 2, nothing else said, no traceback."""
        assert self.code == 2, (self.code, self.out, self.err)
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("impasto: ")
        assert "Traceback" not in self.err
        return lines[0].removeprefix("impasto: ")


@pytest.fixture
def impasto(capfd, monkeypatch, tmp_path):
    """Run the command line in this process (torch is imported once), in the test's folder."""
    from impasto.cli.app import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Finished:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Finished(int(stop.value.code or 0), out, err)

    return run


def command(*arguments: object, **options) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "impasto", *map(str, arguments)],
        capture_output=True,
        timeout=300,
        check=False,
        **options,
    )


def is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
