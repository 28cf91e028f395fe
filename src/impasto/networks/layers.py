"""The names of VGG-19's layers. Nothing here needs torch, so recipes and help texts can use it."""

from __future__ import annotations

import re

from impasto.base.errors import RecipeError, unknown

CONVOLUTIONS_PER_BLOCK = (2, 2, 4, 4, 4)
"""VGG-19 is five blocks of 3×3 convolutions, each block closed by a 2×2 pooling
(Simonyan & Zisserman 2014, table 1, column E)."""

LAYER_NAMES = tuple(
    name
    for block, convolutions in enumerate(CONVOLUTIONS_PER_BLOCK, start=1)
    for name in (
        *(f"block{block}_conv{conv}" for conv in range(1, convolutions + 1)),
        f"block{block}_pool",
    )
)
"""The 21 layers from the image upwards, as Keras calls them."""


def canonical(name: str) -> str:
    """The Keras name of a layer; ``relu4_2``, ``conv4_2`` and ``pool4`` are understood too.

    A layer's output is taken after its ReLU, whatever it is called. Raises RecipeError.
    """
    text = name.strip()
    if match := re.fullmatch(r"(?:relu|conv)(\d)_(\d)", text):
        text = f"block{match[1]}_conv{match[2]}"
    elif match := re.fullmatch(r"pool_?(\d)", text):
        text = f"block{match[1]}_pool"
    if text not in LAYER_NAMES:
        raise RecipeError(unknown("layer", name.strip(), LAYER_NAMES))
    return text


def alias(name: str) -> str:
    """The short name of a layer in most papers: ``block4_conv2`` is ``relu4_2``."""
    block, part = name.removeprefix("block").split("_")
    return f"pool{block}" if part == "pool" else f"relu{block}_{part.removeprefix('conv')}"


def reduction(name: str) -> int:
    """How many times smaller than the picture a layer's output is, per side."""
    return int(2 ** (int(name[5]) - (0 if name.endswith("pool") else 1)))
