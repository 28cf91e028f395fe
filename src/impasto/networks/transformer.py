"""The feed-forward network that stylizes a photo in one pass, in a style that is an input.

It has a contracting part, residual blocks and an expanding part (Johnson et al. 2016). Its instance
normalisations take their gains γ and shifts β from the style s (conditional instance
normalisation, Dumoulin et al. 2017, equation 5): x ↦ γ_s (x - μ(x)) / σ(x) + β_s, per channel.

Images are (N, 3, H, W) in [0, 1]. A style is (1, P) or (N, P): the gains, then the shifts, of every
normalised layer in order. Styles may be blended. The style of a network without any normalised
layer is a colour map, which is applied to the photo before the first layer.

Layers at full resolution are computed at half the resolution. An image of C channels is equivalent
to one of half the size with 4·C channels, its *phases*: every other pixel of every other row (pixel
unshuffling, Shi et al. 2016). The input and the output of the network are phases. Enlarging by two
and then convolving is equivalent to one convolution whose output is phases. The result is the same,
but the vector units of the processor are better used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.networks import colour_map

EPSILON = 1e-5
STRIDE = 4
"""Factor by which the contracting part reduces an image."""
PHASES = 4
"""Number of phases of an image."""

Parameters = dict[str, Tensor]
Moments = tuple[Tensor, Tensor]
"""Mean and variance of each channel, (N, C), float32."""
Statistics = list[Moments | None]
"""The moments of each layer's output; None for a layer that isn't normalised."""


@dataclass(frozen=True)
class Layer:
    """A layer: padding, convolution, normalisation and activation, in this order.

    Attributes:
        name: The name of its parameters, without the suffix.
        margin: The number of rows and columns of padding on each side.
        stride: The stride of the convolution.
        padding: ``reflect``; ``replicate``, which before enlarging by two is equivalent to
            reflection after it; or ``phases``, reflection of the image whose phases the input is.
        phases: The number of phases of each output channel, 1 or 4.
        normalised: Whether the output of the convolution is normalised.
        activation: The activation function.
        skip: 1 for the first layer of a residual block, whose input is kept; -1 for the last one,
            to whose output the kept input is added; 0 for all other layers.
        shuffle: Whether the phases of the output are joined to an image of twice the size.
        after: The number of rows below and columns at the right, if it isn't ``margin``.
    """

    name: str
    margin: int
    stride: int = 1
    padding: Literal["reflect", "replicate", "phases"] = "reflect"
    phases: int = 1
    normalised: bool = True
    activation: Literal["relu", "sigmoid", "none"] = "relu"
    skip: Literal[-1, 0, 1] = 0
    shuffle: bool = False
    after: int | None = None

    @property
    def end(self) -> int:
        """The number of rows of padding below, and of columns at the right."""
        return self.margin if self.after is None else self.after


def architecture(blocks: int, *, contraction_normalised: bool) -> tuple[Layer, ...]:
    """Return the layers of Magenta's networks, with ``blocks`` residual blocks."""
    normalised = contraction_normalised
    contract = [
        Layer("contract1", 2, padding="phases", phases=PHASES, normalised=normalised),
        Layer("contract2", 1, after=0, padding="phases", normalised=normalised),  # of stride 2
        Layer("contract3", 1, stride=2, normalised=normalised),
    ]
    return (*contract, *residual_layers(blocks), *expanding_layers(2, normalised=True))


def residual_layers(blocks: int) -> list[Layer]:
    """Return the layers of ``blocks`` residual blocks."""
    return [
        layer
        for index in range(1, blocks + 1)
        for layer in (
            Layer(f"residual{index}_conv1", 1, skip=1),
            Layer(f"residual{index}_conv2", 1, activation="none", skip=-1),
        )
    ]


def expanding_layers(margin: int, *, normalised: bool) -> list[Layer]:
    """Return the layers that enlarge the feature maps by a factor of four.

    Args:
        margin: The margin of the last layer.
        normalised: Whether the last layer is normalised.
    """
    return [
        Layer("expand1", 1, padding="replicate", phases=PHASES, shuffle=True),
        Layer("expand2", 1, padding="replicate", phases=PHASES),
        Layer(
            "expand3",
            margin,
            padding="phases",
            phases=PHASES,
            normalised=normalised,
            activation="sigmoid",
            shuffle=True,
        ),
    ]


class StyleTransformer(nn.Module):
    """The network, for inference.

    Args:
        layers: The layers in order.
        parameters: ``LAYER.weight``, (O, I, k, k), and ``LAYER.bias``, (O,), by name. A normalised
            layer needs no bias, because normalisation removes it.
    """

    def __init__(self, layers: Iterable[Layer], parameters: Parameters) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.channels = {
            layer.name: len(parameters[f"{layer.name}.weight"]) for layer in self.layers
        }
        self.convolutions = nn.ModuleDict()
        for layer in self.layers:
            weight = phase_kernel(layer, parameters[f"{layer.name}.weight"])
            bias = parameters.get(f"{layer.name}.bias")
            bias = None if bias is None else per_phase(layer, bias)
            self.convolutions[layer.name] = _convolution(weight, bias, layer.stride)

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        """Stylize an image.

        Args:
            image: The photo, (N, 3, H, W), in [0, 1], of at least 8 px on each side.
            style: The style, (1, P) or (N, P).

        Returns:
            The picture, (N, 3, H, W).
        """
        return self.painted(image, style)[0]

    @torch.no_grad()
    def painted(
        self,
        image: Tensor,
        style: Tensor,
        statistics: Statistics | None = None,
        *,
        own_share: float = 0.0,
    ) -> tuple[Tensor, Statistics]:
        """Stylize an image, and return the statistics of the feature maps.

        Args:
            image: The photo, (N, 3, H, W), in [0, 1].
            style: The style, (1, P) or (N, P).
            statistics: Statistics of another image to normalise with, by default those of the
                image itself.
            own_share: The share of the image's own statistics that is mixed in, 0 to 1.

        Returns:
            The picture, (N, 3, H, W), and the statistics that its layers were normalised with.
        """
        image = self.seen(image, style)
        height, width = image.shape[-2:]
        extra = (0, -width % STRIDE, 0, -height % STRIDE)
        x = functional.pad(image, extra, "reflect") if any(extra) else image
        x = kept = phases_of(x.to(self.dtype))
        used: Statistics = []
        for index, gain_and_shift in enumerate(self.split(style)):
            layer = self.layers[index]
            if layer.skip == 1:
                kept = x
            x = self.convolved(layer, x)
            used.append(None)
            if gain_and_shift is not None:
                known = statistics[index] if statistics else None
                if known is not None and own_share:
                    known = mixed(known, moments(layer, x), own_share)
                x, used[index] = normalised(layer, x, *gain_and_shift, known)
            x = activated(layer, x)
            if layer.skip == -1:
                x += kept
            x = shuffled(layer, x)
        return x[..., :height, :width], used

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    @property
    def is_normalised(self) -> bool:
        """Whether any layer is normalised."""
        return any(layer.normalised for layer in self.layers)

    def seen(self, photo: Tensor, style: Tensor) -> Tensor:
        """Return a photo, or part of one, after the colour map if the network has one."""
        return photo if self.is_normalised else colour_map.mapped(photo, style)

    def split(self, style: Tensor) -> list[tuple[Tensor, Tensor] | None]:
        """Split a style (N, P) into the gain and shift of each layer, (N, C), or None."""
        if not self.is_normalised:
            return [None] * len(self.layers)
        channels = [self.channels[layer.name] for layer in self.layers if layer.normalised]
        gains, shifts = (iter(torch.split(half, channels, 1)) for half in style.chunk(2, dim=1))
        return [(next(gains), next(shifts)) if layer.normalised else None for layer in self.layers]

    def convolved(
        self, layer: Layer, x: Tensor, above: int | None = None, below: int | None = None
    ) -> Tensor:
        """Pad and convolve. The arguments are those of ``padded``."""
        result: Tensor = self.convolutions[layer.name](padded(layer, x, above, below))
        return result


def phases_of(image: Tensor) -> Tensor:
    """Return the phases (N, 12, h, w) of an image (N, 3, 2h, 2w), as the first layer takes them."""
    phases = functional.pixel_unshuffle(image, 2)
    return phases.contiguous(memory_format=torch.channels_last)


def padded(layer: Layer, x: Tensor, above: int | None = None, below: int | None = None) -> Tensor:
    """Pad the input of a layer's convolution.

    Args:
        layer: The layer.
        x: The input, (N, C, H, W): whole feature maps, or a band of rows of them.
        above: The number of rows to add above. By default, the margin of the layer.
        below: The number of rows to add below. By default, the end of the layer.
    """
    above = layer.margin if above is None else above
    below = layer.end if below is None else below
    sides = (layer.margin, layer.end, above, below)
    if layer.padding == "phases":
        return _pad_phases(x, sides)
    return functional.pad(x, sides, layer.padding)


def normalised(
    layer: Layer, x: Tensor, gain: Tensor, shift: Tensor, known: Moments | None = None
) -> tuple[Tensor, Moments]:
    """Normalise each picture of a batch by itself.

    Args:
        layer: The layer whose output is normalised.
        x: Feature maps (N, C·phases, H, W).
        gain: Standard deviation that each channel gets, (N, C) or (1, C).
        shift: Mean that each channel gets, likewise.
        known: Moments to normalise with; None for those of ``x``.

    Returns:
        The normalised feature maps, and the moments that they were normalised with.
    """

    def for_each(value: Tensor) -> Tensor:  # (N or 1, C) → (N, C·phases)
        return per_phase(layer, value.expand(len(x), -1))

    if known is None and layer.phases == 1:
        return _batch_norm(x, for_each(gain), for_each(shift))
    known = known or moments(layer, x)
    each = for_each(known[0]), for_each(known[1])
    return _batch_norm(x, for_each(gain), for_each(shift), each)[0], known


def moments(layer: Layer, x: Tensor) -> Moments:
    """Return the mean and variance of each channel of each picture, (N, C), float32."""
    ones = x.new_ones(x.shape[:2], dtype=torch.float32)
    mean, variance = _batch_norm(x, ones, ones)[1]  # (N, C·phases)
    if layer.phases == 1:
        return mean, variance
    means, variances = (torch.unflatten(v, 1, (-1, layer.phases)) for v in (mean, variance))
    mean = means.mean(2)
    difference = (means - mean[..., None]).square()
    return mean, (variances + difference).mean(2)


def mixed(known: Moments, own: Moments, own_share: float) -> Moments:
    """Interpolate between the moments of two images."""
    mean, variance = (torch.lerp(a, b, own_share) for a, b in zip(known, own, strict=True))
    return mean, variance


def per_phase(layer: Layer, value: Tensor) -> Tensor:
    """Repeat a value of each channel for its phases: (…, C) → (…, C·phases)."""
    return value.repeat_interleave(layer.phases, dim=-1) if layer.phases > 1 else value


def _batch_norm(
    x: Tensor, gain: Tensor, shift: Tensor, known: Moments | None = None
) -> tuple[Tensor, Moments]:
    """Normalise pictures (N, C, H, W), each by itself, to a gain and a shift (N, C).

    Instance normalisation of N pictures is batch normalisation of a single one with N·C channels.
    Its kernels are several times as fast, and sum in float32.
    """
    shape = x.shape
    if len(x) > 1:  # reshaping a single picture would make its memory format ambiguous
        x = x.reshape(1, -1, *shape[2:])  # (1, N·C, H, W)
    mean, variance = (None, None) if known is None else (known[0].flatten(), known[1].flatten())
    x, used_mean, inverse = torch.native_batch_norm(
        x, gain.flatten(), shift.flatten(), mean, variance, known is None, 0.0, EPSILON
    )
    if known is None:
        variance = (inverse.pow(-2) - EPSILON).clamp(min=0)
        known = used_mean.view(shape[:2]), variance.view(shape[:2])
    return (x.reshape(shape) if shape[0] > 1 else x), known


def activated(layer: Layer, x: Tensor) -> Tensor:
    """Apply the activation of a layer, in place."""
    if layer.activation == "relu":
        return x.relu_()
    return x.sigmoid_() if layer.activation == "sigmoid" else x


def shuffled(layer: Layer, x: Tensor) -> Tensor:
    """Join the phases of the output of a layer to an image, if ``layer.shuffle`` is set."""
    return functional.pixel_shuffle(x, 2) if layer.shuffle else x


def phase_kernel(layer: Layer, weight: Tensor) -> Tensor:
    """Return the kernel that is equivalent to a layer's kernel (O, I, k, k) on phases."""
    of_phases = layer.padding == "phases"
    if layer.phases == 1 and not of_phases:
        return weight
    return _phased(weight, of_phases=of_phases, phases=layer.phases)


def _phased(weight: Tensor, *, of_phases: bool, phases: int = PHASES) -> Tensor:
    """Return the kernel that computes the phases of a convolution of an image of twice the size.

    Args:
        weight: The kernel for the large image, (O, I, k, k).
        of_phases: Whether the input is the phases of the large image, 4·I channels. Otherwise it
            is a small image of I channels, which stands for its enlargement by repeated pixels.
        phases: 4, or 1 for the first phase only, which is a stride of 2.
    """
    out, into, size, _ = weight.shape
    reach = size // 2
    margin = (reach + 1) // 2
    side_out, side_in = (2 if phases > 1 else 1), (2 if of_phases else 1)
    rows = margin + (reach + side_out - 1) // 2 + 1
    kernel = weight.new_zeros(out, side_out, side_out, into, side_in, side_in, rows, rows)
    steps, offsets = range(side_out), range(-reach, reach + 1)
    for i, j, dy, dx in product(steps, steps, offsets, offsets):
        y, x = (i + dy) // 2, (j + dx) // 2  # in the small picture
        phase = ((i + dy) % side_in, (j + dx) % side_in)
        kernel[:, i, j, :, *phase, margin + y, margin + x] += weight[:, :, reach + dy, reach + dx]
    return kernel.flatten(3, 5).flatten(0, 2)


def _pad_phases(x: Tensor, sides: tuple[int, int, int, int]) -> Tensor:
    """Pad phases (N, 4·C, H, W) so that the image they belong to is padded by reflection."""
    left, right, above, below = sides
    padded = functional.pad(x, sides, "replicate")
    by_phase = torch.unflatten(padded, 1, (-1, 2, 2))  # (N, C, 2, 2, H, W)
    for axis, before, after in ((4, above, below), (5, left, right)):
        length = padded.shape[axis - 2] - before - after
        for phase in (0, 1):
            part = by_phase.select(axis - 2, phase)  # (N, C, 2, H, W)
            outside = [*range(-before, 0), *range(length, length + after)]
            for index in outside:
                pixel = abs(2 * index + phase)
                pixel = min(pixel, 2 * (2 * length - 1) - pixel)
                inside = part.select(axis - 1, before + pixel // 2)
                part.select(axis - 1, before + index).copy_(inside)
    return padded


def _convolution(weight: Tensor, bias: Tensor | None, stride: int) -> nn.Conv2d:
    out, into, size, _ = weight.shape
    convolution = nn.Conv2d(into, out, size, stride, bias=bias is not None)
    packed = weight.contiguous(memory_format=torch.channels_last)
    convolution.weight = nn.Parameter(packed, requires_grad=False)
    if bias is not None:
        convolution.bias = nn.Parameter(bias, requires_grad=False)
    return convolution
