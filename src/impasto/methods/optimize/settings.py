"""The settings of the method ``optimize``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from impasto.base.errors import RecipeError
from impasto.settings.fields import Text
from impasto.settings.objective import ObjectiveSettings

INITS = ("content", "noise", "style", "instant")
"""Values of ``init`` that aren't the name of a file."""


class OptimizeSettings(ObjectiveSettings):
    """Every setting of a run of the method ``optimize``."""

    values_before: ClassVar[Mapping[str, Any]] = {
        "plain_style_layers": {},
        "style_goal": 0,
        "figures": 1,
        "palette": 0,
        "polish": 0,
        "kernel": "auto",
    }

    method: Literal["optimize"] = Field(
        default="optimize", description="the algorithm (impasto methods)"
    )
    work_size: int | None = Field(
        default=None,
        ge=32,
        le=32768,
        description="long side to paint at, px, if less than size: the rest is enlarged, guided by"
        " the photo",
    )
    enlarge: Literal["guided", "instant"] = Field(
        default="guided",
        description="enlargement of a picture painted at work_size: guided by the photo's edges, or"
        " with finer strokes by the method instant",
    )
    init: Text = Field(
        default="content",
        description="the image to start from: content, noise, style, instant, or a file",
        json_schema_extra={"file": [*INITS]},
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of the noise")
    steps: int = Field(
        default=160, ge=1, le=1_000_000, description="updates of the image, over all scales"
    )
    until: Literal["steps", "converged"] = Field(
        default="steps",
        description="end of the run: after all steps, or as soon as the loss hardly falls",
    )
    tolerance: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        description="converged: the loss falls by less than this share in 20 steps",
    )
    time_budget: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="seconds of computing after which the run ends, even if steps are left",
    )
    scales: int = Field(
        default=0,
        ge=0,
        le=8,
        description="sizes to go through, each half of the next; 0: from about 128 px on",
    )
    underpaint: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the painting's palette that the photo takes before the first step",
    )
    palette: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="share by which the finished picture's colours are matched to the painting's,"
        " by mean and covariance",
    )
    detail: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the photo's detail that is added when a larger size starts",
    )
    step_ratio: float = Field(
        default=0.6,
        gt=0,
        le=10,
        description="updates at one scale for each one at the scale before",
    )
    polish: int = Field(
        default=18,
        ge=0,
        le=10_000,
        description="number of steps, at most a third of all, that polish the finished picture:"
        " small, averaged steps that see it shifted by a few pixels; fewer above 512 px, by"
        " step_ratio",
    )
    solver: Literal["adam", "lbfgs"] = Field(default="lbfgs", description="optimizer of the image")
    lr: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="step length; by default 0.02 for adam, 1 for lbfgs",
    )
    adam_beta1: float = Field(default=0.9, ge=0, lt=1, description="decay of Adam's first moment")
    adam_beta2: float = Field(
        default=0.999, ge=0, lt=1, description="decay of Adam's second moment"
    )
    adam_epsilon: float = Field(
        default=1e-8, gt=0, allow_inf_nan=False, description="Adam's epsilon"
    )
    adam_epsilon_form: Literal["tensorflow", "torch"] = Field(
        default="torch", description="epsilon added before or after the second moment's correction"
    )
    lbfgs_history: int = Field(
        default=20, ge=1, le=200, description="pairs of vectors that L-BFGS keeps"
    )
    kernel: Literal["auto", "winograd", "onednn", "cudnn", "plain", "autograd"] = Field(
        default="auto",
        description="implementation of the convolutions; auto: the fastest one measured here",
    )
    trace_every: int = Field(default=10, ge=1, description="record the losses every N steps")

    @model_validator(mode="after")
    def _fits_together(self) -> OptimizeSettings:
        if self.seamless and self.enlarge == "instant":
            raise RecipeError("a seamless picture can't be enlarged with the method instant")
        return self

    @property
    def learning_rate(self) -> float:
        """``lr``, or the solver's default."""
        return self.lr if self.lr is not None else {"adam": 0.02, "lbfgs": 1.0}[self.solver]

    @property
    def keeps_photo(self) -> bool:
        """Whether the result is the photo, because no style loss changes it."""
        return self.strength == 0 and self.init == "content"
