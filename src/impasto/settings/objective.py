"""The settings of an objective: its layers, its losses and their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from impasto.base.errors import RecipeError, unknown
from impasto.settings.fields import LayerWeights, Weight, layer_weights, weighted_names
from impasto.settings.methods import STYLE_LOSSES
from impasto.settings.recipe import Recipe


def _style_losses(value: Any) -> Any:
    """Convert ``"w2"``, ``"w2:1,nearest:0.5"`` or a mapping to {name: weight}."""
    value = weighted_names(value, "style loss")
    if isinstance(value, Mapping):
        for name in value:
            if name not in STYLE_LOSSES:
                raise RecipeError(unknown("style loss", str(name), STYLE_LOSSES.names()))
    return value


StyleLosses = Annotated[dict[str, Weight], BeforeValidator(_style_losses), Field(min_length=1)]


def _weights_of_blocks(*weights: float) -> dict[str, float]:
    """Return weights for the first layers of the encoder's blocks, from block 1 on."""
    return {f"block{block}_conv1": weight for block, weight in enumerate(weights, start=1)}


class ObjectiveSettings(Recipe):
    """The settings of a method that minimises an ``Objective``."""

    seamless: bool = Field(
        default=False, description="the picture's edges fit together, as for tiles"
    )
    weights: str = Field(
        default="vgg19-caffe-q8", description="the encoder's weights (impasto models list)"
    )
    pooling: Literal["max", "avg"] = Field(default="max", description="the encoder's pooling")
    unit_activations: bool = Field(
        default=True,
        description="rescale the encoder's layers to a mean activation of 1",
    )
    content_layers: LayerWeights = Field(
        default={"block4_conv2": 1.0},
        description="layers that represent content, with weights: a,b:0.5",
    )
    style_layers: LayerWeights = Field(
        default=_weights_of_blocks(0.22, 0.35, 0.28, 0.125, 0.025),
        description="layers that represent style, with weights: a,b:0.5",
    )
    plain_style_layers: Annotated[dict[str, Weight], BeforeValidator(layer_weights)] = Field(
        default=_weights_of_blocks(0.2, 0.165, 0.13, 0.1, 0.066),
        description="style layers' weights, on the scale of style_layers, for paintings in which"
        " nothing is to be recognised; in between, a mixture. By default the same",
    )
    style_loss: StyleLosses = Field(
        default={"w2": 1.0},
        description=f"style losses, with weights: {', '.join(STYLE_LOSSES.names())}",
    )
    content_loss: Literal["features", "self-similarity"] = Field(
        default="features", description="compare the features, or how they differ from each other"
    )
    loss_form: Literal["tutorial", "paper", "relative"] = Field(
        default="relative",
        description="losses as in the tutorial, as in Gatys' paper, or relative to their targets",
    )
    style_goal: float = Field(
        default=0.03,
        ge=0,
        allow_inf_nan=False,
        description="style loss at which style and content pull as their weights say; a style that"
        " is harder to reach pulls harder, an easier one less. 0: always as the weights say",
    )
    figures: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="weight of the things that a painting shows, such as faces, in its large"
        " shapes: 1 as much as all else, 0 not at all",
    )
    balance: Literal["weights", "gradient"] = Field(
        default="weights",
        description="style layers' weights are those of their losses, or their shares of the"
        " gradient",
    )
    content_weight: Weight = Field(default=0.065, description="weight of the content loss, alpha")
    style_weight: Weight = Field(default=1.0, description="weight of the style loss, beta")
    tv_weight: Weight = Field(default=0.2, description="weight of the total variation loss, gamma")
    tv_norm: Literal["l1", "l2"] = Field(
        default="l2", description="total variation: sum of absolute or mean of squared differences"
    )

    @model_validator(mode="after")
    def _weighs_something(self) -> ObjectiveSettings:
        if not any(self.style_layers.values()):
            raise RecipeError("the style layers' weights are all zero; nothing would be painted")
        if not any(self.style_loss.values()):
            raise RecipeError("the style losses' weights are all zero; nothing would be painted")
        return self

    @classmethod
    def preset_values(
        cls, preset: Mapping[str, Any], explicit: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the settings of a preset; layers for plain paintings are dropped where necessary.

        Style layers that the user chooses hold for every painting, so the preset's layers for plain
        paintings don't apply.
        """
        if "style_layers" in explicit:
            return {**preset, "plain_style_layers": {}}
        return dict(preset)

    @property
    def is_seamless(self) -> bool:
        """Whether the picture's opposite edges fit together."""
        return self.seamless

    @property
    def style_strength(self) -> float:
        """``style_weight`` times the square of ``strength``.

        Because of the square, equal steps of ``strength`` look about equal.
        """
        return self.style_weight * self.strength**2

    @property
    def finish_strength(self) -> float:
        """The factor of total variation and palettes, which only accompany the style.

        It is ``strength``, but at most 1.
        """
        return min(1.0, self.strength)
