"""What the reference says of the forms that jobs are made from."""

from __future__ import annotations

from typing import Any

from impasto.studio.jobs import film_uploads, uploads

FILE = {"type": "string", "format": "binary"}


def _form(what: str, **others: dict[str, str]) -> dict[str, Any]:
    """A form with the file ``what``, its styles, and other fields."""
    styles = {
        "type": "array",
        "maxItems": uploads.MOST_STYLES,
        "items": FILE,
        "description": "files, or names of built-in ones",
    }
    weights = {"type": "string", "description": "as in 1,0.5"}
    schema = {
        "type": "object",
        "required": [what, "styles"],
        "properties": {what: FILE, "styles": styles, "weights": weights, **others},
    }
    content = {"multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


FORM = _form(
    "content", mask=FILE, recipe={"type": "string", "description": "a JSON object of settings"}
)
FILM_FORM = _form(
    "film",
    settings={
        "type": "string",
        "description": f"a JSON object: {', '.join(film_uploads.FilmSettings.model_fields)}",
    },
)
