"""Time of one step of an objective, of the bare convolutions in it, and of whole runs.

    python benchmarks/step.py [--presets tutorial] [--sizes 256,512] [--precisions auto]
                              [--kernels auto] [--runs tutorial:512,studio:512]
                              [--peer-python PATH] [--output step.json]

A step is an evaluation, the solver's own arithmetic, and reading the losses. The bare convolutions
are the step's own, forward and with respect to the input, of the same shapes, measured by turns
with the step. On CUDA, both are captured as graphs, and "eager" is the evaluation without a graph.
``--runs`` times whole runs, each in a process of its own, the second of two in it. With
``--peer-python``, a Python that has TensorFlow, the tutorial's own step in TensorFlow is timed by
turns with ours.
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
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch

import impasto
from impasto.base import own_process
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.methods.optimize.setup import make_engine, make_solver
from impasto.networks.kernels.engine import Engine
from impasto.networks.load import load_encoder
from impasto.runs.job import Job
from impasto.runs.plan import Scale

ROUNDS = 9
PEER_STEPS = 6
RUN = """
import json, sys, time
import torch
import impasto
from impasto.base import devices
content, style, preset, size, device = sys.argv[1:]
seconds = []
for _ in range(2):
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    result = impasto.stylize(content, style, preset=preset, size=int(size), device=device)
    seconds.append(time.perf_counter() - started)
on_gpu = result.job.device.device.type == "cuda"
peak_mb = torch.cuda.max_memory_allocated() / 1e6 if on_gpu else devices.peak_rss_mb()
print(json.dumps({"preset": preset, "size": int(size), "steps": result.steps,
                  "precision": result.job.device.precision, "kernel": result.job.device.kernel,
                  "first_seconds": seconds[0], "seconds": seconds[1], "peak_mb": peak_mb}))
"""


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--presets", default="tutorial")
    parser.add_argument("--sizes", default="256,512")
    parser.add_argument("--precisions", default="auto")
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--runs", default="", metavar="PRESET:SIZE,…", help="whole runs to time")
    parser.add_argument("--peer-python", type=Path, metavar="PATH")
    arguments = parser.parse_args()
    rows = []
    print("preset        size  precision     kernel  step ms   eager  convolutions  ratio  solver")
    for preset, size, precision, kernel in product(
        arguments.presets.split(","),
        map(int, arguments.sizes.split(",")),
        arguments.precisions.split(","),
        arguments.kernels.split(","),
    ):
        row = measure(preset, size, precision, kernel, arguments.device)
        rows.append(row)
        eager = f"{row['eager_ms']:7.2f}" if row["eager_ms"] else " " * 7
        print(
            f"{preset:8} {row['width']:4}×{row['height']:<4} {row['precision']:>9}"
            f" {row['kernel']:>10} {row['step_ms']:8.2f} {eager} {row['convolutions_ms']:13.2f}"
            f" {row['ratio']:6.2f} {row['solver_ms']:7.2f}",
            flush=True,
        )
    runs = []
    for preset, _, size_text in (run.partition(":") for run in arguments.runs.split(",") if run):
        paths = map(str, common.PAIRS["reference"])
        run = common.measured_elsewhere(RUN, *paths, preset, size_text, arguments.device)
        runs.append(run)
        print(
            "{preset} {size} px, {steps} steps, {precision} {kernel}: {seconds:.2f} s"
            " (first {first_seconds:.2f} s), peak {peak_mb:.0f} MB".format(**run),
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
    common.finish(arguments, {"rows": rows, "runs": runs, "tensorflow": peer})


def measure(
    preset: str, size: int, precision: common.Precision, kernel: str, device: str
) -> dict[str, Any]:
    """Return the median times of a step, of its convolutions, and of the solver."""
    job, objective, _ = common.prepared(
        "reference", size, precision, device, preset=preset, kernel=kernel
    )
    start = image = job.content.rgb.to(job.device.device)
    eager = None
    own_process.set_freed_memory(should_keep=True)  # as the command line does
    with torch.no_grad():
        if image.is_cuda:
            eager = statistics.median(timed(objective._evaluate, image)[1] for _ in range(ROUNDS))
        bare = graphed(convolutions_of(job, image))
        height, width = image.shape[-2:]
        recipe = OptimizeSettings.of(job.recipe)
        solver = make_solver(recipe, recipe.lbfgs_history, Scale(height, width, 1))
        step_times, bare_times, solver_times = [], [], []
        for _ in range(ROUNDS):
            (losses, gradient), seconds = timed(objective.losses_and_gradient, image)
            image, solver_seconds = timed(solver.step, image, losses.total, gradient)
            step_times.append(seconds + solver_seconds)
            solver_times.append(solver_seconds)
            bare_times.append(timed(bare)[1])
    step, floor = statistics.median(step_times[4:]), statistics.median(bare_times[4:])
    return {
        "preset": preset,
        "width": start.shape[-1],
        "height": start.shape[-2],
        "device": str(job.device.device),
        "precision": job.device.precision,
        "kernel": job.device.kernel,
        "step_ms": step * 1e3,
        "eager_ms": eager and eager * 1e3,
        "convolutions_ms": floor * 1e3,
        "ratio": step / floor,
        "solver_ms": statistics.median(solver_times[4:]) * 1e3,
    }


def convolutions_of(job: Job, image: torch.Tensor) -> Callable[[], None]:
    """Return a call of all convolutions of a step, both ways, on inputs of their shapes."""
    height, width = image.shape[-2:]
    kernel_of_floor = "plain" if job.device.kernel == "autograd" else job.device.kernel
    engine = make_engine(replace(job, device=replace(job.device, kernel=kernel_of_floor)))
    assert isinstance(engine, Engine)
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

    def all_calls() -> None:
        for call in calls:
            call()

    return all_calls


def graphed(call: Callable[[], None]) -> Callable[[], None]:
    """Return the call, captured as a graph where there is CUDA."""
    if not torch.cuda.is_available():
        return call
    call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()

    def replay(_holds_the_inputs: object = call) -> None:
        graph.replay()

    return replay


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
            row = measure("tutorial", 512, "auto", "auto", "auto")
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
