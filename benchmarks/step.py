"""Time of one step of the tutorial's objective, and of the bare convolutions in it.

    python benchmarks/step.py [--sizes 256,512] [--precisions float32,bfloat16]
                              [--peer-python PATH] [--output step.json]

The bare convolutions are the step's own, forward and with respect to the input, of the same shapes,
warm and measured in the same run, by turns with the step. With ``--peer-python``, a Python that has
TensorFlow, the tutorial's own step in TensorFlow is timed by turns with ours.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch

import impasto
from impasto.networks.engine import Engine
from impasto.networks.load import load_encoder
from impasto.solvers.lbfgs import LBFGS

ROUNDS = 9
PEER_STEPS = 6


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--sizes", default="256,512")
    parser.add_argument("--precisions", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--peer-python", type=Path, metavar="PATH")
    arguments = parser.parse_args()
    rows = []
    print("   size   precision  step ms  convolutions ms  ratio  L-BFGS ms")
    for precision in arguments.precisions.split(","):
        for size in map(int, arguments.sizes.split(",")):
            row = measure(size, precision, arguments.device)
            rows.append(row)
            print(
                f"{row['width']:4}×{row['height']:<4} {row['precision']:>8} {row['step_ms']:8.0f}"
                f" {row['convolutions_ms']:16.0f} {row['ratio']:6.2f} {row['lbfgs_ms']:10.1f}",
                flush=True,
            )
    peer = None
    if arguments.peer_python:
        peer = by_turns_with(arguments.peer_python)
        times = f"ours {peer['ours_ms']:.0f} ms in {peer['precision']}"
        print(
            f"TensorFlow {peer['version']}: {peer['theirs_ms']:.0f} ms a step,"
            f" {times}: {peer['ratio']:.2f} times as fast"
        )
    common.finish(arguments, {"rows": rows, "tensorflow": peer})


def measure(size: int, precision: str, device: str) -> dict[str, Any]:
    """Median times of a step, of its convolutions, and of L-BFGS' own arithmetic."""
    job, objective, engine = common.prepared("reference", size, precision, device)
    image = job.content.rgb.to(job.device.device)
    with impasto.devices.freed_memory(stays=True), torch.no_grad():
        assert isinstance(engine, Engine)
        bare = convolutions_of(engine, image)
        solver = LBFGS()
        step_times, bare_times, solver_times = [], [], []
        for _ in range(ROUNDS):
            (losses, gradient), seconds = timed(objective.losses_and_gradient, image)
            step_times.append(seconds)
            image, seconds = timed(solver.step, image, losses.total, gradient)
            solver_times.append(seconds)
            bare_times.append(sum(timed(convolution)[1] for convolution in bare))
    step, floor = statistics.median(step_times[2:]), statistics.median(bare_times[2:])
    return {
        "width": job.content.width,
        "height": job.content.height,
        "device": str(job.device.device),
        "precision": job.device.precision,
        "kernels": next(iter(engine.convolutions.values())).kernel,
        "step_ms": step * 1e3,
        "convolutions_ms": floor * 1e3,
        "ratio": step / floor,
        "lbfgs_ms": statistics.median(solver_times[2:]) * 1e3,
    }


def convolutions_of(engine: Engine, image: torch.Tensor) -> list[Callable[[], object]]:
    """A call for each convolution of a step, both ways, on inputs of its shape."""
    height, width = image.shape[-2:]
    calls: list[Callable[[], object]] = []
    for name, convolution in engine.convolutions.items():
        halvings = int(name[5]) - 1
        kernel, _ = engine.encoder.kernel(name)
        for channels, call in (
            (kernel.shape[1], convolution.forward),
            (kernel.shape[0], convolution.backward),
        ):
            x = torch.rand(
                (1, channels, height >> halvings, width >> halvings), device=image.device
            )
            x = x.to(kernel.dtype).contiguous(memory_format=engine.memory_format)
            calls.append(partial(call, x))
    return calls


def timed(call: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    result = call(*arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - started


def by_turns_with(python: Path) -> dict[str, Any]:
    """Our step and TensorFlow's at the tutorial's size: theirs, ours, theirs, ours."""
    theirs: list[float] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "peer.npz"
        write_for_peer(file)
        for _ in range(2):
            done = subprocess.run(
                [python, Path(__file__).with_name("peer_tutorial.py"), file, str(PEER_STEPS)],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            )
            if done.returncode:
                sys.exit(f"{python} can't run TensorFlow: {done.stderr.strip().splitlines()[-1]}")
            report = json.loads(done.stdout.strip().splitlines()[-1])
            theirs += report["seconds"][1:]  # the first one traces the graph
            row = measure(512, "auto", "auto")
            ours.append(row["step_ms"])
    return {
        "version": report["version"],
        "precision": row["precision"],
        "theirs_ms": statistics.median(theirs) * 1e3,
        "ours_ms": statistics.median(ours),
        "ratio": statistics.median(theirs) * 1e3 / statistics.median(ours),
    }


def write_for_peer(file: Path) -> None:
    """Both images (1, H, W, 3) and VGG-19's parameters."""
    job = impasto.prepare(*common.PAIRS["reference"], preset="tutorial", precision="float32")
    encoder = load_encoder()
    arrays = {"content": job.content.rgb, "style": job.styles[0].rgb}
    arrays = {name: rgb.permute(0, 2, 3, 1) for name, rgb in arrays.items()}
    for name in encoder.convolutions:
        arrays[f"{name}.weight"], arrays[f"{name}.bias"] = encoder.kernel(name)
    np.savez(file, allow_pickle=False, **{name: a.numpy() for name, a in arrays.items()})


if __name__ == "__main__":
    main()
