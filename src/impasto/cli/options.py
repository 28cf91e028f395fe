"""Options that several commands share, and those that are read off the recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from impasto.images.limits import Limits
from impasto.settings.recipe import Recipe

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)
ALIASES = {"color": ("--colour",)}
"""Other spellings of a setting's flag."""
SEVERAL = ("region", "style_mask")
"""Settings whose flags can be given more than once."""


class FiniteNumber(click.FloatRange):
    """A number of at least 0 that isn't infinite or NaN, which comparisons let through."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


debug_option = click.option("--debug", is_flag=True, help="Show the traceback of an error.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
force_option = click.option("--force", is_flag=True, help="Replace files that exist.")


def _limit_option(flag: str, default: float, help: str) -> Callable[[Command], Command]:
    return click.option(
        flag, type=FiniteNumber(), metavar="N", default=default, show_default=True, help=help
    )


max_megapixels_option = _limit_option(
    "--max-megapixels",
    Limits.max_megapixels,
    "Refuse images with more pixels than that, before decoding them.",
)
max_megabytes_option = _limit_option(
    "--max-megabytes", Limits.max_megabytes, "Refuse files larger than that."
)
preset_option = click.option(
    "--preset", metavar="NAME|FILE.toml", help="Where the settings start from (impasto presets)."
)


def picture_options(command: Command) -> Command:
    """Where the picture goes, and how."""
    options = (
        click.option(
            "-o",
            "--output",
            metavar="OUT",
            help="The file to write; - is standard output. By default a new PNG beside the first"
            " image.",
        ),
        click.option(
            "--format", type=click.Choice(["png", "jpeg", "webp", "tiff"]), help="Output format."
        ),
        click.option(
            "--bit-depth",
            type=click.Choice(["8", "16"]),
            default="8",
            help="Bits per channel (PNG, TIFF).",
        ),
        click.option("--no-metadata", is_flag=True, help="Leave the recipe out of the picture."),
        force_option,
    )
    return _all(options, command)


def run_options(command: Command) -> Command:
    """What is said, and what is refused."""
    options = (
        json_option,
        click.option("--quiet", is_flag=True, help="No progress on standard error."),
        max_megapixels_option,
        max_megabytes_option,
        debug_option,
    )
    return _all(options, command)


def _all(options: tuple[Callable[[Command], Command], ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def recipe_options(command: Command) -> Command:
    """An option for every setting of the recipe, with its own description and bounds.

    Only what is given on the command line is passed on; the rest is the preset's business.
    """
    return _recipe_options(command, ("preset",))


def recipe_options_without(*left_out: str) -> Callable[[Command], Command]:
    """``recipe_options`` but for some, which mean nothing to a command or are its own."""
    return lambda command: _recipe_options(command, ("preset", "method", *left_out))


def _recipe_options(command: Command, left_out: tuple[str, ...]) -> Command:
    for name, field in reversed(Recipe.model_fields.items()):
        if name in left_out:
            continue
        command = click.option(
            *ALIASES.get(name, ()),
            f"--{name.replace('_', '-')}",
            name,
            default=None,
            metavar=_metavar(field),
            multiple=name in SEVERAL,
            help=_sentence(f"{field.description}{_bounds(field)}"),
        )(command)
    return command


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that were on the command line, as text: the recipe converts and checks."""
    return {name: value for name, value in settings.items() if value not in (None, ())}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _metavar(field: FieldInfo) -> str:
    choices = [str(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]
    if choices:
        return "|".join(choices)
    if get_origin(field.annotation) is dict:
        return "MASK=PAINTING" if "region" in str(field.description) else "NAMES"
    names = {bool: "yes|no", int: "N", float: "X"}
    for kind, name in names.items():
        if field.annotation is kind or kind in get_args(field.annotation):
            return name
    return "TEXT"


def _bounds(field: FieldInfo) -> str:
    limits = {
        key: getattr(limit, key)
        for limit in field.metadata
        for key in ("ge", "gt", "le", "lt")
        if getattr(limit, key, None) is not None
    }
    if "ge" in limits and "le" in limits:
        return f" ({limits['ge']} to {limits['le']})"
    return ""
