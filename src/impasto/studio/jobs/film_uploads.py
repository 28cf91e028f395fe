"""A form with a film → a job's files and what is asked for. The film itself is opened by the
worker, whose process may die of it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, UploadFile

from impasto.base.errors import RecipeError, unknown
from impasto.images.limits import Limits
from impasto.studio.jobs import uploads
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.text import parse_json

FIELDS = ("film", "styles", "weights", "settings")


class FilmSettings(BaseModel):
    """What of a film can be chosen; see ``impasto.Film``. None: its own default."""

    model_config = ConfigDict(extra="forbid")
    stability: float | None = Field(None, ge=0, le=1)
    strength: float | None = Field(None, ge=0, le=3)
    style_scale: float | None = Field(None, ge=0.1, le=8)
    color: str | None = Field(None, pattern="^(style|content)$")
    size: int | None = Field(None, ge=64, le=4096)
    start: float | None = Field(None, ge=0, le=1e6)
    end: float | None = Field(None, gt=0, le=1e6)
    crf: int | None = Field(None, ge=0, le=51)


def request_from(form: FormData, folder: Path, limits: Limits) -> uploads.Request:
    """Keep the form's files in ``folder``. Raises ProblemError, ImageError, RecipeError."""
    for field in form:
        if field not in FIELDS:
            raise ProblemError(422, unknown("field", field, FIELDS))
    film = form.get("film")
    if not isinstance(film, UploadFile) or not film.filename:
        raise ProblemError(422, "there is no film: send it as the file film")
    if not film.size:
        raise ProblemError(415, f"{uploads.name_of(film)} is empty")
    wanted = uploads.styles_from(form, folder, uploads.PixelBudget(limits))
    settings = settings_from(form.get("settings"))
    with (folder / "content").open("wb") as file:
        shutil.copyfileobj(film.file, file)
    name = uploads.name_of(film)
    recipe = uploads.whole_recipe({}, instant=True, styles=wanted)
    return {
        "kind": "film",
        "name": f"{Path(name).stem}_{Path(wanted[0]['name']).stem}",
        "content": {"file": "content", "name": name, "width": 0, "height": 0},
        "styles": wanted,
        "settings": settings.model_dump(),
        "mask": None,
        "recipe": recipe,
        "parent": None,
        "init": None,
    }


def settings_from(text: Any) -> FilmSettings:
    """Of JSON. Raises ProblemError, RecipeError."""
    try:
        asked = parse_json(text) if isinstance(text, str) and text.strip() else {}
        settings = FilmSettings.model_validate(asked)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "settings"
        raise RecipeError(f"{place}: {first['msg'].lower()}") from None
    except (ValueError, RecursionError) as error:
        raise ProblemError(422, f"the settings aren't JSON: {error}") from None
    if settings.end is not None and settings.end <= (settings.start or 0):
        raise RecipeError("a film should end after its start")
    return settings
