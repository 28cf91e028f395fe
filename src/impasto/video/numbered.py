"""The image files of a folder or of a pattern such as ``frame-%04d.png``."""

from __future__ import annotations

import re
from pathlib import Path

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif",
    ".heic", ".heif", ".jp2", ".ppm", ".pgm",
)  # fmt: skip
NUMBER_FIELD = re.compile(r"%0?\d*d")
"""The part of a pattern that stands for the number."""


def image_files(path: str) -> list[Path]:
    """Return the images of a folder or pattern, in the order of the numbers in their names."""
    if Path(path).is_dir():
        found = [
            file
            for file in Path(path).iterdir()
            if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
        ]
        return sorted(found, key=_sort_key)
    folder, name = Path(path).parent, Path(path).name
    before, after = NUMBER_FIELD.split(name, maxsplit=1)
    pattern = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    files = folder.iterdir() if folder.is_dir() else ()
    matches = [(pattern.fullmatch(file.name), file) for file in files]
    return [file for _, file in sorted((int(match[1]), file) for match, file in matches if match)]


def _sort_key(path: Path) -> list[tuple[int, int | str]]:
    """Return the parts of a file's name, with the numbers as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]
