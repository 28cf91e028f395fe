"""Winograd's F(4×4, 3×3) in PyTorch beside the convolution kernels in use.

    python benchmarks/winograd.py [--size 512x340] [--rounds 9] [--output FILE.json]

Each row is a convolution of VGG-19 without bias and ReLU, forward or with respect to the input. The
kernels are timed by turns; the shortest time counts, because other processes only add to it. The
error is the largest difference from the convolution in float64, relative to its largest value. The
two convolutions between the image and 64 channels are left out: they have too few channels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import common
import torch
from torch import Tensor
from torch.nn import functional

from impasto.base import own_process
from impasto.base.devices import Kernel
from impasto.networks.kernels.convolution import Convolution

KERNELS: dict[str, tuple[torch.dtype, Kernel]] = {
    "NNPACK": (torch.float32, "winograd"),
    "oneDNN": (torch.float32, "plain"),
    "bfloat16": (torch.bfloat16, "onednn"),
}
LAYERS = (
    (64, 64, 0, 2),
    (64, 128, 1, 1),
    (128, 64, 1, 1),
    (128, 128, 1, 2),
    (128, 256, 2, 1),
    (256, 128, 2, 1),
    (256, 256, 2, 6),
    (256, 512, 3, 1),
    (512, 256, 3, 1),
    (512, 512, 3, 6),
    (512, 512, 4, 2),
)
"""Channels in and out, halvings of the image, and convolutions of this shape in a step up to
block5_conv1.
"""
TILE = 4
"""Rows and columns of the output that a tile of 6×6 inputs gives."""
WEIGHT_TRANSFORM = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
"""G of Lavin & Gray 2016, section 4.3."""
BAND_BYTES = 2 << 20
"""Size of a band's transformed input: two cores' L2 caches on Zen 4."""


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--size", default="512x340", metavar="WIDTHxHEIGHT")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    rows = []
    columns = (*KERNELS, "Winograd", "GEMMs", "transforms")
    print(f"{'layer':17}" + "".join(f"{name:>11}" for name in columns) + "  ms      error")
    own_process.set_freed_memory(should_keep=True)
    with torch.no_grad():
        for layer in LAYERS:
            row = measure(layer, height, width, arguments.rounds)
            rows.append(row)
            times = "".join(f"{row['ms'][name]:11.1f}" for name in columns)
            print(f"{row['layer']:17}{times}      {row['relative_error']:.0e}", flush=True)
    step = {
        name: sum(row["ms"][name] * layer[3] for row, layer in zip(rows, LAYERS, strict=True))
        for name in columns
    }
    print(f"{'a step':17}" + "".join(f"{step[name]:11.0f}" for name in columns))
    common.finish(arguments, {"size": arguments.size, "rows": rows, "step_ms": step})


def measure(
    layer: tuple[int, int, int, int], height: int, width: int, rounds: int
) -> dict[str, Any]:
    """Time one layer with every kernel, and compare Winograd's result with float64's."""
    channels_in, channels_out, halvings, _ = layer
    height, width = height >> halvings, width >> halvings
    weight = torch.randn(channels_out, channels_in, 3, 3) / channels_in**0.5
    image = torch.rand(1, channels_in, height, width)
    calls: dict[str, Callable[[], object]] = {}
    for name, (dtype, kernel) in KERNELS.items():
        # Convolution.backward turns the weights around; these are turned the other way before.
        turned = weight.transpose(0, 1).flip(2, 3).to(dtype)
        convolution = Convolution(turned, turned.new_zeros(channels_in), kernel)
        x = image.to(dtype).contiguous(memory_format=convolution.memory_format)
        calls[name] = partial(convolution.backward, x)
    winograd = Winograd(weight, height, width)
    rows = image[0].permute(1, 2, 0).contiguous()  # (H, W, I)
    calls["Winograd"] = partial(winograd, rows)
    calls["GEMMs"] = winograd.multiply_all
    calls["transforms"] = partial(winograd.transform_all, rows)
    exact = functional.conv2d(image.double(), weight.double(), padding=1)[0].permute(1, 2, 0)
    error = (winograd(rows) - exact).abs().max() / exact.abs().max()
    return {
        "layer": f"{channels_in}→{channels_out}@{height}×{width}",
        "ms": shortest(calls, rounds),
        "relative_error": error.item(),
    }


def shortest(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return each call's shortest time in ms, by turns after a round that only warms up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(1 + rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - started) * 1e3)
    return {name: min(each[1:]) for name, each in times.items()}


class Winograd:
    """F(4×4, 3×3) with padding 1 for one weight (O, I, 3, 3) and one image size.

    A band of tile rows at a time is transformed, multiplied and transformed back, so that it stays
    in the cache. All transforms are sums of slices, which PyTorch vectorizes over the channels.
    """

    def __init__(self, weight: Tensor, height: int, width: int) -> None:
        channels_out, channels_in = weight.shape[:2]
        g = torch.tensor(WEIGHT_TRANSFORM, dtype=torch.float64)
        weights = torch.einsum("ia,jb,ocab->ijco", g, g, weight.double())
        self.weights = weights.flatten(0, 1).to(weight.dtype).contiguous()  # (36, I, O)
        self.height, self.width = height, width
        self.tile_rows, across = -(-height // TILE), -(-width // TILE)
        # Every band reads all weights again, so that it should not be smaller than they are.
        row_size = 36 * across * channels_in
        band_size = max(BAND_BYTES // weight.itemsize, self.weights.numel())
        self.band = band = min(self.tile_rows, -(-band_size // row_size))
        self.padded = torch.zeros(TILE * band + 2, TILE * across + 2, channels_in)
        self.half = torch.empty(6, band, TILE * across + 2, channels_in)
        self.tiles = torch.empty(6, 6, band, across, channels_in)
        self.products = torch.empty(6, 6, band, across, channels_out)
        self.half_back = torch.empty(4, 6, band, across, channels_out)
        self.scratch = [torch.empty_like(each) for each in (self.half, self.tiles, self.half_back)]

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve ``x``: (H, W, I) → (H, W, O)."""
        y = self.empty()
        for top in range(0, self.tile_rows, self.band):
            self.transform(x, top)
            self.multiply()
            self.transform_back(y, top)
        return y[: self.height, : self.width]

    def multiply_all(self) -> None:
        """Do the matrix products of a call, and nothing else."""
        for _ in range(0, self.tile_rows, self.band):
            self.multiply()

    def transform_all(self, x: Tensor) -> None:
        """Do the transforms of a call, and nothing else."""
        y = self.empty()
        for top in range(0, self.tile_rows, self.band):
            self.transform(x, top)
            self.transform_back(y, top)

    def empty(self) -> Tensor:
        """Return an output of whole bands and tiles."""
        bands = -(-self.tile_rows // self.band)
        _, _, band, across, channels = self.products.shape
        return torch.empty(bands * band * TILE, across * TILE, channels)

    def transform(self, x: Tensor, top: int) -> None:
        """Transform the band whose first row of tiles is ``top``, rows first, then columns."""
        first, last = TILE * top - 1, TILE * (top + self.band) + 1
        inside = slice(max(first, 0), min(last, self.height))
        self.padded[: inside.start - first].zero_()
        self.padded[inside.stop - first :].zero_()
        self.padded[inside.start - first : inside.stop - first, 1 : self.width + 1] = x[inside]
        across, channels = self.tiles.shape[3:]
        row, column = self.padded.stride(0), self.padded.stride(1)
        # Tiles overlap by two rows and columns: views with a step of four.
        rows = self.padded.as_strided(self.half.shape, (row, TILE * row, column, 1))
        transform_input(rows, self.half, self.scratch[0])
        index, tile_row, _, _ = self.half.stride()
        columns = self.half.as_strided(
            (6, 6, self.band, across, channels), (column, index, tile_row, TILE * column, 1)
        )
        transform_input(columns, self.tiles.transpose(0, 1), self.scratch[1])

    def multiply(self) -> None:
        """Multiply the band's tiles by the weights: (36, tiles, I) · (36, I, O)."""
        torch.bmm(
            self.tiles.view(36, -1, self.tiles.shape[-1]),
            self.weights,
            out=self.products.view(36, -1, self.products.shape[-1]),
        )

    def transform_back(self, y: Tensor, top: int) -> None:
        """Transform the band's products back into rows of ``y``, rows first, then columns."""
        _, _, band, across, channels = self.products.shape
        transform_output(self.products, self.half_back, self.scratch[2])
        out = y[TILE * top : TILE * (top + band)].view(band, TILE, across, TILE, channels)
        transform_output(
            self.half_back.transpose(0, 1), out.permute(3, 1, 0, 2, 4), self.scratch[2][:, :4]
        )


def transform_input(d: Tensor, out: Tensor, scratch: Tensor) -> None:
    """Multiply by Bᵀ of Lavin & Gray along the first axis, of length 6, in eight sums.

    The first two sums give (d₄ - d₂, d₅ - d₃) and (d₀ - d₂, d₁ - d₃).
    """
    a, b, c = scratch[0:2], scratch[2:4], scratch[4:6]
    torch.sub(d[4:6], d[2:4], out=a)
    torch.sub(d[0:2], d[2:4], out=b)
    torch.add(a, b, alpha=4, out=out[0::5])
    torch.add(a[0], b[1], alpha=-2, out=out[3])
    torch.add(a[0], b[1], alpha=2, out=out[4])
    torch.add(d[3:5], d[1:3], alpha=-4, out=c)  # (d₃ - 4 d₁, d₄ - 4 d₂)
    torch.add(c[1], c[0], out=out[1])
    torch.sub(c[1], c[0], out=out[2])


def transform_output(m: Tensor, out: Tensor, scratch: Tensor) -> None:
    """Multiply by Aᵀ of Lavin & Gray along the first axis, from length 6 to 4, in eight sums."""
    a, b = scratch[0:2], scratch[2:4]
    torch.add(m[1:5:2], m[2:5:2], out=a)  # (m₁ + m₂, m₃ + m₄)
    torch.sub(m[1:5:2], m[2:5:2], out=b)  # (m₁ - m₂, m₃ - m₄)
    torch.add(a[0], a[1], alpha=4, out=out[2])
    torch.add(a[0], a[1], out=a[0])
    torch.add(a[0], m[0], out=out[0])
    torch.add(b[0], b[1], alpha=2, out=out[1])
    torch.add(b[0], b[1], alpha=8, out=b[0])
    torch.add(b[0], m[5], out=out[3])


if __name__ == "__main__":
    main()
