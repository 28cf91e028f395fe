"""Types of settings, which convert the text of flags and TOML files to values.

Nothing here needs torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from impasto.base.errors import RecipeError
from impasto.networks.layers import canonical


def weighted_names(value: Any, kind: str) -> Any:
    """Convert a list of names or ``"a,b:0.5"`` to {name: weight}; return other values unchanged.

    Args:
        value: The value of a setting.
        kind: What the names stand for, for error messages, such as "layer".

    Raises:
        RecipeError: There is no name, or a weight isn't a number.
    """
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
        if not value:
            raise RecipeError(f"no {kind} was named; at least one is needed")
    if isinstance(value, (list, tuple)):
        pairs = [str(part).partition(":") for part in value]
        try:
            return {name.strip(): float(weight or 1) for name, _, weight in pairs}
        except ValueError as error:
            raise RecipeError(f"a {kind}'s weight isn't a number in {value}") from error
    return value


def layer_weights(value: Any) -> Any:
    """Convert layer names, ``"a,b:0.5"`` or a mapping to {canonical name: weight}."""
    value = weighted_names(value, "layer")
    if isinstance(value, Mapping):
        return {canonical(str(name)): weight for name, weight in value.items()}
    return value


def _path_as_text(value: Any) -> Any:
    """Convert a path to text; return other values unchanged."""
    return str(value) if isinstance(value, Path) else value


def _paths(value: Any) -> Any:
    """Convert one path, several, or ``"a.png,b.png"`` to a list of text."""
    if isinstance(value, (str, Path)):
        value = str(value).split(",")
    return [str(path) for path in value] if isinstance(value, (list, tuple)) else value


def _regions(value: Any) -> Any:
    """Convert ``"mask.png=painting.jpg"``, several of these, or a mapping to {mask: painting}."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, (list, tuple)):
        pairs = [str(part).partition("=") for part in value]
        for mask, equals, painting in pairs:
            if not (mask and equals and painting):
                raise RecipeError(
                    f"a region is MASK=PAINTING, as in sky.png=starry.jpg, not {mask!r}"
                )
        if len({mask for mask, _, _ in pairs}) < len(pairs):
            raise RecipeError("two regions have the same mask")
        return {mask: painting for mask, _, painting in pairs}
    if isinstance(value, Mapping):
        return {str(mask): str(painting) for mask, painting in value.items()}
    return value


def gigabytes(value: Any) -> Any:
    """Convert ``"8GB"`` or ``"800 MB"`` to a number of GB; return other values unchanged."""
    if isinstance(value, str) and (
        match := re.fullmatch(r"\s*([\d.]+)\s*([GM])B\s*", value, re.IGNORECASE)
    ):
        return float(match[1]) / (1000 if match[2].upper() == "M" else 1)
    return value


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
LayerWeights = Annotated[dict[str, Weight], BeforeValidator(layer_weights), Field(min_length=1)]
Regions = Annotated[dict[str, str], BeforeValidator(_regions)]
Text = Annotated[str, BeforeValidator(_path_as_text)]
"""Text, or a path that becomes text."""
Paths = Annotated[tuple[str, ...], BeforeValidator(_paths)]
