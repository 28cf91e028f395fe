"""What to compute with: the device that is there, and the precision and the convolutions that are
the fastest on it. On CPUs these are measured, once, and kept in the cache folder.

Instructions alone don't tell: with AVX-512 BF16, bfloat16 is twice as fast as float32 on one CPU
and slower on another.
"""

from __future__ import annotations

import json
import os
import time
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, get_args

import torch

from impasto import devices, files
from impasto.devices import Device, Kind
from impasto.errors import DeviceError, OutputError, unknown
from impasto.networks.convolution import Convolution, has_fast_bfloat16, has_winograd
from impasto.networks.weights import cache_folder

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
WORTH_IT = 1.1
"""bfloat16, which is less exact, has to be so many times as fast as float32."""
LAYERS = ((64, 128, 192), (256, 64, 96), (512, 32, 48))
"""Channels, height and width of the convolutions that are timed: VGG-19's in blocks 1, 3 and 4."""
ROUNDS = 3
MOST_SECONDS = 2.0
"""After that no new round is begun."""
MEASURED = "speeds.json"


class Way(NamedTuple):
    """A way to compute convolutions on the CPU."""

    precision: str
    kernel: Kind

    def __str__(self) -> str:
        return f"{self.precision} {self.kernel}"


def choose(
    device: str = "auto", precision: str = "auto", kernel: str = "auto", *, strict: bool = True
) -> Device:
    """CUDA before MPS before the CPU, and what is the fastest there of what is asked for.

    A ``kernel`` that isn't there is replaced by one that is. ``IMPASTO_KERNEL`` says what ``auto``
    means: winograd, onednn, plain, or ``guess`` to go by the CPU's instructions, not measuring.
    Unless it is ``strict``, bfloat16 isn't taken where it would be a hundred times slower: a
    picture made on a GPU may be made again on a CPU.
    Raises DeviceError: no such device or precision on this machine.
    """
    where = devices.find(device)
    if precision not in ("auto", *PRECISIONS):
        raise DeviceError(unknown("precision", precision, ("auto", *PRECISIONS)))
    usual = os.environ.get("IMPASTO_KERNEL", "").strip().lower()
    asked = usual if usual and kernel == "auto" else kernel
    if asked not in (known := ("auto", "guess", *get_args(Kind))):
        raise DeviceError(unknown("kernel", asked, known))
    if where.type != "cpu":
        fast, why = devices.bfloat16_support(where)
        if precision == "auto":
            return Device(where, torch.bfloat16 if fast else torch.float32, "plain", why)
        return Device(where, PRECISIONS[precision], "plain", "as asked")
    possible = [way for way in ways() if precision in ("auto", way.precision)]
    if not possible and strict:
        return Device(where, torch.bfloat16, "plain", "as asked, though slower than float32")
    possible = possible or ways()
    named = [way for way in possible if way.kernel == asked]
    if len(named or possible) == 1:
        (way,) = named or possible
        why = "as asked" if named or precision != "auto" else "there is no other way here"
    else:
        way, why = _best(named or possible, guess=asked == "guess")
    return Device(where, PRECISIONS[way.precision], way.kernel, why)


def ways() -> list[Way]:
    """The sensible ways to compute on this CPU. bfloat16 without instructions for it, a hundred
    times slower, isn't one.
    """
    found = [Way("float32", "plain")]
    if has_winograd():
        found.append(Way("float32", "winograd"))
    if has_fast_bfloat16():
        found.append(Way("bfloat16", "onednn"))
    return found


def _best(possible: list[Way], *, guess: bool) -> tuple[Way, str]:
    """The fastest way, and why in half a sentence."""
    measured = None if guess else speeds()
    if measured is None:
        order = guesses()
        return min(possible, key=order.index), "going by this CPU's instructions"
    seconds = {way: measured[way] for way in possible}
    handicap = {"float32": 1, "bfloat16": WORTH_IT}
    best = min(seconds, key=lambda way: seconds[way] * handicap[way.precision])
    second = min((way for way in seconds if way != best), key=lambda way: seconds[way])
    ratio = seconds[second] / seconds[best]
    if ratio < 1:
        return best, f"{second} is hardly faster here"
    return best, f"{best} is {ratio:.1f} times as fast as {second} here"


def guesses() -> list[Way]:
    """All ways, the one first that is likely the fastest on a CPU with such instructions."""
    can = torch.cpu.get_capabilities()
    short, winograd = Way("bfloat16", "onednn"), Way("float32", "winograd")
    wide = Way("float32", "plain")
    if can.get("amx_bf16") or (can.get("avx512_bf16") and "AMD" in devices.processor()):
        return [short, winograd, wide]
    return [wide, winograd, short] if can.get("avx512_f") else [winograd, wide, short]


def speeds() -> dict[Way, float] | None:
    """Seconds that the three layers take in each way: kept from before, or measured now. None where
    they couldn't be kept: measuring each time would take longer than it saves.
    """
    return _speeds(cache_folder() / MEASURED, _machine(), tuple(ways()))


def forget() -> None:
    """Have it measured anew."""
    (cache_folder() / MEASURED).unlink(missing_ok=True)
    _speeds.cache_clear()


@lru_cache(maxsize=8)
def _speeds(file: Path, machine: str, wanted: tuple[Way, ...]) -> dict[Way, float] | None:
    kept = _read(file)
    known = kept.get(machine)
    if isinstance(known, dict) and all(isinstance(known.get(str(way)), float) for way in wanted):
        return {way: known[str(way)] for way in wanted}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(file, kept)  # whether it can be written
        measured = measure(list(wanted))
        seconds = {str(way): value for way, value in measured.items()}
        files.write_json(file, {**_read(file), machine: seconds})
    except (OSError, OutputError):
        return None
    return measured


def _read(file: Path) -> dict[str, object]:
    """What is kept; nothing if it is damaged."""
    try:
        kept = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _machine() -> str:
    """All that a measurement holds for."""
    can = torch.cpu.get_capabilities()
    instructions = " ".join(sorted(name for name, there in can.items() if there is True))
    versions = f"torch {torch.__version__}, impasto {version('impasto')}"
    return f"{devices.processor()}; {torch.get_num_threads()} threads; {instructions}; {versions}"


@torch.no_grad()
def measure(candidates: list[Way]) -> dict[Way, float]:
    """Seconds that ``LAYERS`` take in each way, the shortest of up to ``ROUNDS``, by turns."""
    generator = torch.Generator().manual_seed(0)
    tasks = {}
    for way in candidates:
        dtype = PRECISIONS[way.precision]
        layers = []
        for channels, height, width in LAYERS:
            weight = torch.randn(channels, channels, 3, 3, generator=generator).to(dtype)
            layer = Convolution(weight, weight.new_zeros(channels), way.kernel)
            x = torch.rand(1, channels, height, width, generator=generator).to(dtype)
            layers.append((layer, x.contiguous(memory_format=layer.memory_format)))
        tasks[way] = layers
    started = time.perf_counter()
    shortest = dict.fromkeys(candidates, float("inf"))
    for turn in range(1 + ROUNDS):
        for way, layers in tasks.items():
            begun = time.perf_counter()
            for layer, x in layers:
                layer.forward(x)
            if turn:  # the first one warms up
                shortest[way] = min(shortest[way], time.perf_counter() - begun)
        if turn and time.perf_counter() - started > MOST_SECONDS:
            break
    return shortest
