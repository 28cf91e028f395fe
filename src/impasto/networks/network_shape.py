"""The shape of a learned network: its blocks and channels. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Channels = Annotated[int, Field(ge=1, le=256)]
NetworkSize = Literal["fast", "fine"]
COLOURS = 3
COLOUR_MAP_SIZE = 30
"""Coefficients of a map of colours (networks/colour_map.py)."""
KERNEL = 3
"""Size of every convolution but the first and the last, px."""


class NetworkShape(BaseModel):
    """The number of blocks and channels of a learned network.

    Attributes:
        blocks: The number of residual blocks, at a quarter of the picture's size.
        full: The channels at the full size.
        half: The channels at half of the size.
        quarter: The channels at a quarter of the size.
        edge_kernel: The size of the first and the last convolution, px.
        reads_full_size: Whether a layer reads the photo at its full size. Otherwise the first
            layer halves it.
        normalised: Whether the layers but the last are normalised. Instance normalisation takes the
            brightness and contrast of a whole photo away, so a network that repaints each place by
            its own brightness has biases instead, and sees the photo through a map of colours.
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
        """The outputs, inputs and kernel size of each convolution, by its name and in order."""
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
        """The shape of each parameter, by its name.

        Normalised layers have a gain and a shift for each channel, all of which are in ``style``:
        the gains of all layers, then the shifts. The others have a bias. Without any normalised
        layer, ``style`` is a map of colours.
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
"""The networks that ``impasto learn`` trains; benchmarks/learn.py measures their speed."""
