"""Text that comes from clients and workers: JSON, and the paths in error messages.

JSON can escape half of a surrogate pair (``"\\ud800"``). Python reads it as a string that can't be
encoded, so it can be neither answered nor stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/]+/)+(?=[^\s/])")
"""The folders of an absolute path, whose file follows."""


def parse_json(text: str | bytes) -> JsonValue:
    """Return the value of a JSON text.

    Raises:
        ValueError: The text isn't JSON, or a string in it isn't valid Unicode.
        RecursionError: The JSON is nested too deeply.
    """
    value: JsonValue = json.loads(text)
    check_unicode(value)
    return value


def check_unicode(value: object) -> None:
    """Raise ValueError if a string anywhere in a JSON value isn't valid Unicode."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it has text that isn't valid Unicode") from None


def encodable(text: str) -> str:
    """Return a text with its unpaired surrogates written as escapes."""
    return text.encode(errors="backslashreplace").decode()


def without_paths(text: str, folder: Path, file_names: Mapping[str, str]) -> str:
    """Return a sentence with the paths of a job's files replaced by the names people gave them.

    Args:
        text: A sentence of a worker, which knows the files by their paths.
        folder: The job's folder.
        file_names: The names that people gave the files, by the names in the folder.
    """
    for file, name in file_names.items():
        text = text.replace(str(folder / file), name)
    return without_folders(text.replace(f"{folder}/", "").replace(str(folder), "the job's folder"))


def without_folders(text: str) -> str:
    """Return a sentence with the last part alone of each absolute path."""
    return FOLDERS.sub("", text)
