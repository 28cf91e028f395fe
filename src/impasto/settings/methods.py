"""The registries of methods and style losses, and what settings and user interfaces know of them.

Nothing here needs torch: a built-in method's module imports it when the method runs.
``methods/base.py`` has the complete interface of a method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, get_origin

from pydantic.fields import FieldInfo

from impasto.base.registry import Registry

if TYPE_CHECKING:
    from impasto.settings.recipe import Recipe

DEFAULT_METHOD = "optimize"


@dataclass(frozen=True)
class Accepts:
    """The inputs that a method accepts besides one photo and one style image."""

    several_styles: bool = True
    """Several styles, blended by their weights."""
    style_images: bool = True
    """Style images. Some methods accept only built-in or learned styles."""
    built_in_styles: bool = False
    """The built-in styles of a pre-trained network, by name, without a style image."""
    learned_styles: bool = False
    """Style files, which ``impasto learn`` writes."""
    regions: bool = True
    """Regions of the picture, each with its own style."""
    style_masks: bool = True
    """Style images of which only a masked part counts."""
    blank_content: bool = False
    """A canvas of one colour instead of a photo, as textures need it."""
    resume: bool = False
    """Runs that continue from a checkpoint."""


class MethodInfo(Protocol):
    """The part of a method that settings and user interfaces read."""

    name: str
    """The value of the setting ``method``: a lower-case identifier."""
    summary: str
    """A description in a few words, without a full stop."""
    settings: type[Recipe]
    """The schema of a run: the settings of every method, and those of this one."""
    accepts: Accepts
    unit: Literal["step", "percent"]
    """The unit of ``Progress.step`` and ``Progress.steps``."""
    typical_seconds: float
    """Approximate time for a picture of 512 px on two CPU cores. The studio runs quick methods
    first, and makes previews with them.
    """

    @property
    def preset(self) -> str:
        """The preset from which the settings start; the method's name if it has no preset file."""
        ...


RESERVED = frozenset({
    "as_json", "bit_depth", "checkpoint", "checkpoint_every", "clip", "codec", "colour",
    "content", "count", "crf", "cut", "debug", "dry_run", "end", "every", "fast", "force",
    "format", "frames_for_keyframes", "grid", "help", "images", "json", "keyframe", "keyframes",
    "learn_time", "limits", "max_megabytes", "max_megapixels", "named", "no_metadata", "output",
    "preset", "preview", "proposed", "quiet", "rate", "recipe", "record", "resume", "save_every",
    "source", "stability", "start", "style", "style_at", "styles", "styles_at", "timelapse",
    "variations",
})  # fmt: skip
"""Names of flags and parameters that commands and functions have besides the settings. No setting
of a method can have one of these names.
"""


def _check_method(name: str, method: MethodInfo) -> None:
    """Raise ValueError if another package's object isn't the method that the package announces."""
    from impasto.settings.recipe import Recipe  # noqa: PLC0415, it needs this module

    settings = getattr(method, "settings", None)
    field = getattr(settings, "model_fields", {}).get("method")
    if getattr(method, "name", None) != name or field is None or field.default != name:
        raise ValueError(f"its name, and its settings' default for method, should be {name}")
    parts = ("summary", "accepts", "unit", "typical_seconds", "preset", "run")
    if isinstance(method, type) or not all(hasattr(method, part) for part in parts):
        raise ValueError("it should be an instance of a subclass of impasto.Method")
    if not issubclass(method.settings, Recipe):
        raise ValueError("its settings should be a subclass of impasto.Recipe")
    _check_fields(method.settings.model_fields, Recipe.model_fields)
    try:
        method.settings().model_dump_json()
        method.settings.model_json_schema()
    except Exception as error:  # its validators and types may raise anything
        raise ValueError(f"its settings can't be written as JSON: {error}") from error


def _check_fields(fields: Mapping[str, FieldInfo], common: Mapping[str, FieldInfo]) -> None:
    """Raise ValueError if a method's setting would conflict with commands or other methods."""
    for name, field in fields.items():
        if field.is_required():
            raise ValueError(f"its setting {name} should have a default")
        if name not in common and name in RESERVED:
            raise ValueError(f"its setting {name} should have another name: {name} is a flag")
        if name in common and not _is_as_narrow(field.annotation, common[name].annotation):
            raise ValueError(f"its setting {name} should have the type that all methods know")


def _is_as_narrow(own: Any, common: Any) -> bool:
    """Return whether a type is the common type, or a subset of its choices."""
    if common is str and get_origin(own) is Literal:
        return all(isinstance(choice, str) for choice in get_args(own))
    is_choice = get_origin(own) is get_origin(common) is Literal
    return bool(own == common or (is_choice and {*get_args(own)} <= {*get_args(common)}))


def _check_style_loss(name: str, loss: Any) -> None:
    """Raise ValueError if an object of another package hasn't got what a style loss has."""
    parts = ("has_goal", "gatherer", "layer_loss")
    if isinstance(loss, type) or not all(hasattr(loss, part) for part in parts):
        raise ValueError(f"a style loss is an object with {', '.join(parts)}")


METHODS: Registry[MethodInfo] = Registry(
    "method",
    "impasto.methods",
    {
        "optimize": "impasto.methods.optimize:OPTIMIZE",
        "instant": "impasto.methods.instant:INSTANT",
        "learned": "impasto.methods.learned:LEARNED",
    },
    _check_method,
)
STYLE_LOSSES: Registry[Any] = Registry(
    "style loss",
    "impasto.losses",
    {
        "gram": "impasto.losses.style:GRAM",
        "moments": "impasto.losses.style:MOMENTS",
        "w2": "impasto.losses.style:W2",
        "swd": "impasto.losses.style:SWD",
        "nearest": "impasto.losses.style:NEAREST",
    },
    _check_style_loss,
)
"""The style losses by name; ``losses/style.py`` has their interface."""


def all_settings() -> dict[str, FieldInfo]:
    """Return the settings of all methods: the common ones first, then those of each method.

    If two methods have a setting of the same name, the field is that of the first method.
    """
    from impasto.settings.recipe import Recipe  # noqa: PLC0415, it needs this module

    found = dict(Recipe.model_fields)
    for _, method in METHODS.usable():
        for name, field in method.settings.model_fields.items():
            found.setdefault(name, field)
    return found


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema of all settings of all methods."""
    from impasto.settings.recipe import Recipe  # noqa: PLC0415, it needs this module

    common = Recipe.model_json_schema()
    schemas = [common, *(method.settings.model_json_schema() for _, method in METHODS.usable())]
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for schema in reversed(schemas):  # for a name in several schemas, the first schema counts
        properties |= schema["properties"]
        definitions |= schema.get("$defs", {})
    properties["method"] = {**properties["method"], "enum": list(METHODS.names())}
    ordered = {name: properties[name] for name in all_settings()}
    return {**common, "properties": ordered, "$defs": definitions}


def bounds(setting: str) -> tuple[float, float]:
    """Return the lowest and the highest value that a setting may have.

    A bound that the schema doesn't have, or that is exclusive, is minus infinity or infinity.
    """
    limits = all_settings()[setting].metadata
    lowest = [limit.ge for limit in limits if getattr(limit, "ge", None) is not None]
    highest = [limit.le for limit in limits if getattr(limit, "le", None) is not None]
    return max(lowest, default=-math.inf), min(highest, default=math.inf)


def method_for_built_in_styles() -> str:
    """Return the name of the first method that has built-in styles."""
    return next(name for name, method in METHODS.usable() if method.accepts.built_in_styles)


def method_for_learned_styles() -> str:
    """Return the name of the first method that accepts style files."""
    return next(name for name, method in METHODS.usable() if method.accepts.learned_styles)
