"""The OpenAPI description of the forms, which the endpoints parse themselves."""

from __future__ import annotations

from pydantic import JsonValue

from impasto.learning.settings import LearnSettings
from impasto.studio.jobs import style_uploads
from impasto.studio.jobs.models import FilmSettings, JsonObject

FILE: JsonObject = {"type": "string", "format": "binary"}
WEIGHTS: JsonObject = {"type": "string", "description": "as in 1,0.5"}


def _form(required: list[JsonValue], **fields: JsonObject) -> JsonObject:
    """Return the description of a form with those fields."""
    schema: JsonObject = {"type": "object", "required": required, "properties": {**fields}}
    content: JsonObject = {"multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def _styles(description: str) -> JsonObject:
    """Return the description of the field ``styles``."""
    return {
        "type": "array",
        "maxItems": style_uploads.MAX_STYLES,
        "items": FILE,
        "description": description,
    }


def _job_form(file: str, **others: JsonObject) -> JsonObject:
    """Return the description of a form with a file, styles and other fields."""
    styles = _styles("paintings or style files, or names of styles")
    return _form([file, "styles"], **{file: FILE}, styles=styles, weights=WEIGHTS, **others)


FORM = _job_form(
    "content", mask=FILE, recipe={"type": "string", "description": "a JSON object of settings"}
)
FILM_FORM = _job_form(
    "film",
    settings={
        "type": "string",
        "description": f"a JSON object: {', '.join(FilmSettings.model_fields)}",
    },
)
LEARN_FORM = _form(
    ["styles"],
    styles=_styles("paintings, or names of bundled paintings"),
    weights=WEIGHTS,
    name={"type": "string", "description": "the name of the style"},
    settings={
        "type": "string",
        "description": f"a JSON object: {', '.join(LearnSettings.model_fields)}",
    },
)
PICTURE_FORM = _form(["picture"], picture=FILE)
