"""The forward and backward pass of the encoder, where a step spends its time and memory.

Autograd would keep every intermediate result and allocate every gradient. Here the losses work in
place on one running gradient. The features of a block of layers are either kept for the backward
pass or computed again there, in bands of rows if even one block is too large for the memory. Bands
overlap by as many rows as their convolutions reach, so that the gradient is the same.

``AutogradEngine`` has the same interface and leaves the gradient to PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.base.devices import Kernel
from impasto.base.errors import ImageError
from impasto.networks.kernels.convolution import Convolution, best_memory_format
from impasto.networks.layers import LAYER_NAMES, canonical
from impasto.networks.vgg19 import VGG19

KEEP = 0
"""Stands for a number of bands: the block's features are kept for the backward pass."""


class Tap(Protocol):
    """The part of a loss that works on the features of one layer."""

    def look(self, features: Tensor, top: int) -> None:
        """Gather from some rows of the features, (1, C, h, W), which begin at row ``top``.

        The forward pass calls it once for each row.
        """
        ...

    def pull(self, features: Tensor, gradient: Tensor, top: int) -> None:
        """Add the loss's gradient with respect to these features to ``gradient``, in place."""
        ...


Taps = Mapping[str, Sequence[Tap]]
"""The taps in each layer, by its canonical name."""


class FeatureEngine(Protocol):
    """Runs the encoder forward and backward for the losses."""

    encoder: VGG19
    bands: Sequence[int]

    def forward(self, image: Tensor, taps: Taps, *, keep: bool = True) -> Any:
        """Pass the features of ``image`` (1, 3, H, W) to ``taps``. Returns what ``backward`` needs,
        nothing without ``keep``.
        """
        ...

    def backward(self, done: Any, taps: Taps) -> Tensor:
        """Return the gradient, with respect to the image (1, 3, H, W), of what ``taps`` pull."""
        ...


@dataclass
class Pass:
    """The state between a forward and a backward pass: the input of each block, and the outputs
    of all layers in those blocks that are kept.
    """

    blocks: list[list[str]]
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[list[Output]] = field(default_factory=list)


@dataclass
class Output:
    """The output of one layer; for max pooling, also the indices of the maxima."""

    name: str
    features: Tensor  # (1, C, H, W)
    indices: Tensor | None = None


class Engine:
    """Runs an encoder up to the highest of ``layers``.

    ``bands`` has a number for each block: KEEP, or the number of bands of rows in which the
    backward pass computes the block again. ``kernel`` is one of ``networks.convolution``.
    """

    def __init__(
        self,
        encoder: VGG19,
        layers: Iterable[str],
        *,
        bands: Sequence[int] = (KEEP,) * 5,
        kernel: Kernel | None = None,
    ) -> None:
        self.encoder, self.bands = encoder, bands
        names = _up_to_the_highest(layers)
        self.convolutions = {
            name: Convolution(*encoder.kernel(name), kernel) for name in names if "conv" in name
        }
        self.memory_format = self.convolutions[names[0]].memory_format

    @torch.no_grad()
    def forward(self, image: Tensor, taps: Taps, *, keep: bool = True) -> Pass:
        """Pass the features of ``image`` (1, 3, H, W) to ``taps``. Without ``keep``, there is no
        backward pass, and next to nothing stays in memory.
        """
        done = Pass(_blocks(taps))
        x = self.encoder.preprocess(image).to(self.encoder.dtype)
        x = x.contiguous(memory_format=self.memory_format)
        for block, bands in zip(done.blocks, self.bands, strict=False):
            outputs: list[Output] = []
            if keep:
                done.inputs.append(x)
                done.outputs.append(outputs)
            if bands == KEEP:
                for output in self._through(block, x):
                    _look(taps, output, output.features, 0)
                    if keep:
                        outputs.append(output)
                    x = output.features
            else:
                x = self._forward_in_bands(block, x, bands, taps)
        return done

    @torch.no_grad()
    def backward(self, done: Pass, taps: Taps) -> Tensor:
        """Return the gradient of what ``taps`` pull with respect to the image, (1, 3, H, W),
        float32. Empties ``done``.
        """
        gradient: Tensor | None = None
        for block, bands in reversed(list(zip(done.blocks, self.bands, strict=False))):
            x, outputs = done.inputs.pop(), done.outputs.pop()
            if bands == KEEP:
                gradient = self._back(outputs, gradient, taps, 0)
            else:
                gradient = self._backward_in_bands(block, x, bands, gradient, taps)
        assert gradient is not None
        exact = torch.promote_types(gradient.dtype, torch.float32)
        return self.encoder.preprocess_gradient(gradient.to(exact)).contiguous()

    def _through(self, block: list[str], x: Tensor) -> Iterator[Output]:
        """Yield the output of each layer of a block for the block's input."""
        for name in block:
            if name in self.convolutions:
                output = Output(name, self.convolutions[name].forward(x))
            elif min(x.shape[-2:]) < 2:
                raise ImageError(f"the image is too small: nothing of it is left above {name}")
            elif self.encoder.pooling == "max":
                pooled, indices = torch.ops.aten.max_pool2d_with_indices(x, [2, 2], [2, 2])
                output = Output(name, pooled, indices)
            else:
                output = Output(name, torch.ops.aten.avg_pool2d(x, [2, 2], [2, 2]))
            yield output
            x = output.features

    def _back(self, outputs: list[Output], gradient: Tensor | None, taps: Taps, top: int) -> Tensor:
        """Return the gradient of a block's input, given that of its output. Empties ``outputs``."""
        while outputs:
            output = outputs.pop()
            name, features = output.name, output.features
            if gradient is None:
                gradient = torch.zeros_like(features)
            for tap in taps.get(name, ()):
                tap.pull(features, gradient, _row(name, top))
            if name in self.convolutions:
                torch.ops.aten.threshold_backward.grad_input(
                    gradient, features, 0, grad_input=gradient
                )
                gradient = self.convolutions[name].backward(gradient)
            elif output.indices is not None:
                gradient = torch.ops.aten.max_pool2d_with_indices_backward(
                    gradient, outputs[-1].features, [2, 2], [2, 2], [0, 0], [1, 1], False,
                    output.indices,
                )  # fmt: skip
            else:
                gradient = torch.ops.aten.avg_pool2d_backward(
                    gradient, outputs[-1].features, [2, 2], [2, 2], [0, 0], False, True, None
                )
        assert gradient is not None
        return gradient

    def _forward_in_bands(self, block: list[str], x: Tensor, bands: int, taps: Taps) -> Tensor:
        """Return the block's output for its input, computed band by band."""
        reach = sum(name in self.convolutions for name in block)
        whole: Tensor | None = None
        for first, last in _bands(x.shape[2], bands):
            top, bottom = _widened(first, last, reach, x.shape[2])
            for output in self._through(block, self._rows(x, top, bottom)):
                rows = output.features[
                    :, :, _row(output.name, first - top) : _row(output.name, last - top)
                ]
                _look(taps, output, rows, _row(output.name, first))
            if whole is None:
                height = _row(output.name, x.shape[2])
                whole = self._empty(rows, height)
            whole[:, :, _row(output.name, first) : _row(output.name, last)] = rows
        assert whole is not None
        return whole

    def _backward_in_bands(
        self,
        block: list[str],
        x: Tensor,
        bands: int,
        gradient: Tensor | None,
        taps: Taps,
    ) -> Tensor:
        """Return the gradient of a block's input, given that of its output, band by band."""
        # A row's gradient needs the features as far as the convolutions reach, and these again
        # their neighbours.
        reach = 2 * sum(name in self.convolutions for name in block)
        whole = self._empty(x, x.shape[2])
        for first, last in _bands(x.shape[2], bands):
            top, bottom = _widened(first, last, reach, x.shape[2])
            outputs = list(self._through(block, self._rows(x, top, bottom)))
            above = None
            if gradient is not None:
                name = block[-1]
                above = gradient[:, :, _row(name, top) : _row(name, bottom)].clone(
                    memory_format=self.memory_format
                )
            below = self._back(outputs, above, taps, top)
            whole[:, :, first:last] = below[:, :, first - top : last - top]
        return whole

    def _rows(self, x: Tensor, top: int, bottom: int) -> Tensor:
        return x[:, :, top:bottom].contiguous(memory_format=self.memory_format)

    def _empty(self, like: Tensor, height: int) -> Tensor:
        """Return a new tensor (1, C, ``height``, W)."""
        shape = (1, like.shape[1], height, like.shape[3])
        return torch.empty(
            shape, dtype=like.dtype, device=like.device, memory_format=self.memory_format
        )


class AutogradEngine:
    """The encoder as PyTorch computes it, its gradient by autograd: the reference for ``Engine``.

    It has the same interface and the same results, keeps all features, and ignores ``bands``.
    """

    def __init__(self, encoder: VGG19) -> None:
        self.memory_format = best_memory_format(encoder.device)
        self.encoder = encoder.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        self.bands: Sequence[int] = (KEEP,) * 5

    def forward(self, image: Tensor, taps: Taps, *, keep: bool = True) -> AutogradPass:
        """Pass the features of ``image`` (1, 3, H, W) to ``taps``."""
        with torch.set_grad_enabled(keep):
            image = image.detach().requires_grad_(keep)
            x = self.encoder.preprocess(image).to(self.encoder.dtype)
            x = x.contiguous(memory_format=self.memory_format)
            features = self.encoder.features(x, taps)
        for layer, output in features.items():
            for tap in taps[layer]:
                tap.look(output.detach(), 0)
        return AutogradPass(image, features)

    def backward(self, done: AutogradPass, taps: Taps) -> Tensor:
        """Return the gradient, with respect to the image (1, 3, H, W), of what ``taps`` pull."""
        gradients = []
        for layer, output in done.features.items():
            gradient = torch.zeros_like(output)
            for tap in taps[layer]:
                tap.pull(output.detach(), gradient, 0)
            gradients.append(gradient)
        (result,) = torch.autograd.grad(list(done.features.values()), done.image, gradients)
        return result


@dataclass
class AutogradPass:
    """The state between a forward and a backward pass: the image and the tapped outputs."""

    image: Tensor  # (1, 3, H, W)
    features: dict[str, Tensor]  # (1, C, h, w) each


def _look(taps: Taps, output: Output, rows: Tensor, top: int) -> None:
    for tap in taps.get(output.name, ()):
        tap.look(rows, top)


def _up_to_the_highest(layers: Iterable[str]) -> tuple[str, ...]:
    return LAYER_NAMES[: 1 + max(LAYER_NAMES.index(canonical(layer)) for layer in layers)]


def _blocks(layers: Iterable[str]) -> list[list[str]]:
    """Return the names of the layers up to the highest of ``layers``, block by block."""
    names = _up_to_the_highest(layers)
    return [list(block) for _, block in groupby(names, key=lambda name: name[:6])]


def _row(name: str, row: int) -> int:
    """Return the row of a layer's output where a row of its block's input lies."""
    return row // 2 if name.endswith("pool") else row


def _bands(height: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield the first and last rows of about ``count`` bands. Each begins at an even row, because
    pooling requires it.
    """
    rows = max(2, -(-height // count // 2) * 2)
    for first in range(0, height, rows):
        yield first, min(first + rows, height)


def _widened(first: int, last: int, reach: int, height: int) -> tuple[int, int]:
    return max(0, first - reach - reach % 2), min(height, last + reach)
