"""The devices of this machine and their memory."""

from __future__ import annotations

import math
import os
import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import psutil
import torch

from impasto.base import cgroups
from impasto.base.errors import DeviceError, unknown

BYTES_PER_MB = 1_000_000
INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512_f": "AVX-512",
    "avx512_bf16": "AVX-512 BF16",
    "amx_bf16": "AMX",
}
"""CPU instruction sets that speed up convolutions: PyTorch's key → name."""
Kernel = Literal["winograd", "onednn", "cudnn", "plain", "autograd"]
"""Implementation of the encoder. The first four are kernels of ``networks.convolution``, run by
``networks.engine.Engine``; ``autograd`` is ``AutogradEngine``, which PyTorch differentiates.
"""
OUT_OF_MEMORY_PHRASES = (
    "not enough memory",
    "out of memory",
    "allocate memory",
    "nsufficient memory",
)
"""Parts of the messages with which PyTorch, FFmpeg and OpenCV report a lack of memory."""
DEVICE_TYPES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Device:
    """A device and the way to compute on it. Losses and solvers always use float32.

    Attributes:
        device: The device.
        dtype: The precision of the networks.
        kernel: The convolution kernel.
        why: A clause that tells the user how the selection was made.
    """

    device: torch.device
    dtype: torch.dtype
    kernel: Kernel
    why: str

    @property
    def precision(self) -> str:
        return str(self.dtype).removeprefix("torch.")


def find(name: str = "auto") -> torch.device:
    """Return the device with this name; "auto" prefers CUDA to MPS to the CPU.

    Raises:
        DeviceError: There is no such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    has_index = ":" in name
    if kind not in DEVICE_TYPES[1:] or (has_index and not (kind == "cuda" and index.isdigit())):
        raise DeviceError(unknown("device", name, DEVICE_TYPES))
    if kind == "cuda" and not (
        torch.cuda.is_available() and int(index or 0) < torch.cuda.device_count()
    ):
        raise DeviceError(
            f"there is no {name} here: this PyTorch can use"
            f" {torch.cuda.device_count()} CUDA devices; leave out --device to use what there is"
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(
            "there is no Apple GPU (mps) here; leave out --device to use what there is"
        )
    return torch.device(name)


@cache
def allow_forks() -> None:
    """Make PyTorch use one thread in every process that is forked from this one.

    OpenMP's threads don't survive a fork, so a child that handed work to them would wait for ever.
    PyTorch itself refuses CUDA in forked processes.
    """
    if hasattr(os, "register_at_fork"):  # Windows has no forks
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def bfloat16_support(gpu: torch.device) -> tuple[bool, str]:
    """Return whether bfloat16 is faster than float32 on a GPU, and the reason as text."""
    if gpu.type == "mps":
        return False, "Apple GPU"
    if torch.cuda.get_device_capability(gpu) >= (8, 0):
        return True, f"{torch.cuda.get_device_name(gpu)} has bfloat16 tensor cores"
    return False, f"{torch.cuda.get_device_name(gpu)} has no bfloat16 tensor cores"


def memory_available_mb(device: torch.device) -> float:
    """Return the memory that this process can have in all, MB: what it has plus what is free."""
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device)
        return (float(torch.cuda.mem_get_info(device)[0]) + reserved) / BYTES_PER_MB
    free = min(psutil.virtual_memory().available, _free_in_container())
    return float(free + psutil.Process().memory_info().rss) / BYTES_PER_MB


def _free_in_container() -> float:
    """Return the memory that the limit of a container or unit leaves, bytes."""
    return cgroups.free_memory() if sys.platform == "linux" else math.inf


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error of PyTorch, FFmpeg or OpenCV means that memory ran out.

    On CPUs, PyTorch has no exception type for it, so the message is examined.
    """
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(phrase in str(error) for phrase in OUT_OF_MEMORY_PHRASES)


def processor() -> str:
    """Return the name of the CPU."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        return next(line for line in text.splitlines() if "model name" in line).split(": ")[1]
    except (OSError, StopIteration):
        return platform.processor()


def machine() -> dict[str, str]:
    """Return a description of this machine for reports."""
    supported = torch.cpu.get_capabilities()
    known = {
        "processor": f"{processor()}, {psutil.cpu_count(logical=True)} logical cores",
        "instructions": ", ".join(name for key, name in INSTRUCTIONS.items() if supported.get(key)),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}",
    }
    if torch.cuda.is_available():
        known["gpu"] = torch.cuda.get_device_name()
    return known


def peak_rss_mb() -> float:
    """Return the largest amount of memory that this process has had resident so far, MB."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / BYTES_PER_MB
    status = Path("/proc/self/status")
    if status.exists():  # VmHWM doesn't include what a process inherits by fork
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024 / BYTES_PER_MB
    import resource  # noqa: PLC0415 (Windows has none)

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / BYTES_PER_MB
