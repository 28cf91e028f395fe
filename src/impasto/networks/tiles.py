"""The feed-forward network on a picture of any size, in bands of rows: the same picture as in one
piece, in little memory.

Instance normalisation needs the mean and variance of a whole feature map, so every normalised layer
takes a pass of its own over the bands, which gathers them; what lies below it is computed again, or
kept where it is small (a sixteenth of the places, in the residual blocks). A band has as many rows
around it as its convolutions reach; only at the picture's own edges is anything mirrored.

Or else the statistics come from a small version of the picture ("thumbnail instance
normalization", Wang et al. 2022, URST), in one pass, not quite the same picture.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional

from impasto.networks.transformer import (
    STRIDE,
    Layer,
    Statistics,
    StyleTransformer,
    activated,
    moments,
    normalised,
    shuffled,
)

BAND_BYTES = 96e6
"""What a band's feature maps may take."""
BYTES_PER_PIXEL = 200
"""What they take at their widest, in float32."""
MIN_BAND_ROWS = 64


@dataclass(frozen=True)
class Painted:
    """``done``: how much of the work, 0 to 1. ``band`` (1, 3, rows, W) from row ``top`` on, once
    there is one.
    """

    done: float
    top: int = 0
    band: Tensor | None = None


def band_rows(width: int) -> int:
    """How many rows a band has, a multiple of 8."""
    return max(MIN_BAND_ROWS, int(BAND_BYTES / BYTES_PER_PIXEL / width) // 8 * 8)


def paint_in_bands(
    network: StyleTransformer,
    image: Tensor,
    style: Tensor,
    *,
    statistics: Statistics | None = None,
    rows: int | None = None,
) -> Iterator[Painted]:
    """Paint ``image`` (1, 3, H, W) in ``style`` (1, P), band by band from the top.

    ``statistics`` of another size of the picture spare the passes that would gather them.
    """
    height, width = image.shape[-2:]
    run = _Run(network, image, style, statistics)
    rows = rows or band_rows(width)
    for done in run.prepare(rows):
        yield Painted(done)
    last = len(network.layers) - 1
    for top, bottom in _bands(run.heights[0], rows):
        with torch.no_grad():
            band = run.rows(last, top, min(bottom, height))[..., :width]
        yield Painted(run.advanced(), top, band)


def _bands(length: int, rows: int) -> list[tuple[int, int]]:
    """0 to ``length`` in steps of about ``rows``, which begin at even rows."""
    count = max(1, round(length / rows))
    starts = [length * index // count // 2 * 2 for index in range(count)]
    return list(pairwise([*starts, length]))


class _Gathered:
    """Mean and variance of a feature map, from its bands (Chan et al. 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.device = torch.device("cpu")
        self.mean: Tensor = torch.zeros(())
        self.squares: Tensor = torch.zeros(())

    def add(self, layer: Layer, band: Tensor) -> None:
        self.device = band.device
        mean, variance = (value.cpu().double() for value in moments(layer, band))  # MPS has none
        count = band.shape[-2] * band.shape[-1]
        total = self.count + count
        apart = mean - self.mean
        self.squares = self.squares + variance * count + apart**2 * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    def result(self) -> tuple[Tensor, Tensor]:
        mean, variance = self.mean.float(), (self.squares / self.count).float()
        return mean.to(self.device), variance.to(self.device)


class _Run:
    """``kept``: finished feature maps that later layers read from, by the layer's index."""

    def __init__(
        self,
        network: StyleTransformer,
        image: Tensor,
        style: Tensor,
        statistics: Statistics | None,
    ) -> None:
        self.network, self.layers = network, network.layers
        self.gains_and_shifts = network.split(style)
        self.statistics: Statistics = list(statistics or [None] * len(self.layers))
        self.image = image
        self.kept: dict[int, Tensor] = {}
        self.heights = [ceil(image.shape[-2] / STRIDE) * STRIDE]
        for layer in self.layers:
            self.heights.append(self.heights[-1] // layer.stride * (2 if layer.shuffle else 1))
        self.done = self.step = 0.0

    def prepare(self, rows: int) -> Iterator[float]:
        """Gather every statistic, and keep what the residual blocks make of the picture. Yields how
        much of the work is done.
        """
        part = {
            name: [index for index, layer in enumerate(self.layers) if name in layer.name]
            for name in ("contract", "residual", "expand")
        }
        # A residual layer costs an eighth of what a pass over the whole picture does.
        gathering = [i for i in (*part["contract"], *part["expand"]) if self._is_unknown(i)]
        passes = len(gathering) + 2 + len(part["residual"]) / 8
        self.step = 1 / passes / len(_bands(self.heights[0], rows))
        small_rows = rows // STRIDE
        for index in part["contract"]:
            yield from self._gather(index, rows)
        top = part["contract"][-1]
        x = yield from self._keep(top, small_rows)
        y = torch.empty_like(x)
        for index in part["residual"][::2]:
            self.kept = {index - 1: x}
            yield from self._residual_block(index, x, y, small_rows)
        self.kept = {part["residual"][-1]: x}
        for index in part["expand"]:
            yield from self._gather(index, rows)

    def advanced(self, share: float = 1.0) -> float:
        self.done = min(1.0, self.done + share * self.step)
        return self.done

    def height(self, index: int) -> int:
        """Rows of a layer's output; -1 is the picture."""
        return self.heights[index + 1]

    def rows(self, index: int, top: int, bottom: int) -> Tensor:
        """Rows of a layer's output; of the picture, if ``index`` is -1."""
        if index == -1:
            return self._picture(top, bottom)
        if index in self.kept:
            return self.kept[index][..., top:bottom, :]
        layer = self.layers[index]
        if not layer.shuffle:
            return self._finished(index, self._convolved(index, top, bottom))
        first, last = top // 2, (bottom + 1) // 2
        x = shuffled(layer, self._finished(index, self._convolved(index, first, last)))
        return x[..., top - 2 * first : bottom - 2 * first, :]

    def _picture(self, top: int, bottom: int) -> Tensor:
        """Mirrored at its end, as far as the contracting part needs it to divide it evenly."""
        height, width = self.image.shape[-2:]
        x = self.image[..., top : min(bottom, height), :]
        if bottom > height:
            beyond = [2 * height - 2 - row for row in range(height, bottom)]
            x = torch.cat([x, self.image[..., beyond, :]], dim=2)
        if width % STRIDE:
            x = functional.pad(x, (0, -width % STRIDE, 0, 0), "reflect")
        return x.to(self.network.dtype, memory_format=torch.channels_last)

    def _convolved(self, index: int, top: int, bottom: int) -> Tensor:
        """Rows of a layer, before normalisation and shuffling."""
        layer = self.layers[index]
        first = top * layer.stride - layer.margin
        last = (bottom - 1) * layer.stride + layer.margin + 1
        inside = max(0, first), min(self.height(index - 1), last)
        x = self.rows(index - 1, *inside)
        return self.network.convolved(layer, x, inside[0] - first, last - inside[1])

    def _finished(self, index: int, x: Tensor) -> Tensor:
        """Normalised and activated."""
        statistics, style = self.statistics[index], self.gains_and_shifts[index]
        if statistics is not None and style is not None:
            x, _ = normalised(self.layers[index], x, *style, statistics)
        return activated(self.layers[index], x)

    def _is_unknown(self, index: int) -> bool:
        return self.layers[index].normalised and self.statistics[index] is None

    @torch.no_grad()
    def _gather(self, index: int, rows: int) -> Iterator[float]:
        """A layer's statistics, if they aren't known."""
        if not self._is_unknown(index):
            return
        layer, gathered = self.layers[index], _Gathered()
        height = self.height(index) // (2 if layer.shuffle else 1)
        for top, bottom in _bands(height, rows * height // self.heights[0]):
            gathered.add(layer, self._convolved(index, top, bottom))
            yield self.advanced()
        self.statistics[index] = gathered.result()

    @torch.no_grad()
    def _keep(self, index: int, rows: int) -> Generator[float, None, Tensor]:
        """The whole of a layer's output."""
        height = self.height(index)
        kept: Tensor | None = None
        for top, bottom in _bands(height, rows):
            band = self.rows(index, top, bottom)
            if kept is None:
                shape = (*band.shape[:2], height, band.shape[3])
                kept = band.new_empty(shape).contiguous(memory_format=torch.channels_last)
            kept[..., top:bottom, :] = band
            yield self.advanced()
        assert kept is not None
        return kept

    @torch.no_grad()
    def _residual_block(self, index: int, x: Tensor, y: Tensor, rows: int) -> Iterator[float]:
        """Add the block of layers ``index`` and ``index`` + 1 to ``x``; ``y`` is overwritten."""
        first, second = self.layers[index : index + 2]
        bands, margin = _bands(x.shape[-2], rows), second.margin
        gathered = _Gathered()
        for top, bottom in bands:
            band = self._convolved(index, top, bottom)
            gathered.add(first, band)
            y[..., top:bottom, :] = band
            yield self.advanced(1 / 8)
        self._learn(index, gathered)
        for top, bottom in bands:
            y[..., top:bottom, :] = self._finished(index, y[..., top:bottom, :])
        gathered, above = _Gathered(), y[..., :0, :]
        for top, bottom in bands:
            # What is written over is needed once more, above the next band.
            surrounded = torch.cat([above, y[..., top : bottom + margin, :]], dim=2)
            above = y[..., bottom - margin : bottom, :].clone()
            mirrored = margin * (top == 0), margin * (bottom == y.shape[-2])
            band = self.network.convolved(second, surrounded, *mirrored)
            gathered.add(second, band)
            y[..., top:bottom, :] = band
            yield self.advanced(1 / 8)
        self._learn(index + 1, gathered)
        for top, bottom in bands:
            x[..., top:bottom, :] += self._finished(index + 1, y[..., top:bottom, :])

    def _learn(self, index: int, gathered: _Gathered) -> None:
        if self._is_unknown(index):
            self.statistics[index] = gathered.result()
