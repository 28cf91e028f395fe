"""Selection of the device, the precision and the convolution kernel.

On a CPU, precision and kernel are selected by measurement, and the measurement is stored in the
cache folder. The instruction set alone does not predict the result: with AVX-512 BF16, bfloat16 is
faster than float32 on AMD's Zen 4 and slower on an Intel CPU without AMX.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, cast, get_args

import torch

from impasto.base import devices
from impasto.base.devices import Device, Kernel
from impasto.base.errors import DeviceError, unknown
from impasto.networks.kernels import speeds
from impasto.networks.kernels.convolution import (
    Convolution,
    has_cudnn,
    has_fast_bfloat16,
    has_winograd,
)

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MIN_BFLOAT16_SPEEDUP = 1.06
"""Lowest speed relative to float32 at which bfloat16, which is less exact, is selected. A whole
step gains more than the timed convolutions: 1.4 on Zen 4, where these gain 1.1 to 1.3
(benchmarks/step.py)."""
PROBE_SHAPES = ((64, 128, 192), (256, 64, 96), (512, 32, 48))
"""Channels, height and width, px, of the timed convolutions: VGG-19's blocks 1, 3 and 4."""
PROBE_ROUNDS = 3
MAX_PROBE_SECONDS = 2.0
"""About the longest time of a probe: past half of it, no further round begins."""


class Candidate(NamedTuple):
    """A precision and a convolution kernel that this CPU can use."""

    precision: str
    kernel: Kernel

    def __str__(self) -> str:
        return f"{self.precision} {self.kernel}"


def choose(
    device: str = "auto",
    precision: str = "auto",
    kernel: str | None = "auto",
    *,
    strict: bool = True,
) -> Device:
    """Select the device, and the fastest precision and kernel on it that match the request.

    Args:
        device: "auto" prefers CUDA to MPS to the CPU; otherwise a device name.
        precision: "auto", "float32" or "bfloat16".
        kernel: "auto" or a kernel. The environment variable
            ``IMPASTO_KERNEL`` replaces "auto"; its value "guess" selects by instruction set,
            without a measurement. None for a network whose convolutions have one kernel: only the
            precision is then selected, without regard to Winograd, and of ``IMPASTO_KERNEL`` only
            "guess" counts.
        strict: Whether to use bfloat16 on request even where it is a hundred times slower than
            float32. False suits the recipe of a picture that was painted on a GPU.

    Returns:
        The selection. Its ``why`` names every request that could not be met.

    Raises:
        DeviceError: This machine has no such device, or there is no such precision or kernel.
    """
    devices.allow_forks()  # here, because whatever computes selects a device first
    target = devices.find(device)
    if precision not in ("auto", *PRECISIONS):
        raise DeviceError(unknown("precision", precision, ("auto", *PRECISIONS)))
    has_kernels = kernel is not None
    if kernel in ("auto", None):
        kernel = os.environ.get("IMPASTO_KERNEL", "").strip().lower() or "auto"
        if not has_kernels and kernel != "guess":
            kernel = "auto"
    known_kernels = ("auto", "guess", *get_args(Kernel))
    if kernel not in known_kernels:
        raise DeviceError(unknown("kernel", kernel, known_kernels))
    if target.type != "cpu":
        return _on_gpu(target, precision, kernel)
    if kernel == "autograd" or (kernel == "plain" and precision == "bfloat16" and strict):
        dtype = PRECISIONS.get(precision, torch.float32)
        return Device(target, dtype, cast(Kernel, kernel), "as requested")
    usable = [each for each in candidates() if has_kernels or each.kernel != "winograd"]
    matching = [each for each in usable if precision in ("auto", each.precision)]
    unmet = ""
    if not matching and strict:
        return Device(target, torch.bfloat16, "plain", "as requested, though slower than float32")
    if not matching:
        matching, unmet = usable, "this CPU has no bfloat16 instructions; "
    requested = [each for each in matching if each.kernel == kernel]
    if requested:
        selected, reason = requested[0], "as requested"
    else:
        if kernel in get_args(Kernel):
            exists = any(each.kernel == kernel for each in usable)
            unmet += f"{kernel} {f'has no {precision}' if exists else 'is not available here'}; "
        selected, reason = _fastest(matching, should_measure=kernel != "guess")
    return Device(target, PRECISIONS[selected.precision], selected.kernel, unmet + reason)


def _on_gpu(device: torch.device, precision: str, requested: str) -> Device:
    """Select precision and kernel on a GPU, by its type: see docs/performance.md."""
    fastest: Kernel = "cudnn" if device.type == "cuda" and has_cudnn() else "plain"
    known: dict[str, Kernel] = {"plain": "plain", "autograd": "autograd", fastest: fastest}
    kernel = known.get(requested, fastest)
    unmet = "" if requested in ("auto", "guess", kernel) else f"{requested} is not available here; "
    if precision != "auto":
        return Device(device, PRECISIONS[precision], kernel, unmet + "as requested")
    is_fast, reason = devices.bfloat16_support(device)
    return Device(device, torch.bfloat16 if is_fast else torch.float32, kernel, unmet + reason)


def candidates() -> list[Candidate]:
    """Return the combinations worth measuring on this CPU.

    bfloat16 without instructions for it is a hundred times slower and therefore never among them.
    """
    found = [Candidate("float32", "plain")]
    if has_winograd():
        found.append(Candidate("float32", "winograd"))
    if has_fast_bfloat16():
        found.append(Candidate("bfloat16", "onednn"))
    return found


def _fastest(matching: list[Candidate], *, should_measure: bool) -> tuple[Candidate, str]:
    """Return the fastest candidate and the reason, a clause for the user."""
    if len(matching) == 1:
        return matching[0], "the only option here"
    measured = measured_seconds() if should_measure else None
    if measured is None:
        return min(matching, key=ranked_by_instructions().index), "selected by instruction set"
    penalty = {"float32": 1.0, "bfloat16": MIN_BFLOAT16_SPEEDUP}
    best = min(matching, key=lambda each: measured[each] * penalty[each.precision])
    runner_up = min((each for each in matching if each != best), key=measured.__getitem__)
    speedup = measured[runner_up] / measured[best]
    if speedup < 1:
        return best, f"{runner_up} is hardly faster here"
    return best, f"{best} is {speedup:.1f} times as fast as {runner_up} here"


def ranked_by_instructions() -> list[Candidate]:
    """Return all candidates, the fastest first, as measured on CPUs with these instructions."""
    supported = torch.cpu.get_capabilities()
    plain, winograd = Candidate("float32", "plain"), Candidate("float32", "winograd")
    bfloat16 = Candidate("bfloat16", "onednn")
    is_amd = "AMD" in devices.processor()
    if supported.get("amx_bf16") or (supported.get("avx512_bf16") and is_amd):
        return [bfloat16, winograd, plain]
    if supported.get("avx512_f"):
        return [plain, winograd, bfloat16]
    return [winograd, plain, bfloat16]


def measured_seconds() -> dict[Candidate, float] | None:
    """Return the seconds that each candidate takes for ``PROBE_SHAPES``.

    The first call on a machine measures and stores them. Returns None where they cannot be stored:
    a measurement in every process would take longer than it saves.
    """
    return _measured_seconds(speeds.path(), speeds.machine_key(), tuple(candidates()))


def forget_measurements() -> list[Path]:
    """Delete the stored speeds. Returns the deleted files."""
    _measured_seconds.cache_clear()
    return speeds.forget()


@lru_cache(maxsize=8)
def _measured_seconds(
    _file: Path, _machine: str, wanted: tuple[Candidate, ...]
) -> dict[Candidate, float] | None:
    known = {each: speeds.stored(str(each)) for each in wanted}
    measured = {each: seconds for each, seconds in known.items() if seconds is not None}
    if len(measured) == len(wanted):
        return measured
    if not speeds.store_all({}):  # before two seconds are spent, not after
        return None
    measured = probe(list(wanted))
    is_stored = speeds.store_all({str(each): seconds for each, seconds in measured.items()})
    return measured if is_stored else None


@torch.no_grad()
def probe(wanted: list[Candidate]) -> dict[Candidate, float]:
    """Return each candidate's shortest time for ``PROBE_SHAPES``, in seconds.

    The candidates take turns, so that a busy moment of the machine affects all of them.
    """
    generator = torch.Generator().manual_seed(0)
    layers: dict[Candidate, list[tuple[Convolution, torch.Tensor]]] = {}
    for each in wanted:
        dtype = PRECISIONS[each.precision]
        layers[each] = []
        for channels, height, width in PROBE_SHAPES:
            weight = torch.randn(channels, channels, 3, 3, generator=generator).to(dtype)
            layer = Convolution(weight, weight.new_zeros(channels), each.kernel)
            x = torch.rand(1, channels, height, width, generator=generator).to(dtype)
            layers[each].append((layer, x.contiguous(memory_format=layer.memory_format)))
    started = time.perf_counter()
    shortest = dict.fromkeys(wanted, float("inf"))
    for round_number in range(1 + PROBE_ROUNDS):
        for each in wanted:
            round_started = time.perf_counter()
            for layer, x in layers[each]:
                layer.forward(x)
            elapsed = time.perf_counter() - round_started
            if round_number > 0:  # round 0 only warms up
                shortest[each] = min(shortest[each], elapsed)
        if round_number > 0 and time.perf_counter() - started > MAX_PROBE_SECONDS / 2:
            break
    return shortest
