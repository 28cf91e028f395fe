"""The recipe: every setting of a run, its bounds and its default.

Flags, Python arguments, TOML files and the note inside a picture are all this one schema.
``Recipe`` has the settings of every method. Each method adds its own in a subclass, see
``impasto.settings.methods``. Outside of Python, both are one flat set of names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    model_validator,
)

from impasto.base.errors import RecipeError
from impasto.images.limits import MIN_SIDE_PX
from impasto.images.paper import DEFAULT_DPI, long_side_px, paper_mm
from impasto.settings.fields import Paths, Regions, Text, gigabytes
from impasto.settings.methods import DEFAULT_METHOD, METHODS
from impasto.settings.recipe_files import DEFAULT_PRESET

MAX_SIZE_PX = 32768


class Recipe(BaseModel):
    """Every setting of a run. Immutable. Unknown settings and values out of bounds are refused.

    ``Recipe(...)`` and ``Recipe.model_validate`` return an instance of the schema of the method
    that ``method`` names. The defaults are those of the preset ``studio``;
    docs/choosing-the-look.md explains how they were chosen.

    Raises:
        RecipeError: There is no such method.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    values_before: ClassVar[Mapping[str, Any]] = {}
    """Settings that were added later, with the values that reproduce older pictures."""

    preset: str = Field(
        default=DEFAULT_PRESET, description="the preset that the other settings start from"
    )
    method: str = Field(default=DEFAULT_METHOD, description="the algorithm (impasto methods)")
    size: int = Field(
        default=512,
        ge=0,
        le=MAX_SIZE_PX,
        description="long side of the result, px; 0: as large as the photo",
    )
    print: str | None = Field(
        default=None, description="size it for that paper instead: A2, 30x40cm, 8x10in"
    )
    dpi: int | None = Field(
        default=None,
        ge=10,
        le=2400,
        description="dots per inch, written into the file; 300 with print",
    )
    resize: Literal["antialias", "tutorial"] = Field(
        default="antialias",
        description="resizing of images: bicubic, or as in TensorFlow's tutorial",
    )
    color: Literal["style", "content", "match", "histogram"] = Field(
        default="style",
        description="source of the colours: style is the painting, content the photo; match and"
        " histogram recolour the painting first, by covariance or distribution",
    )
    mask: Text | None = Field(
        default=None,
        description="an image, white where to paint; elsewhere the photo stays",
        json_schema_extra={"file": []},
    )
    region: Regions = Field(
        default={},
        description="a part of the picture with a painting of its own: MASK=PAINTING",
        json_schema_extra={"file": []},
    )
    style_mask: Paths = Field(
        default=(),
        description="an image, white where the painting counts; one for each painting",
        json_schema_extra={"file": []},
    )
    trim: float = Field(
        default=0.0,
        ge=0,
        le=45,
        description="edge of a painting that is left out, % of its long side: a frame, or the edge"
        " of a scan",
    )
    feather: float = Field(
        default=1.0, ge=0, le=50, description="softness of the masks' edges, % of the long side"
    )
    strength: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="0 is the photo, 1 the preset's look, above is wilder",
    )
    mix: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="share of the painted picture in the result; the rest is photo",
    )
    style_scale: float = Field(
        default=1.0,
        ge=0.1,
        le=8,
        description="size of the painting, and its strokes, in the picture",
    )
    device: str = Field(
        default="auto", description="device to compute on: auto, cpu, cuda, cuda:N or mps"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="number format of the network"
    )
    max_memory: Annotated[float | None, BeforeValidator(gigabytes)] = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="upper limit of the memory, GB (or 800MB)",
    )

    def __new__(cls, **values: Any) -> Recipe:
        """Create an instance of the schema of the method that the values name."""
        if cls is Recipe:
            cls = _schema(values)
        return super().__new__(cls)

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_method(cls, values: Any, handler: ModelWrapValidatorHandler[Recipe]) -> Recipe:
        if cls is Recipe and isinstance(values, Mapping):
            return _schema(values).model_validate(values)
        return handler(values)

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

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """Return a recipe, typed as an instance of this schema.

        Raises:
            TypeError: The recipe belongs to another method.
        """
        if not isinstance(recipe, cls):
            raise TypeError(f"a recipe of the method {recipe.method} isn't a {cls.__name__}")
        return recipe

    @classmethod
    def preset_values(
        cls, preset: Mapping[str, Any], explicit: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the settings of a preset, adjusted to the explicit settings that override it."""
        return dict(preset)

    @property
    def is_seamless(self) -> bool:
        """Whether the picture's opposite edges fit together."""
        return False

    @property
    def dots_per_inch(self) -> int | None:
        """``dpi``, or the usual resolution for a print."""
        return self.dpi or (DEFAULT_DPI if self.print else None)

    def long_side(self, height: int, width: int) -> int:
        """Return the long side of the result, px.

        Args:
            height: The height of the photo, px.
            width: The width of the photo, px.

        Raises:
            RecipeError: The print is too large or too small.
        """
        if self.print is None:
            return self.size or max(height, width)
        size = long_side_px(height, width, self.print, self.dots_per_inch or DEFAULT_DPI)
        if not MIN_SIDE_PX <= size <= MAX_SIZE_PX:
            raise RecipeError(
                f"{self.print} at {self.dots_per_inch} dpi would be {size} px long; between"
                f" {MIN_SIDE_PX} and {MAX_SIZE_PX} are possible"
            )
        return size


def _schema(values: Mapping[str, Any]) -> type[Recipe]:
    """Return the schema of the method that settings name, or raise RecipeError."""
    name = values.get("method", DEFAULT_METHOD)
    return METHODS[name if isinstance(name, str) else repr(name)].settings
