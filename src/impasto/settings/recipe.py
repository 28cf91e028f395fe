"""The recipe: every setting of a run, its bounds and its default, in one place.

Flags, Python arguments, TOML files and the note inside a picture are all this one schema. A preset
is a partial recipe: a TOML file in ``presets/``, or one of the user's own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from impasto.base.errors import RecipeError, unknown
from impasto.images.limits import MIN_SIDE_PX
from impasto.images.paper import DEFAULT_DPI, long_side_px, paper_mm
from impasto.networks.layers import canonical
from impasto.settings.recipe_files import DEFAULT_PRESET, load_preset, read_recipe_file
from impasto.settings.recipe_files import INITS as INITS

MAX_SIZE_PX = 32768
INSTANT_PRESET = "instant"
STYLE_LOSSES = ("gram", "moments", "w2", "swd", "nearest")
FOR_INSTANT = (
    "preset", "method", "size", "print", "dpi", "resize", "color", "mask", "region", "style_mask",
    "trim", "feather", "strength", "mix", "style_scale", "statistics", "device", "precision",
    "max_memory",
)  # fmt: skip
"""The settings that mean something to the method ``instant``."""


def _weighted_names(value: Any, what: str) -> Any:
    """A list of names or ``"a,b:0.5"`` → {name: weight}; a mapping stays."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
        if not value:
            raise RecipeError(f"no {what} was named; at least one is needed")
    if isinstance(value, (list, tuple)):
        pairs = [str(part).partition(":") for part in value]
        try:
            return {name.strip(): float(weight or 1) for name, _, weight in pairs}
        except ValueError as error:
            raise RecipeError(f"a {what}'s weight isn't a number in {value}") from error
    return value


def _layer_weights(value: Any) -> Any:
    """A list of names, ``"a,b:0.5"`` or a mapping → {canonical name: weight}."""
    value = _weighted_names(value, "layer")
    if isinstance(value, Mapping):
        return {canonical(str(name)): weight for name, weight in value.items()}
    return value


def _path_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _paths(value: Any) -> Any:
    """One path or several, also ``"a.png,b.png"`` → a list of text."""
    if isinstance(value, (str, Path)):
        value = str(value).split(",")
    return [str(path) for path in value] if isinstance(value, (list, tuple)) else value


def _regions(value: Any) -> Any:
    """``"mask.png=painting.jpg"``, or several, or a mapping → {mask: painting}."""
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


def _gigabytes(value: Any) -> Any:
    """``"8GB"`` or ``"800 MB"`` → GB; a plain number is GB already."""
    if isinstance(value, str) and (
        match := re.fullmatch(r"\s*([\d.]+)\s*([GM])B\s*", value, re.IGNORECASE)
    ):
        return float(match[1]) / (1000 if match[2].upper() == "M" else 1)
    return value


def _style_losses(value: Any) -> Any:
    """``"w2"`` or ``"w2:1,nearest:0.5"`` or a mapping → {name: weight}."""
    value = _weighted_names(value, "style loss")
    if isinstance(value, Mapping):
        for name in value:
            if name not in STYLE_LOSSES:
                raise RecipeError(unknown("style loss", str(name), STYLE_LOSSES))
    return value


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
LayerWeights = Annotated[dict[str, Weight], BeforeValidator(_layer_weights), Field(min_length=1)]
Regions = Annotated[dict[str, str], BeforeValidator(_regions)]
Paths = Annotated[tuple[str, ...], BeforeValidator(_paths)]
StyleLosses = Annotated[dict[str, Weight], BeforeValidator(_style_losses), Field(min_length=1)]


def weights_of_blocks(*weights: float) -> dict[str, float]:
    """Weights of the first layers of the encoder's blocks, from block 1 on."""
    return {f"block{block}_conv1": weight for block, weight in enumerate(weights, start=1)}


class Recipe(BaseModel):
    """Every setting of a run. Immutable; what isn't known or out of bounds is refused.

    The defaults are those of the preset ``studio``; docs/choosing-the-look.md tells how they were
    chosen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str = Field(DEFAULT_PRESET, description="the preset that the other settings start from")
    method: Literal["optimize", "instant"] = Field(
        "optimize",
        description="the algorithm: the pixels optimised, or one pass of a feed-forward network",
    )

    # The picture
    size: int = Field(
        512,
        ge=0,
        le=MAX_SIZE_PX,
        description="long side of the result, px; 0: as large as the photo",
    )
    print: str | None = Field(
        None, description="size it for that paper instead: A2, 30x40cm, 8x10in"
    )
    dpi: int | None = Field(
        None, ge=10, le=2400, description="dots per inch, written into the file; 300 with print"
    )
    resize: Literal["antialias", "tutorial"] = Field(
        "antialias", description="how images are resized: bicubic, or as TensorFlow's tutorial does"
    )
    work_size: int | None = Field(
        None,
        ge=32,
        le=32768,
        description="long side to paint at, px, if less than size: the rest is enlarged, guided by"
        " the photo",
    )
    enlarge: Literal["guided", "instant"] = Field(
        "guided",
        description="how what was painted at work_size is enlarged: by the photo's edges, or with"
        " finer strokes by the method instant",
    )
    init: Annotated[str, BeforeValidator(_path_as_text)] = Field(
        "content", description="the image to start from: content, noise, style, instant, or a file"
    )
    color: Literal["style", "content", "match", "histogram"] = Field(
        "style",
        description="whose colours: the painting's, or the photo's (content: its own; match,"
        " histogram: the painting recoloured first, by covariance or distribution)",
    )
    mask: Annotated[str | None, BeforeValidator(_path_as_text)] = Field(
        None, description="an image, white where to paint; elsewhere the photo stays"
    )
    region: Regions = Field(
        {}, description="a part of the picture with a painting of its own: MASK=PAINTING"
    )
    style_mask: Paths = Field(
        (), description="an image, white where the painting counts; one for each painting"
    )
    trim: float = Field(
        0.0,
        ge=0,
        le=45,
        description="how much of a painting's edges doesn't count, % of its long side: frames, and"
        " edges of scans",
    )
    feather: float = Field(
        1.0, ge=0, le=50, description="softness of the masks' edges, % of the long side"
    )
    seamless: bool = Field(False, description="the picture's edges fit together, as for tiles")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the noise")

    # What is measured
    weights: str = Field(
        "vgg19-caffe-q8", description="the encoder's weights (impasto models list)"
    )
    pooling: Literal["max", "avg"] = Field("max", description="the encoder's pooling")
    unit_activations: bool = Field(
        True,
        description="rescale the encoder's layers to a mean activation of 1",
    )
    content_layers: LayerWeights = Field(
        {"block4_conv2": 1.0}, description="layers that represent content, with weights: a,b:0.5"
    )
    style_layers: LayerWeights = Field(
        weights_of_blocks(0.22, 0.35, 0.28, 0.125, 0.025),
        description="layers that represent style, with weights: a,b:0.5",
    )
    plain_style_layers: Annotated[dict[str, Weight], BeforeValidator(_layer_weights)] = Field(
        weights_of_blocks(0.2, 0.165, 0.13, 0.1, 0.066),
        description="style layers' weights, on the scale of style_layers, for paintings in which"
        " nothing is to be recognised; in between, a mixture. By default the same",
    )
    style_loss: StyleLosses = Field(
        {"w2": 1.0},
        description="what of a layer is compared, with weights: gram, moments, w2, swd, nearest",
    )
    content_loss: Literal["features", "self-similarity"] = Field(
        "features", description="compare the features, or how they differ from each other"
    )
    loss_form: Literal["tutorial", "paper", "relative"] = Field(
        "relative",
        description="losses as in the tutorial, as in Gatys' paper, or relative to their targets",
    )
    style_goal: float = Field(
        0.03,
        ge=0,
        allow_inf_nan=False,
        description="style loss at which style and content pull as their weights say; a style that"
        " is harder to reach pulls harder, an easier one less. 0: always as the weights say",
    )
    figures: float = Field(
        0.05,
        ge=0,
        le=1,
        description="how much the things that a painting shows, such as faces, count for its large"
        " shapes: 1 as much as all else, 0 not at all",
    )
    balance: Literal["weights", "gradient"] = Field(
        "weights",
        description="style layers' weights are those of their losses, or their shares of the"
        " gradient",
    )
    strength: float = Field(
        1.0, ge=0, le=100, description="0 is the photo, 1 the preset's look, above is wilder"
    )
    mix: float = Field(
        1.0, ge=0, le=1, description="share of the painted picture in the result; the rest is photo"
    )
    style_scale: float = Field(
        1.0, ge=0.1, le=8, description="size of the painting, and its strokes, in the picture"
    )
    content_weight: Weight = Field(0.065, description="weight of the content loss, alpha")
    style_weight: Weight = Field(1.0, description="weight of the style loss, beta")
    tv_weight: Weight = Field(0.2, description="weight of the total variation loss, gamma")
    tv_norm: Literal["l1", "l2"] = Field(
        "l2", description="total variation: sum of absolute or mean of squared differences"
    )

    statistics: Literal["whole", "thumbnail"] = Field(
        "whole",
        description="instant: normalise by the whole picture, or quicker by a small version of it",
    )

    # How it is minimised
    steps: int = Field(160, ge=1, le=1_000_000, description="updates of the image, over all scales")
    until: Literal["steps", "converged"] = Field(
        "steps", description="when to stop: after all steps, or as soon as the loss hardly falls"
    )
    tolerance: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="converged: the loss falls by less than this share in 20 steps",
    )
    time_budget: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="stop after so many seconds of computing, if the steps aren't done before",
    )
    scales: int = Field(
        0,
        ge=0,
        le=8,
        description="sizes to go through, each half of the next; 0: from about 128 px on",
    )
    underpaint: float = Field(
        0.0,
        ge=0,
        le=1,
        description="how much of the painting's palette the photo takes before it is painted over",
    )
    palette: float = Field(
        1.0,
        ge=0,
        le=1,
        description="how much the colours of the finished picture are matched to the painting's,"
        " by their mean and covariance",
    )
    detail: float = Field(
        0.0,
        ge=0,
        le=1,
        description="how much of the photo's detail is there when a larger size starts",
    )
    step_ratio: float = Field(
        0.6, gt=0, le=10, description="updates at one scale for each one at the scale before"
    )
    polish: int = Field(
        18,
        ge=0,
        le=10_000,
        description="how many of the steps, a third at most, polish the finished picture: small"
        " steps that see it shifted by a few pixels, averaged; above 512 px as many fewer as"
        " step_ratio says",
    )
    solver: Literal["adam", "lbfgs"] = Field("lbfgs", description="how the image is updated")
    lr: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="step length; by default 0.02 for adam, 1 for lbfgs",
    )
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="decay of Adam's first moment")
    adam_beta2: float = Field(0.999, ge=0, lt=1, description="decay of Adam's second moment")
    adam_epsilon: float = Field(1e-8, gt=0, allow_inf_nan=False, description="Adam's epsilon")
    adam_epsilon_form: Literal["tensorflow", "torch"] = Field(
        "torch", description="epsilon added before or after the second moment's correction"
    )
    lbfgs_history: int = Field(20, ge=1, le=200, description="pairs of vectors that L-BFGS keeps")

    # Where it runs, and what is recorded
    device: str = Field("auto", description="where to compute: auto, cpu, cuda, cuda:N or mps")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="what the network computes in"
    )
    kernel: Literal["auto", "winograd", "onednn", "cudnn", "plain", "autograd"] = Field(
        "auto", description="how convolutions are computed; auto: the fastest way measured here"
    )
    max_memory: Annotated[float | None, BeforeValidator(_gigabytes)] = Field(
        None, gt=0, allow_inf_nan=False, description="use at most so much memory, GB (or 800MB)"
    )
    trace_every: int = Field(10, ge=1, description="record the losses every N steps")

    @model_validator(mode="after")
    def _weighs_something(self) -> Recipe:
        if not any(self.style_layers.values()):
            raise RecipeError("the style layers' weights are all zero; nothing would be painted")
        if not any(self.style_loss.values()):
            raise RecipeError("the style losses' weights are all zero; nothing would be painted")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if self.seamless and self.enlarge == "instant":
            raise RecipeError("a seamless picture can't be enlarged with the method instant")
        return self

    @model_validator(mode="after")
    def _has_a_paper(self) -> Recipe:
        if self.print is not None:
            paper_mm(self.print)
        return self

    @model_validator(mode="after")
    def _has_a_size(self) -> Recipe:
        if 0 < self.size < MIN_SIDE_PX:
            raise RecipeError(
                f"size should be at least {MIN_SIDE_PX}, or 0 for the photo's own, not {self.size}"
            )
        return self

    @model_validator(mode="after")
    def _can_be_read_again(self) -> Recipe:
        for path in (self.mask, *self.style_mask, *self.region, *self.region.values()):
            if path in ("", "-"):
                raise RecipeError(
                    f"masks and the paintings of regions should be files, not {path!r}"
                )
        return self

    @property
    def dots_per_inch(self) -> int | None:
        """``dpi``, or the usual for a print."""
        return self.dpi or (DEFAULT_DPI if self.print else None)

    def long_side(self, height: int, width: int) -> int:
        """Of the result, px, for a photo of that size. Raises RecipeError: a print too large."""
        if self.print is None:
            return self.size or max(height, width)
        size = long_side_px(height, width, self.print, self.dots_per_inch or DEFAULT_DPI)
        if not MIN_SIDE_PX <= size <= MAX_SIZE_PX:
            raise RecipeError(
                f"{self.print} at {self.dots_per_inch} dpi would be {size} px long; between"
                f" {MIN_SIDE_PX} and {MAX_SIZE_PX} are possible"
            )
        return size

    @property
    def learning_rate(self) -> float:
        """``lr``, or the solver's default."""
        return self.lr if self.lr is not None else {"adam": 0.02, "lbfgs": 1.0}[self.solver]


def bounds(name: str) -> tuple[float, float]:
    """Return the lowest and the highest value that a setting may have.

    Where the schema has no such bound, or an exclusive one, it is minus infinity or infinity.
    """
    limits = Recipe.model_fields[name].metadata
    lowest = [limit.ge for limit in limits if getattr(limit, "ge", None) is not None]
    highest = [limit.le for limit in limits if getattr(limit, "le", None) is not None]
    return max(lowest, default=-math.inf), min(highest, default=math.inf)


@cache
def _setting_names() -> tuple[str, ...]:
    return tuple(Recipe.model_fields)


def build(
    settings: Mapping[str, Any] | None = None,
    *,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
) -> Recipe:
    """A recipe from its layers, each over the one before: defaults, preset, recipe, ``settings``.

    ``preset`` is a name or a TOML file; ``recipe`` a Recipe, a mapping, or a TOML file or picture
    that holds one. Raises RecipeError.
    """
    if preset is not None and recipe is not None:
        raise RecipeError("a preset and a recipe were both given; choose one of them")
    given = _as_mapping(recipe)
    settings = settings or {}
    asked = settings.get("method", given.get("method"))
    usual = INSTANT_PRESET if asked == "instant" else DEFAULT_PRESET
    base = preset or given.get("preset") or usual
    # A whole recipe stands for itself, even where the preset it came from is no longer at hand.
    whole = set(_setting_names()) - set(ADDED_SETTINGS) <= set(given)
    values = ADDED_SETTINGS if whole else load_preset(str(base))
    if "style_layers" in {**given, **settings}:  # of the user's own: for every kind of painting
        values = {**values, "plain_style_layers": {}}
    if asked and preset and asked != values.get("method", "optimize"):
        raise RecipeError(f"the preset {base} isn't for the method {asked}; leave out one of them")
    built = validate({**values, **given, **settings, "preset": str(base)})
    if built.method == "instant":
        for name in settings:
            if name not in FOR_INSTANT:
                raise RecipeError(f"{name} means nothing to the method instant; leave it out")
    return built


ADDED_SETTINGS = {
    "plain_style_layers": {},
    "style_goal": 0,
    "figures": 1,
    "palette": 0,
    "polish": 0,
    "kernel": "auto",
}
"""What recipes mean that were written down before there were these settings."""


PLAINER = {
    "int_parsing": "a valid integer, such as 1024",
    "float_parsing": "a valid number, such as 0.5",
    "bool_parsing": "yes or no",
}
"""Pydantic's sentences about text that it can't convert, in plainer words."""


def validate(values: Mapping[str, Any]) -> Recipe:
    """Check settings. Raises RecipeError with one sentence about the first one that is wrong."""
    for name in values:
        if name not in _setting_names():
            raise RecipeError(unknown("setting", str(name), _setting_names()))
    try:
        return Recipe.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        setting = ".".join(str(part) for part in first["loc"])
        message = PLAINER.get(first["type"]) or first["msg"]
        message = message.removeprefix("Input should be ").removeprefix("Value error, ")
        raise RecipeError(f"{setting} should be {message}, not {_shown(first['input'])}") from error
    except OverflowError as error:
        raise RecipeError("a setting is a number that is too large") from error


def _shown(value: Any) -> str:
    """Return a value as a sentence has it, in one line of at most 60 characters."""
    try:
        return " ".join(f"{value!r:.60}".split())
    except (ValueError, RecursionError):  # Python writes no number of over 4,300 digits
        return "a value that is too large to be shown"


def _as_mapping(recipe: Recipe | Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    match recipe:
        case None:
            return {}
        case Recipe():
            return recipe.model_dump(mode="json")
        case Mapping():
            return dict(recipe)
        case str() | Path():
            return read_recipe_file(Path(recipe))
        case _:
            raise RecipeError(f"a {type(recipe).__name__} isn't a recipe; give a mapping or a file")
