"""The tutorial's figures. Every function returns a matplotlib Figure and shows nothing."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from impasto.images.picture import Picture
from impasto.losses.total_variation import deltas

INCHES_PER_PANEL = 4.0
MAPS_PER_LAYER = 8


def overview(content: Picture, style: Picture, stylized: Picture | None = None) -> Figure:
    """Content and style image side by side; below them the horizontal and vertical deltas of the
    content image and, if given, of the stylized one, as in the tutorial.
    """
    rows = 2 if stylized is None else 3
    figure = _figure(columns=2, rows=rows)
    parts = figure.subfigures(rows, 1, squeeze=False)[:, 0]
    _images(parts[0], {"Content image": _rgb(content.rgb), "Style image": _rgb(style.rgb)})
    _deltas(parts[1], content, "original")
    if stylized is not None:
        _deltas(parts[2], stylized, "stylized")
    return figure


def feature_maps(features: Mapping[str, Tensor]) -> Figure:
    """The most active channels of each layer (1, C, H, W), a row per layer, strongest first."""
    figure = _figure(columns=MAPS_PER_LAYER, rows=len(features), inches=1.6)
    axes = np.atleast_2d(figure.subplots(len(features), MAPS_PER_LAYER))
    for row, (name, layer) in zip(axes, features.items(), strict=True):
        strongest = layer[0].mean(dim=(1, 2)).argsort(descending=True)[:MAPS_PER_LAYER]
        for axis, channel in zip(row, strongest.tolist(), strict=True):
            axis.imshow(layer[0, channel].cpu().numpy(), cmap="magma")
            axis.set_title(f"{name} [{channel}]", fontsize=6)
            axis.axis("off")
    return figure


def gram_matrices(grams: Mapping[str, Tensor]) -> Figure:
    """Each layer's Gram matrix (1, C, C) as a picture, on a logarithmic scale."""
    figure = _figure(columns=len(grams), rows=1, inches=3)
    axes = np.atleast_1d(figure.subplots(1, len(grams)))
    for axis, (name, gram) in zip(axes, grams.items(), strict=True):
        picture = axis.imshow(np.log10(gram[0].cpu().numpy() + 1), cmap="viridis")
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("channel")
        bar = figure.colorbar(picture, ax=axis, shrink=0.7)
        bar.set_label("log₁₀(G + 1)", fontsize=7)
    return figure


def as_png(figure: Figure, dpi: int = 100) -> bytes:
    """The figure as a PNG file's bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def _figure(columns: int, rows: int, inches: float = INCHES_PER_PANEL) -> Figure:
    return Figure(figsize=(columns * inches, rows * inches * 0.9), layout="constrained")


def _images(part: SubFigure | Figure, images: Mapping[str, Any]) -> None:
    axes = np.atleast_1d(part.subplots(1, len(images)))
    for axis, (title, image) in zip(axes, images.items(), strict=True):
        axis.imshow(image)
        axis.set_title(title)
        axis.axis("off")


def _deltas(part: SubFigure | Figure, picture: Picture, which: str) -> None:
    x, y = deltas(picture.rgb)
    _images(
        part,
        {
            f"Horizontal deltas: {which}": _rgb(2 * x + 0.5),
            f"Vertical deltas: {which}": _rgb(2 * y + 0.5),
        },
    )


def _rgb(tensor: Tensor) -> Any:
    """(1, 3, H, W) → (H, W, 3) within [0, 1]."""
    return tensor[0].permute(1, 2, 0).clamp(0, 1).cpu().numpy()
