"""Text from outside: JSON, whose strings must be valid Unicode, and names in error messages.

JSON can escape half of a surrogate pair (``"\\ud800"``). Python reads it as a string that can't be
encoded, so it can be neither answered nor stored.
"""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: The text isn't JSON, or a string in it isn't valid Unicode.
        RecursionError: The JSON is nested too deeply.
    """
    value = json.loads(text)
    check_unicode(value)
    return value


def check_unicode(value: Any) -> None:
    """Raise ValueError if a string anywhere in a JSON value isn't valid Unicode."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it has text that isn't valid Unicode") from None


def encodable(text: str) -> str:
    """Return a text with its unpaired surrogates written as escapes."""
    return text.encode(errors="backslashreplace").decode()
