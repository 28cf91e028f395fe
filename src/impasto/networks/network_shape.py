"""The shape of a learned network: blocks and channels. This module doesn't import torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Channels = Annotated[int, Field(ge=1, le=256)]
NetworkSize = Literal["fast", "fine"]
COLOURS = 3
COLOUR_MAP_SIZE = 30
"""Number of coefficients of a colour map (networks/colour_map.py)."""
KERNEL = 3
"""Kernel size of every convolution except the first and the last, px."""


class NetworkShape(BaseModel):
    """The number of blocks and channels of a learned network.

    Attributes:
        blocks: The number of residual blocks, at a quarter of the resolution.
        full: The number of channels at full resolution.
        half: The number of channels at half the resolution.
        quarter: The number of channels at a quarter of the resolution.
        edge_kernel: The kernel size of the first and the last convolution, px.
        reads_full_size: Whether the first convolution has stride 1. Otherwise it has stride 2.
        normalised: Whether all layers except the last have instance normalisation. It removes the
            brightness and contrast of the whole photo. A network whose strokes depend on the
            brightness of each place has biases instead, and a colour map before the first layer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    blocks: int = Field(ge=1, le=16)
    full: Channels
    half: Channels
    quarter: Channels
    edge_kernel: Literal[3, 5, 9] = 5
    reads_full_size: bool = False
    normalised: bool = True

    @property
    def convolutions(self) -> dict[str, tuple[int, int, int]]:
        """Name → output channels, input channels and kernel size of each convolution, in order."""
        edge: int = self.edge_kernel
        sizes = self.full, self.half, self.quarter
        contract = sizes if self.reads_full_size else sizes[1:]
        widths = [("contract1", contract[0], edge)]
        widths += [
            (f"contract{number}", channels, KERNEL)
            for number, channels in enumerate(contract[1:], start=2)
        ]
        widths += [
            (f"residual{block}_conv{number}", self.quarter, KERNEL)
            for block in range(1, self.blocks + 1)
            for number in (1, 2)
        ]
        widths += [("expand1", self.half, KERNEL), ("expand2", self.full, KERNEL)]
        widths += [("expand3", COLOURS, edge)]
        inputs = [COLOURS, *(outputs for _, outputs, _ in widths)]
        return {
            name: (outputs, before, kernel)
            for (name, outputs, kernel), before in zip(widths, inputs, strict=False)
        }

    @property
    def tensors(self) -> Mapping[str, tuple[int, ...]]:
        """Name → shape of each parameter.

        A normalised layer has a gain and a shift for each channel. They are in ``style``: first the
        gains of all layers, then the shifts. A layer without normalisation has a bias. In a network
        without normalisation, ``style`` is a colour map.
        """
        convolutions = self.convolutions
        *inner, last = convolutions
        shapes: dict[str, tuple[int, ...]] = {
            f"{name}.weight": (outputs, inputs, kernel, kernel)
            for name, (outputs, inputs, kernel) in convolutions.items()
        }
        for name in [last] if self.normalised else convolutions:
            shapes[f"{name}.bias"] = (convolutions[name][0],)
        channels = sum(convolutions[name][0] for name in inner)
        shapes["style"] = (1, 2 * channels if self.normalised else COLOUR_MAP_SIZE)
        return shapes


SHAPES: Mapping[NetworkSize, NetworkShape] = {
    "fast": NetworkShape(blocks=4, full=8, half=16, quarter=48),
    "fine": NetworkShape(blocks=5, full=24, half=48, quarter=96, reads_full_size=True),
}
"""The networks that ``impasto learn`` trains. Their speed is measured by benchmarks/learn.py."""
