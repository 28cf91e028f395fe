"""The OpenAPI description of the forms, which the endpoints parse themselves."""

from __future__ import annotations

from pydantic import JsonValue

from impasto.studio.jobs import uploads
from impasto.studio.jobs.models import FilmSettings, JsonObject

FILE: JsonObject = {"type": "string", "format": "binary"}


def _form(required: list[JsonValue], **fields: JsonObject) -> JsonObject:
    """Return the description of a form with those fields."""
    schema: JsonObject = {"type": "object", "required": required, "properties": {**fields}}
    content: JsonObject = {"multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def _job_form(file: str, **others: JsonObject) -> JsonObject:
    """Return the description of a form with that file, styles, and other fields."""
    styles: JsonObject = {
        "type": "array",
        "maxItems": uploads.MAX_STYLES,
        "items": FILE,
        "description": "files, or names of built-in ones",
    }
    weights: JsonObject = {"type": "string", "description": "as in 1,0.5"}
    return _form([file, "styles"], **{file: FILE}, styles=styles, weights=weights, **others)


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
PICTURE_FORM = _form(["picture"], picture=FILE)
