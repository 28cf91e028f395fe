"""The inputs of a film: its styles over time, and the hash by which it is resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from impasto.base.errors import RecipeError
from impasto.images.read import Source
from impasto.library import api
from impasto.video.painting import Key


def style_keys(style: Any, styles_at: Sequence[tuple[float, Any]]) -> list[Key]:
    """Return the styles with their times, in order.

    Args:
        style: The style at the start, or None.
        styles_at: More styles, each with its time in seconds.

    Raises:
        RecipeError: There is no style, or two have the same time.
    """
    keys = [Key(0.0, style)] if style is not None else []
    keys += [Key(float(seconds), styles) for seconds, styles in styles_at]
    if not keys:
        raise RecipeError("no style image was given; at least one is needed")
    keys.sort(key=lambda key: key.time)
    times = [key.time for key in keys]
    if len(set(times)) < len(times) or times[0] < 0:
        raise RecipeError("each style needs a time of its own, of at least 0 seconds")
    return keys


def style_paths(keys: Iterable[Key]) -> list[Path]:
    """Return the files of the style images."""
    sources = [source for key in keys for source, _ in api.weighted_styles(key.styles)]
    paths = [_existing_path(source) for source in sources]
    return [path for path in paths if path is not None]


def request_hash(
    sources: Iterable[Path],
    keys: Iterable[Key],
    masks: Iterable[Path] | None,
    **parameters: Any,
) -> str:
    """Return a hash of everything that a film is made from.

    Args:
        sources: The files of the source.
        keys: The styles with their times.
        masks: The files of the mask; None if there is no mask.
        parameters: Everything else.
    """
    request = {
        "source": [_identity(path) for path in sources],
        "keys": [
            [
                key.time,
                [[_identity(style), weight] for style, weight in api.weighted_styles(key.styles)],
            ]
            for key in keys
        ],
        "mask": None if masks is None else [_identity(path) for path in masks],
        **parameters,
    }
    text = json.dumps(request, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _existing_path(source: Source) -> Path | None:
    """Return the path of a source that is a file, or None."""
    return Path(source) if isinstance(source, (str, Path)) and Path(source).exists() else None


def _identity(source: Source) -> Any:
    """Return what identifies a source: of a file its path, size and time of modification."""
    path = _existing_path(source)
    if path is None:
        return str(source)
    stat = path.stat()
    return str(path.resolve()), stat.st_size, stat.st_mtime_ns
