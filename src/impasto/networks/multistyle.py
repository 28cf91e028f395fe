"""26 styles that one network has learnt by heart (Dumoulin et al. 2017), Apache-2.0."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.networks.styles import NAMES
from impasto.networks.transformer import StyleTransformer, architecture

BLOCKS = 6
LAYERS = architecture(BLOCKS, contraction_normalised=True)


class Multistyle:
    """``transformer(photo, style(name))`` paints; from the names of the exported graph."""

    def __init__(self, parameters: dict[str, Tensor]) -> None:
        self.transformer = StyleTransformer(
            LAYERS,
            {f"{layer.name}.weight": parameters[f"{_place(layer.name)}.w"] for layer in LAYERS},
        )
        kinds = [
            parameters[f"{_place(layer.name)}.norm.{kind}"]
            for kind in ("gamma", "beta")
            for layer in LAYERS
        ]
        self.styles = torch.cat(kinds, dim=1)  # (26, P)

    def style(self, name: str) -> Tensor:
        """(1, P), CPU, float32."""
        index = NAMES.index(name)
        return self.styles[index : index + 1]


def _place(name: str) -> str:
    """``residual1_conv2`` → ``res.0.1``."""
    if name.startswith("residual"):
        block, convolution = name.removeprefix("residual").split("_conv")
        return f"res.{int(block) - 1}.{int(convolution) - 1}"
    return f"{name[:-1]}.{int(name[-1]) - 1}"
