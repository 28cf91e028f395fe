"""Weights as the tests need them: the real file formats, a tiny network, a server on loopback."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import torch
from safetensors.torch import save_file

from impasto.networks.formats import CONVOLUTION_NAMES, TOP_NAMES

WIDTHS = {1: 3, 2: 4, 3: 4, 4: 5, 5: 6}
HIDDEN, CLASSES = 7, 1000


def tiny_parameters() -> dict[str, torch.Tensor]:
    """A whole VGG-19 with its top, very narrow, named as the real one."""
    generator = torch.Generator().manual_seed(0)
    made: dict[str, torch.Tensor] = {}
    channels = 3
    for name in CONVOLUTION_NAMES:
        width = WIDTHS[int(name[5])]
        made[f"{name}.weight"] = torch.randn(width, channels, 3, 3, generator=generator) * 0.3
        made[f"{name}.bias"] = torch.randn(width, generator=generator) * 0.1
        channels = width
    inputs = channels * 49
    for name, outputs in (("fc1", HIDDEN), ("fc2", HIDDEN), ("predictions", CLASSES)):
        made[f"{name}.weight"] = torch.randn(outputs, inputs, generator=generator) * 0.3
        made[f"{name}.bias"] = torch.randn(outputs, generator=generator) * 0.1
        inputs = outputs
    return made


def seeing_only(label: int) -> dict[str, torch.Tensor]:
    """A tiny network that sees one class in everything."""
    parameters = tiny_parameters()
    parameters["predictions.weight"].zero_()
    parameters["predictions.bias"].zero_()
    parameters["predictions.bias"][label] = 9
    return parameters


def write_keras(path: Path, parameters, *, nested: bool = True, old_names: bool = True) -> None:
    """As Keras writes it: kernels (rows, columns, in, out), fc1's inputs row, column, channel."""
    with h5py.File(path, "w") as file:
        for name in (*CONVOLUTION_NAMES, *TOP_NAMES):
            if f"{name}.weight" not in parameters:
                continue
            kernel = parameters[f"{name}.weight"].numpy()
            if name == "fc1":
                kernel = kernel.reshape(len(kernel), -1, 7, 7).transpose(0, 2, 3, 1)
                kernel = kernel.reshape(len(kernel), -1)
            kernel = kernel.T if kernel.ndim == 2 else kernel.transpose(2, 3, 1, 0)
            group = file.create_group(name)
            inner = group.create_group(name) if nested else group
            inner[f"{name}_W_1:0" if old_names else "kernel:0"] = kernel
            inner[f"{name}_b_1:0" if old_names else "bias:0"] = parameters[f"{name}.bias"].numpy()
        file.create_group("block1_pool")


def write_torchvision(path: Path, parameters) -> None:
    """A state dict with torchvision's numbering: ReLUs and poolings count too."""
    state, place = {}, 0
    for name in CONVOLUTION_NAMES:
        state[f"features.{place}.weight"] = parameters[f"{name}.weight"]
        state[f"features.{place}.bias"] = parameters[f"{name}.bias"]
        at_end = name in ("block1_conv2", "block2_conv2") or name.endswith("conv4")
        place += 3 if at_end else 2
    for place, name in zip((0, 3, 6), TOP_NAMES, strict=True):
        state[f"classifier.{place}.weight"] = parameters[f"{name}.weight"]
        state[f"classifier.{place}.bias"] = parameters[f"{name}.bias"]
    torch.save(state, path)


def write_palettes(path: Path, parameters) -> None:
    """The convolutions, each kernel as indexes into a palette of 256 of its values."""
    stored = {}
    for name in CONVOLUTION_NAMES:
        kernel = parameters[f"{name}.weight"]
        palette = torch.quantile(kernel.flatten(), torch.linspace(0, 1, 256))
        indexes = (kernel[..., None] - palette).abs().argmin(-1).to(torch.uint8)
        stored[f"{name}.weight.indexes"] = indexes
        stored[f"{name}.weight.palette"] = palette
        stored[f"{name}.bias"] = parameters[f"{name}.bias"]
    save_file(stored, path)


def digest_of(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """A web server on loopback for the files of a folder; gives its address."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
