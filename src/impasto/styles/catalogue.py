"""The list of all styles: the user's library, the bundled styles and the built-in styles."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from impasto.base.errors import StyleFileError, unknown
from impasto.networks import styles as built_in
from impasto.styles import bundled, library
from impasto.styles.style_file import StyleDescription

if TYPE_CHECKING:
    from PIL import Image

Origin = Literal["yours", "bundled", "built-in"]
THUMBNAIL_PX = 128
"""Side of a thumbnail, px."""


@dataclass(frozen=True)
class StyleEntry:
    """A style that can be selected by its name.

    Attributes:
        name: The name.
        title: The title to display.
        origin: ``yours`` for the user's library, ``bundled`` for a painting that comes with
            impasto, ``built-in`` for a style of the method ``instant``.
        file: The style file, or None.
        painting: The style image, or None.
    """

    name: str
    title: str
    origin: Origin
    file: Path | None = None
    painting: Path | None = None

    def info(self) -> StyleDescription | None:
        """Return the description in the style file, or None if there is no style file.

        Raises:
            StyleFileError: The file can't be read, or is damaged.
        """
        return None if self.file is None else library.info_of(self.file)

    def thumbnail(self) -> Image.Image:
        """Return a square image of the style, ``THUMBNAIL_PX`` wide.

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
    """Return all styles: the user's library, the bundled styles, then the built-in styles.

    If several styles have the same name, only the first is listed, which is the one that the name
    selects.
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
    """Return the style with a name.

    Raises:
        StyleFileError: There is no such style.
    """
    known = {entry.name: entry for entry in entries()}
    if name not in known:
        raise StyleFileError(unknown("style", name, known))
    return known[name]


def _square(source: Path | io.BytesIO) -> Image.Image:
    """Return the central square of an image, resized to ``THUMBNAIL_PX``.

    Raises:
        StyleFileError: The image can't be read.
    """
    from PIL import Image

    try:
        with Image.open(source) as image:
            whole = image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise StyleFileError("the image of a style is damaged") from error
    side = min(whole.size)
    left, top = (whole.width - side) // 2, (whole.height - side) // 2
    centre = whole.crop((left, top, left + side, top + side))
    return centre.resize((THUMBNAIL_PX, THUMBNAIL_PX))
