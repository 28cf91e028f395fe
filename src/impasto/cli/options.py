"""Options that several commands share, and those that are read off the recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from impasto.images.limits import Limits
from impasto.settings.methods import METHODS, all_settings, bounds

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)
ALIASES = {"color": ("--colour",)}
"""Other spellings of a setting's flag."""
SEVERAL = ("region", "style_mask")
"""Settings whose flags can be given more than once."""


class FiniteNumber(click.FloatRange):
    """A finite number of at least 0. ``click.FloatRange`` lets infinity and NaN through."""

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


def _limit_option(flag: str, default: float, help_text: str) -> Callable[[Command], Command]:
    return click.option(
        flag, type=FiniteNumber(), metavar="N", default=default, show_default=True, help=help_text
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
    """Add the options that say where the picture goes, and how it is encoded."""
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
    return _add_options(options, command)


def run_options(command: Command) -> Command:
    """Add the options that say what is printed, and which images are refused."""
    options = (
        json_option,
        click.option("--quiet", is_flag=True, help="No progress on standard error."),
        max_megapixels_option,
        max_megabytes_option,
        debug_option,
    )
    return _add_options(options, command)


def _add_options(options: tuple[Callable[[Command], Command], ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def recipe_options(command: Command) -> Command:
    """Add an option for every setting of the recipe, with its description and bounds.

    The options have no defaults: what isn't given is left to the preset.
    """
    return _add_recipe_options(command, all_settings(), ("preset",))


def recipe_options_without(
    *excluded: str, method: str | None = None
) -> Callable[[Command], Command]:
    """Return the decorator that adds an option for every setting but some.

    Args:
        excluded: Settings that have no meaning for the command, or that the command defines itself.
        method: The only method that the command runs. By default it runs any method.
    """
    settings = all_settings() if method is None else METHODS[method].settings.model_fields
    return lambda command: _add_recipe_options(command, settings, ("preset", "method", *excluded))


def _add_recipe_options(
    command: Command, settings: dict[str, FieldInfo], excluded: tuple[str, ...]
) -> Command:
    for name, field in reversed(settings.items()):
        if name in excluded:
            continue
        command = click.option(
            *ALIASES.get(name, ()),
            f"--{name.replace('_', '-')}",
            name,
            default=None,
            metavar="|".join(METHODS.names()) if name == "method" else _metavar(field),
            multiple=name in SEVERAL,
            help=_sentence(f"{field.description}{_range_text(name)}"),
        )(command)
    return command


def setting_range(name: str) -> click.FloatRange:
    """Return the option type of a number with a setting's bounds."""
    low, high = bounds(name)
    return click.FloatRange(
        low if math.isfinite(low) else None, high if math.isfinite(high) else None
    )


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were on the command line, as text.

    The recipe converts and validates them.
    """
    return {name: value for name, value in settings.items() if value not in (None, ())}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _metavar(field: FieldInfo) -> str:
    choices = [str(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]
    if choices:
        return "|".join(choices)
    if get_origin(field.annotation) is dict:
        _, value = get_args(field.annotation)
        return "MASK=PAINTING" if value is str else "NAMES"
    names = {bool: "yes|no", int: "N", float: "X"}
    for kind, name in names.items():
        if field.annotation is kind or kind in get_args(field.annotation):
            return name
    return "TEXT"


def _range_text(name: str) -> str:
    """Return a setting's bounds in parentheses, or nothing unless it has both."""
    low, high = bounds(name)
    return f" ({low} to {high})" if math.isfinite(low) and math.isfinite(high) else ""
