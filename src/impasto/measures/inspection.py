"""What the network sees in two images, in numbers: the tutorial's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Unpack

import torch
from torch import Tensor

from impasto.base.errors import RecipeError
from impasto.images.limits import Limits
from impasto.images.picture import Picture
from impasto.images.read import Source, read
from impasto.images.sizes import fit_long_side
from impasto.losses.gram import gram_matrix
from impasto.losses.total_variation import deltas, total_variation
from impasto.methods.optimize import memory
from impasto.networks.layers import LAYER_NAMES, alias
from impasto.networks.load import load_encoder
from impasto.networks.vgg19 import VGG19
from impasto.settings.build import build
from impasto.settings.keywords import SettingsKeywords
from impasto.settings.objective import ObjectiveSettings
from impasto.views import html


@dataclass(frozen=True)
class Statistics:
    """Shape, minimum, maximum and mean of a tensor."""

    shape: tuple[int, ...]
    min: float
    max: float
    mean: float

    @classmethod
    def of(cls, tensor: Tensor) -> Statistics:
        mean = float(tensor.double().mean())
        return cls(tuple(tensor.shape), float(tensor.min()), float(tensor.max()), mean)

    def cells(self) -> list[str]:
        """As a row of a table has them."""
        return [_shape(self.shape), *(f"{n:.6g}" for n in (self.min, self.max, self.mean))]


@dataclass(frozen=True)
class LayerSummary:
    """One layer of the network: its names, and its output's shape for the content image."""

    name: str
    alias: str
    shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class Inspection:
    """The figures of the TensorFlow tutorial, section "Intermediate layers for style and content".

    ``style_layer_outputs`` are of the style image; Gram matrices, content layers, deltas and total
    variation of the content image, or ``stylized`` of the stylized one. Shapes are (N, C, H, W).
    """

    layers: tuple[LayerSummary, ...]
    content_image: Statistics
    style_image: Statistics
    style_layer_outputs: Mapping[str, Statistics]
    gram_matrices: Mapping[str, Statistics]
    content_layer_outputs: Mapping[str, Statistics]
    deltas: Mapping[str, Statistics]
    total_variation: float
    stylized_total_variation: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Representations:
    """The tensors behind an Inspection, for pictures: of the style image its layers' features, of
    the content image the Gram matrices (1, C, C) of the style layers.
    """

    style_features: Mapping[str, Tensor]
    grams: Mapping[str, Tensor]


@dataclass(frozen=True)
class Look:
    """Both images as the network sees them: ``numbers``, and the tensors behind them; a notebook
    shows the tables.
    """

    content: Picture
    style: Picture
    stylized: Picture | None
    numbers: Inspection
    features: Mapping[str, Tensor]
    grams: Mapping[str, Tensor]

    def _repr_html_(self) -> str:
        return "".join(
            f"<h4>{title}</h4>{html.table(rows, header)}"
            for title, header, rows in tables(self.numbers)
        )


def look(
    content: Source,
    style: Source,
    *,
    stylized: Source | None = None,
    preset: str = "tutorial",
    limits: Limits | None = None,
    **settings: Unpack[SettingsKeywords],
) -> Look:
    """Look at two images (anything that ``impasto.read`` takes) with the network of a preset, as
    large as it asks for; ``settings`` are recipe keys, such as ``size=256``.

    Raises ImageError, RecipeError, WeightsError, DeviceError.

    >>> seen = impasto.look("photo.jpg", "painting.jpg")
    >>> impasto.plots.gram_matrices(seen.grams).savefig("grams.png")
    """
    recipe = build(settings, preset=preset)
    if not isinstance(recipe, ObjectiveSettings):
        raise RecipeError(f"the method {recipe.method} compares no layers; choose another preset")

    def fitted(source: Source) -> Picture:
        whole = read(source, limits=limits)
        size = recipe.long_side(whole.height, whole.width)
        sides = fit_long_side(whole.height, whole.width, size, recipe.resize)
        memory.check_kept(*sides, "block5_conv4")
        return whole.fitted(size, recipe.resize)

    photo, painting = fitted(content), fitted(style)
    made = None if stylized is None else fitted(stylized)
    numbers, tensors = inspect(photo, painting, recipe, made)
    return Look(photo, painting, made, numbers, tensors.style_features, tensors.grams)


Table = tuple[str, list[str], list[list[str]]]


def tables(numbers: Inspection) -> Iterator[Table]:
    """The numbers as tables: title, header, rows."""
    header = ["layer", "also", "output (N, C, H, W)", "parameters"]
    rows = [[o.name, o.alias, _shape(o.shape), f"{o.parameters:,}"] for o in numbers.layers]
    yield "VGG-19", header, rows
    sections = {
        "Images": {"content": numbers.content_image, "style": numbers.style_image},
        "Style layers, of the style image": numbers.style_layer_outputs,
        "Gram matrices, of the content image": numbers.gram_matrices,
        "Content layers, of the content image": numbers.content_layer_outputs,
        "Neighbour differences, of the content image": numbers.deltas,
    }
    for title, section in sections.items():
        rows = [[name, *statistics.cells()] for name, statistics in section.items()]
        yield title, ["", "shape", "min", "max", "mean"], rows


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


@torch.no_grad()
def inspect(
    content: Picture, style: Picture, recipe: ObjectiveSettings, stylized: Picture | None = None
) -> tuple[Inspection, Representations]:
    """Look at both images with the recipe's encoder and layers, in float32 on the CPU."""
    encoder = load_encoder(
        recipe.weights, pooling=recipe.pooling, unit_activations=recipe.unit_activations
    )
    style_features = encoder(style.rgb, recipe.style_layers)
    outputs = encoder(content.rgb, LAYER_NAMES)
    grams = {name: gram_matrix(outputs[name]) for name in recipe.style_layers}
    x, y = deltas(content.rgb)
    numbers = Inspection(
        layers=tuple(_layer(encoder, name, output) for name, output in outputs.items()),
        content_image=Statistics.of(content.rgb),
        style_image=Statistics.of(style.rgb),
        style_layer_outputs={name: Statistics.of(f) for name, f in style_features.items()},
        gram_matrices={name: Statistics.of(gram) for name, gram in grams.items()},
        content_layer_outputs={
            name: Statistics.of(outputs[name]) for name in recipe.content_layers
        },
        deltas={"x": Statistics.of(x), "y": Statistics.of(y)},
        total_variation=float(total_variation(content.rgb, "l1")),
        stylized_total_variation=(
            None if stylized is None else float(total_variation(stylized.rgb, "l1"))
        ),
    )
    return numbers, Representations(style_features, grams)


def _layer(encoder: VGG19, name: str, output: Tensor) -> LayerSummary:
    own = encoder.convolutions[name].parameters() if name in encoder.convolutions else ()
    parameters = sum(parameter.numel() for parameter in own)
    return LayerSummary(name, alias(name), tuple(output.shape), parameters)
