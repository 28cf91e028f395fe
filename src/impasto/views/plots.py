"""Figures: the tutorial's, and of runs. All return a matplotlib Figure and show nothing.

Images are Pictures, or anything that ``impasto.read`` takes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from impasto.base import extras
from impasto.base.logs import quiet_logger
from impasto.images.picture import Picture
from impasto.images.read import Source, read
from impasto.losses.total_variation import deltas
from impasto.networks.layers import LAYER_NAMES
from impasto.runs.history import History
from impasto.settings.objective import ObjectiveSettings
from impasto.settings.recipe import Recipe

# Where the home folder can't be written to, matplotlib keeps its fonts in a temporary folder. It
# says so at length, and there is nothing that the user should do about it.
extras.require("plots")
with quiet_logger("matplotlib"):
    from matplotlib.figure import Figure, SubFigure

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


def inputs(content: Source, style: Source) -> Figure:
    """Both images."""
    figure = _figure(columns=2, rows=1)
    images = {"Content image": _array_of(content), "Style image": _array_of(style)}
    _images(figure, images)
    return figure


def edges(image: Source, which: str = "original") -> Figure:
    """The horizontal and vertical deltas whose size is the total variation, and the Sobel edges,
    as in the tutorial.
    """
    picture = read(image)
    figure = _figure(columns=2, rows=2)
    parts = figure.subfigures(2, 1, squeeze=False)[:, 0]
    _deltas(parts[0], picture, which)
    horizontal, vertical = sobel(picture.rgb)
    _images(
        parts[1],
        {
            f"Horizontal Sobel edges: {which}": _rgb(horizontal / 4 + 0.5),
            f"Vertical Sobel edges: {which}": _rgb(vertical / 4 + 0.5),
        },
    )
    return figure


def sobel(image: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel's differences along y and x of each channel, edges mirrored: (1, 3, H, W) → the same
    twice, as ``tf.image.sobel_edges``.
    """
    kernel = image.new_tensor([[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
    kernels = torch.stack([kernel, kernel.T])[:, None]  # (2, 1, 3, 3)
    padded = functional.pad(image, (1, 1, 1, 1), "reflect")
    found = functional.conv2d(padded.transpose(0, 1), kernels)  # (3, 2, H, W)
    return found[:, 0][None], found[:, 1][None]


def losses(
    history: History,
    *,
    over: Literal["steps", "seconds"] = "steps",
    by: Literal["term", "layer"] = "term",
    width: float = 7.0,
) -> Figure:
    """A run's losses, by term or by layer of the network, over steps or seconds; logarithmic. Where
    the size changed, at dotted lines, other losses begin.
    """
    figure = Figure(figsize=(width, width * 0.6), layout="constrained")
    axis = figure.subplots()
    points = history.points
    x = [point.step if over == "steps" else point.seconds for point in points]
    names = (
        ["content", "style", "tv", "total"]
        if by == "term"
        else sorted({name for point in points for name in point.layers})
    )
    for name in names:
        values = [
            getattr(point, name) if by == "term" else point.layers.get(name, 0) for point in points
        ]
        if any(values):
            axis.plot(x, values, label=name, linewidth=2.2 if name == "total" else 1.2)
    for before, after, place in zip(points, points[1:], x[1:], strict=False):
        if before.scale != after.scale:
            axis.axvline(place, color="grey", linestyle=":", linewidth=0.8)
    axis.set_yscale("log")
    axis.set_xlabel("step" if over == "steps" else "seconds")
    axis.set_ylabel("weighted loss")
    if axis.lines:
        _legend(axis)
    return figure


def convergence(histories: Mapping[str, History], *, over: str = "seconds") -> Figure:
    """Several runs' lowest totals so far on one axis, each over its own first one: objectives
    differ, so only how fast each falls can be compared.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.subplots()
    for name, history in histories.items():
        points = [p for p in history.points if p.scale == history.points[-1].scale]
        if points:
            x = [point.seconds if over == "seconds" else point.step for point in points]
            best = np.minimum.accumulate([point.total for point in points])
            axis.plot(x, best / points[0].total, label=name)
    axis.set_xscale("symlog" if over == "seconds" else "linear")
    axis.set_yscale("log")
    axis.set_xlabel(over)
    axis.set_ylabel("total loss over that at the start of the last size")
    _legend(axis)
    return figure


def _legend(axis: Any) -> None:
    """Add a legend of names, in which $ is no formula, if anything has a name."""
    if not axis.get_legend_handles_labels()[1]:
        return
    for text in axis.legend(fontsize=8).get_texts():
        text.set_parse_math(False)


def contact_sheet(images: Mapping[str, Source], *, columns: int = 4) -> Figure:
    """Pictures in rows, with their names."""
    rows = -(-len(images) // columns)
    figure = _figure(columns=min(columns, len(images)), rows=rows, inches=3)
    axes = np.atleast_1d(figure.subplots(rows, min(columns, len(images)))).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, (name, image) in zip(axes, images.items(), strict=False):
        axis.imshow(_array_of(image))
        axis.set_title(name, fontsize=9, parse_math=False)
    return figure


def pipeline(content: Source, style: Source, stylized: Source, recipe: Recipe) -> Figure:
    """How one becomes of two: the photo and the painting through the network's layers, those that
    the recipe compares marked, and the picture.
    """
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=[1, 1.5, 1], squeeze=False)[0]
    top, bottom = left.subplots(2, 1)
    for axis, image, title in ((top, content, "Content image"), (bottom, style, "Style image")):
        axis.imshow(_array_of(image))
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    content_layers: Mapping[str, float] = {}
    style_layers: Mapping[str, float] = {}
    if isinstance(recipe, ObjectiveSettings):
        content_layers, style_layers = recipe.content_layers, recipe.style_layers
    axis = middle.subplots()
    for row, name in enumerate(LAYER_NAMES):
        block = int(name[5])
        half = 1.0 / 2 ** (block - 1)
        marks = {"content": name in content_layers, "style": name in style_layers}
        color = {(True, True): "#8a4fbf", (True, False): "#2f6fb0", (False, True): "#c2571a"}.get(
            (marks["content"], marks["style"]), "#cfc8bd"
        )
        axis.barh(row, 2 * half, left=-half, color=color, height=0.8)
        axis.text(1.08, row, name, va="center", fontsize=6.5)
    axis.invert_yaxis()
    axis.set_title("VGG-19: compared for content (blue), style (orange)", fontsize=9)
    axis.axis("off")
    last = right.subplots()
    last.imshow(_array_of(stylized))
    last.set_title("Stylized image", fontsize=9)
    last.axis("off")
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


def array(picture: Picture) -> Any:
    """(H, W, 3) within [0, 1]."""
    return _rgb(picture.rgb)


def _array_of(image: Source) -> Any:
    return array(read(image))


def _rgb(tensor: Tensor) -> Any:
    """(1, 3, H, W) → (H, W, 3) within [0, 1]."""
    return tensor[0].permute(1, 2, 0).clamp(0, 1).cpu().numpy()
