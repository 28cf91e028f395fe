"""What the reference says of the form that a job is made from."""

from __future__ import annotations

from impasto.studio import uploads

FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["content", "styles"],
                    "properties": {
                        "content": {"type": "string", "format": "binary"},
                        "styles": {
                            "type": "array",
                            "maxItems": uploads.MOST_STYLES,
                            "items": {"type": "string", "format": "binary"},
                            "description": "files, or names of built-in ones",
                        },
                        "weights": {"type": "string", "description": "as in 1,0.5"},
                        "mask": {"type": "string", "format": "binary"},
                        "recipe": {"type": "string", "description": "a JSON object of settings"},
                    },
                }
            }
        },
    }
}
