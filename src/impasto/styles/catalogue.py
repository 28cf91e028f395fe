"""The list of all styles by name: the user's, the bundled and the built-in ones."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from impasto.base.errors import StyleFileError, unknown
from impasto.networks import styles as built_in
from impasto.styles import bundled, library
from impasto.styles.style_file import StyleDescription

Origin = Literal["yours", "bundled", "built-in"]
THUMBNAIL_PX = 128


@dataclass(frozen=True)
class StyleEntry:
    """A style that can be given by its name.

    Attributes:
        name: The name.
        title: The title that people read.
        origin: Whether it is the user's own, comes with impasto, or is one of the pre-trained
            network of the method ``instant``.
        file: Its style file, or None.
        painting: Its style image, or None.
    """

    name: str
    title: str
    origin: Origin
    file: Path | None = None
    painting: Path | None = None

    def info(self) -> StyleDescription | None:
        """Return the description in the style file, or None.

        Raises:
            StyleFileError: The file is damaged.
        """
        return None if self.file is None else library.info_of(self.file)

    def thumbnail(self) -> Image.Image:
        """Return a square picture of the style, 128 px.

        Raises:
            StyleFileError: The style file is damaged.
        """
        if self.painting is not None:
            return _square(self.painting)
        info = self.info()
        if info is None:
            return _square(io.BytesIO(built_in.thumbnail(self.name)))
        return _square(io.BytesIO(info.thumbnail))


def entries() -> list[StyleEntry]:
    """Return all styles: the user's, the bundled, and the built-in ones.

    A name that is used twice is listed for the style that it stands for.
    """
    found = [StyleEntry(name, name, "yours", file) for name, file in library.styles().items()]
    learned = bundled.learned_styles()
    found += [
        StyleEntry(name, bundled.title(name), "bundled", learned.get(name), painting)
        for name, painting in bundled.paintings().items()
    ]
    found += [StyleEntry(name, bundled.title(name), "built-in") for name in built_in.NAMES]
    unique: dict[str, StyleEntry] = {}
    for entry in found:
        unique.setdefault(entry.name, entry)
    return list(unique.values())


def find(name: str) -> StyleEntry:
    """Return the style of a name.

    Raises:
        StyleFileError: There is no such style.
    """
    known = {entry.name: entry for entry in entries()}
    if name not in known:
        raise StyleFileError(unknown("style", name, known))
    return known[name]


def _square(source: Path | io.BytesIO) -> Image.Image:
    """Return the middle of an image as a square of 128 px.

    Raises:
        StyleFileError: The image can't be read.
    """
    try:
        with Image.open(source) as image:
            whole = image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise StyleFileError("the picture of a style is damaged") from error
    side = min(whole.size)
    left, top = (whole.width - side) // 2, (whole.height - side) // 2
    middle = whole.crop((left, top, left + side, top + side))
    return middle.resize((THUMBNAIL_PX, THUMBNAIL_PX))
