"""Notes in pictures and records of runs, validated because their origin is unknown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
)

from impasto.base.errors import RecipeError, reason

T = TypeVar("T", bound="Note")

MAX_SIDE = 1_000_000
"""Largest side of a picture that is believed, px: the numbers go into sums and tables."""


def _displayable(value: Any) -> Any:
    """Replace what isn't valid text, such as half of a surrogate pair."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


Words = Annotated[str, BeforeValidator(_displayable)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Original(BaseModel):
    """A file from which a picture was made, or the size of a blank content image."""

    name: str | None = None
    sha256: Sha256 | None = None
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    width: int | None = Field(default=None, ge=1, le=MAX_SIDE)
    height: int | None = Field(default=None, ge=1, le=MAX_SIDE)


class Note(BaseModel):
    """The note in a picture, as ``Job.note`` writes it."""

    recipe: dict[str, Any]
    content: Original = Original()
    styles: list[Original] = []
    computed: dict[str, Words] = {}
    versions: dict[str, Words] = {}


class RecordedPoint(BaseModel):
    """The losses of a run at one step, as ``--record`` writes a ``history.Point``."""

    model_config = ConfigDict(extra="forbid")

    step: int = Field(ge=0)
    scale: int = Field(ge=0, le=MAX_SIDE)
    seconds: FiniteFloat
    content: FiniteFloat
    style: FiniteFloat
    tv: FiniteFloat
    total: FiniteFloat
    layers: dict[Words, FiniteFloat] = {}


class Record(Note):
    """The record of a run, as ``--record`` writes it."""

    history: list[RecordedPoint]
    output: str = ""
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    seconds: FiniteFloat | None = None
    peak_rss_mb: FiniteFloat | None = None
    machine: dict[str, Words] = {}


def read_note(picture: Path) -> Note:
    """Return the note in a picture.

    Raises:
        RecipeError: The picture can't be read, or holds no valid note.
    """
    from impasto.images import metadata  # noqa: PLC0415, help texts need no Pillow

    return _checked(Note, metadata.read_note(picture), f"{picture} holds no recipe of impasto's")


def read_record(path: Path) -> Record:
    """Return the record of a run.

    Raises:
        RecipeError: The file can't be read, or isn't a valid record.
    """
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise RecipeError(f"{path} can't be read: {reason(error)}") from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path} isn't JSON: {error}") from error
    return _checked(Record, values, f"{path} isn't what impasto --record writes")


def _checked(kind: type[T], values: Any, sentence: str) -> T:
    try:
        return kind.model_validate(values)
    except (ValidationError, OverflowError) as error:
        if isinstance(error, OverflowError):
            raise RecipeError(f"{sentence}: a number is too large") from error
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"{sentence}: {place} {first['msg'][:80]}") from error
