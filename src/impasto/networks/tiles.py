"""The feed-forward network in bands of rows, for pictures of any size in little memory.

The result is the same as for the whole picture. Instance normalisation needs the mean and variance
of a whole feature map before any part of the map can be normalised. Feature maps at a quarter of
the size, and the picture itself, are computed in bands, kept before normalisation, and then
normalised. All other maps are computed twice: once for their statistics, and once for the next
layer. A band includes as many neighbouring rows as its convolutions reach; only the edges of the
whole picture are padded by reflection.

If statistics of a small version of the picture are given ("thumbnail instance normalization", Wang
et al. 2022, URST), each map is computed once, and the result differs slightly.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import pairwise
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional

from impasto.networks.transformer import (
    STRIDE,
    Layer,
    Moments,
    Statistics,
    StyleTransformer,
    activated,
    moments,
    normalised,
    phases_of,
    shuffled,
)

BAND_BYTES = 96e6
"""Memory for the feature maps of a band, bytes."""
BYTES_PER_PIXEL = 200
"""Peak memory of the feature maps per pixel of a band in float32, bytes."""
MIN_BAND_ROWS = 64


def _band_rows(width: int) -> int:
    """Return the number of rows of a band for a picture of ``width`` px; it is a multiple of 8."""
    return max(MIN_BAND_ROWS, int(BAND_BYTES / BYTES_PER_PIXEL / width) // 8 * 8)


def paint_in_bands(
    network: StyleTransformer,
    image: Tensor,
    style: Tensor,
    picture: Tensor,
    *,
    statistics: Statistics | None = None,
    rows: int | None = None,
) -> Iterator[float]:
    """Stylize an image in bands of rows.

    Args:
        network: The network.
        image: The photo, (1, 3, H, W), in [0, 1].
        style: The style, (1, P).
        picture: The output, (1, 3, H, W), float32, which is written in place.
        statistics: Statistics of the picture at another size, to normalise with. By default, those
            of the picture itself are computed.
        rows: The number of rows of a band. By default, it depends on the width.

    Yields:
        The share of the work that is done, 0 to 1.
    """
    run = _Run(network, image, style, statistics, rows or _band_rows(image.shape[-1]))
    yield from run.paint(picture)


class _Gathered:
    """Accumulates the mean and variance of a feature map from its bands (Chan et al. 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.device = torch.device("cpu")
        self.mean: Tensor = torch.zeros(())
        self.squares: Tensor = torch.zeros(())

    def add(self, layer: Layer, band: Tensor) -> None:
        self.device = band.device
        has_float64 = band.device.type != "mps"
        mean, variance = (
            (value if has_float64 else value.cpu()).double() for value in moments(layer, band)
        )
        count = band.shape[-2] * band.shape[-1]
        total = self.count + count
        delta = mean - self.mean
        self.squares = self.squares + variance * count + delta**2 * (self.count * count / total)
        self.mean = self.mean + delta * (count / total)
        self.count = total

    def result(self) -> Moments:
        mean, variance = self.mean.float(), (self.squares / self.count).float()
        return mean.to(self.device), variance.to(self.device)


class _Run:
    """A run of the network in bands. The arguments are those of ``paint_in_bands``.

    Attributes:
        kept: Index of a layer → its normalised output before shuffling, which later layers read.
        heights: The height of the input's phases, then that of each layer's output, px.
    """

    def __init__(
        self,
        network: StyleTransformer,
        image: Tensor,
        style: Tensor,
        statistics: Statistics | None,
        rows: int,
    ) -> None:
        self.network, self.layers, self.style = network, network.layers, style
        self.gains_and_shifts = network.split(style)
        self.statistics: Statistics = list(statistics or [None] * len(self.layers))
        self.image, self.rows_in_band = image, rows
        self.kept: dict[int, Tensor] = {}
        self.heights = [ceil(image.shape[-2] / STRIDE) * STRIDE // 2]  # of the photo's phases
        for layer in self.layers:
            self.heights.append(self.heights[-1] // layer.stride * (2 if layer.shuffle else 1))
        self.contract, self.residual, self.expand = (
            [index for index, layer in enumerate(self.layers) if part in layer.name]
            for part in ("contract", "residual", "expand")
        )

    @torch.no_grad()
    def paint(self, picture: Tensor) -> Iterator[float]:
        work = list(self._work())
        done, total = 0.0, sum(work)
        for events, share in zip(self._steps(picture), work, strict=True):
            for event in events:
                yield (done + event * share) / total
            done += share

    def _steps(self, picture: Tensor) -> Iterator[Iterator[float]]:
        """Yield the steps of the run, to be exhausted one after the other.

        Each step yields the share of it that is done.
        """
        *contract, last = self.contract
        yield from map(self._gather, contract)
        yield self._keep(last)
        x = self.kept[last]
        y = torch.empty_like(x)
        for index in self.residual[::2]:
            yield self._residual_block(index, x, y)
        first, *expand, last = self.expand
        self.kept = {first - 1: x}
        del x, y
        yield self._keep(first)
        del self.kept[first - 1]
        yield from map(self._gather, expand)
        yield self._paint(last, picture)

    def height(self, index: int) -> int:
        """Return the height of a layer's output; -1 is the index of the photo's phases."""
        return self.heights[index + 1]

    def _bands(self, index: int) -> list[tuple[int, int]]:
        """Return the first and last row of each band of a layer's output, before shuffling."""
        height = self._unshuffled(index)
        count = max(1, round(2 * self.heights[0] / self.rows_in_band))
        return list(pairwise(height * band // count for band in range(count + 1)))

    def _unshuffled(self, index: int) -> int:
        return self.height(index) // (2 if self.layers[index].shuffle else 1)

    def _work(self) -> Iterator[float]:
        """Yield the relative work of each step: all convolutions since the last kept map."""
        again = 0.0
        for index, layer in enumerate(self.layers):
            weights = self.network.convolutions[layer.name].get_parameter("weight").numel()
            again += weights * self._unshuffled(index) ** 2
            if index in (self.contract[-1], self.expand[0], self.expand[-1]) or layer.skip == -1:
                yield again
                again = 0.0
            elif not layer.skip:
                yield again if self._is_unknown(index) else 0.0

    def rows(self, index: int, top: int, bottom: int) -> Tensor:
        """Return rows of a layer's output, or of the photo's phases if ``index`` is -1."""
        if index == -1:
            return self._photo(top, bottom)
        if not self.layers[index].shuffle:
            return self._before_shuffling(index, top, bottom)
        first, last = top // 2, (bottom + 1) // 2
        x = shuffled(self.layers[index], self._before_shuffling(index, first, last))
        return x[..., top - 2 * first : bottom - 2 * first, :]

    def _before_shuffling(self, index: int, top: int, bottom: int) -> Tensor:
        if index in self.kept:
            return self.kept[index][..., top:bottom, :]
        return self._finished(index, self._convolved(index, top, bottom))

    def _photo(self, top: int, bottom: int) -> Tensor:
        """Return rows of the photo's phases, padded by reflection to a multiple of ``STRIDE``."""
        height, width = self.image.shape[-2:]
        top, bottom = 2 * top, 2 * bottom
        x = self.image[..., top : min(bottom, height), :]
        if bottom > height:
            beyond = self.image[..., 2 * height - 1 - bottom : height - 1, :].flip(2)
            x = torch.cat([x, beyond], dim=2)
        if width % STRIDE:
            x = functional.pad(x, (0, -width % STRIDE, 0, 0), "reflect")
        return phases_of(self.network.seen(x, self.style).to(self.network.dtype))

    def _convolved(self, index: int, top: int, bottom: int) -> Tensor:
        """Return rows of a layer's convolution, before normalisation and shuffling."""
        layer = self.layers[index]
        first = top * layer.stride - layer.margin
        last = (bottom - 1) * layer.stride + layer.end + 1
        inside = max(0, first), min(self.height(index - 1), last)
        x = self.rows(index - 1, *inside)
        return self.network.convolved(layer, x, inside[0] - first, last - inside[1])

    def _finished(self, index: int, x: Tensor) -> Tensor:
        """Normalise and activate the output of a layer's convolution."""
        statistics, style = self.statistics[index], self.gains_and_shifts[index]
        if statistics is not None and style is not None:
            x, _ = normalised(self.layers[index], x, *style, statistics)
        return activated(self.layers[index], x)

    def _is_unknown(self, index: int) -> bool:
        return self.layers[index].normalised and self.statistics[index] is None

    def _set_statistics(self, index: int, gathered: _Gathered) -> None:
        """Use the accumulated statistics for a layer, unless it has statistics already."""
        if self._is_unknown(index):
            self.statistics[index] = gathered.result()

    def _gather(self, index: int) -> Iterator[float]:
        """Compute a layer's statistics, unless they are known."""
        if not self._is_unknown(index):
            return
        gathered, bands = _Gathered(), self._bands(index)
        for top, bottom in bands:
            gathered.add(self.layers[index], self._convolved(index, top, bottom))
            yield bottom / bands[-1][1]
        self.statistics[index] = gathered.result()

    def _keep(self, index: int) -> Iterator[float]:
        """Compute and keep the whole output of a layer, before shuffling."""
        whole = yield from self._raw(index)
        for top, bottom in self._bands(index):
            band = whole[..., top:bottom, :]
            band.copy_(self._finished(index, band))
        self.kept[index] = whole

    def _raw(self, index: int) -> Generator[float, None, Tensor]:
        """Return the whole convolution of a layer before normalisation, and set its statistics."""
        gathered, bands = _Gathered(), self._bands(index)
        whole: Tensor | None = None
        for top, bottom in bands:
            band = self._convolved(index, top, bottom)
            if whole is None:
                shape = (*band.shape[:2], bands[-1][1], band.shape[3])
                whole = band.new_empty(shape).contiguous(memory_format=torch.channels_last)
            gathered.add(self.layers[index], band)
            whole[..., top:bottom, :] = band
            yield bottom / bands[-1][1]
        assert whole is not None
        self._set_statistics(index, gathered)
        return whole

    def _residual_block(self, index: int, x: Tensor, y: Tensor) -> Iterator[float]:
        """Add the block of layers ``index`` and ``index`` + 1 to ``x``; ``y`` is overwritten."""
        self.kept = {index - 1: x}
        first, second = self.layers[index : index + 2]
        bands, margin = self._bands(index), second.margin
        gathered = _Gathered()
        for top, bottom in bands:
            band = self._convolved(index, top, bottom)
            gathered.add(first, band)
            y[..., top:bottom, :] = band
            yield 0.5 * bottom / bands[-1][1]
        self._set_statistics(index, gathered)
        for top, bottom in bands:
            y[..., top:bottom, :] = self._finished(index, y[..., top:bottom, :])
        gathered, above = _Gathered(), y[..., :0, :]
        for top, bottom in bands:
            # The rows that are overwritten here are also the margin above the next band.
            surrounded = torch.cat([above, y[..., top : bottom + margin, :]], dim=2)
            above = y[..., bottom - margin : bottom, :].clone()
            mirrored = margin * (top == 0), margin * (bottom == y.shape[-2])
            band = self.network.convolved(second, surrounded, *mirrored)
            gathered.add(second, band)
            y[..., top:bottom, :] = band
            yield 0.5 + 0.5 * bottom / bands[-1][1]
        self._set_statistics(index + 1, gathered)
        for top, bottom in bands:
            x[..., top:bottom, :] += self._finished(index + 1, y[..., top:bottom, :])

    def _paint(self, index: int, picture: Tensor) -> Iterator[float]:
        """Compute the last layer into the picture, and normalise and activate it there."""
        layer, style = self.layers[index], self.gains_and_shifts[index]
        height, width = picture.shape[-2:]
        gathered, bands = _Gathered(), self._bands(index)
        for top, bottom in bands:
            band = self._convolved(index, top, bottom)
            if layer.normalised:
                gathered.add(layer, band)
            else:
                band = activated(layer, band)
            rows = slice(2 * top, min(2 * bottom, height))
            picture[..., rows, :] = shuffled(layer, band)[..., : rows.stop - rows.start, :width]
            yield bottom / bands[-1][1]
        if not layer.normalised:
            return
        self._set_statistics(index, gathered)
        whole = replace(layer, phases=1)
        statistics = self.statistics[index]
        assert style is not None
        assert statistics is not None
        for top in range(0, height, self.rows_in_band):
            band = picture[..., top : top + self.rows_in_band, :]
            painted, _ = normalised(whole, band, *style, statistics)
            band.copy_(activated(whole, painted))
