"""The paintings, built-in styles and example photos that come with the studio."""

from __future__ import annotations

import io
from functools import cache
from importlib import resources
from pathlib import Path

from PIL import Image

from impasto.networks import styles

TITLES = {
    "cafe-terrace": "Café Terrace at Night",
    "church-at-auvers": "The Church at Auvers",
    "edtaonisl": "Edtaonisl",
    "engraving": "An engraving",
    "harvest": "The Harvest",
    "ink": "An ink drawing",
    "langlois-bridge": "The Langlois Bridge",
    "mosaic": "A mosaic",
    "night-cafe": "The Night Café",
    "painter-on-the-road": "The Painter on the Road",
    "pere-tanguy": "Père Tanguy",
    "pointillist": "Pointillism",
    "shipwreck": "The Shipwreck",
    "vestibule": "The Vestibule",
    "watercolour": "A watercolour",
}
"""The bundled style images; examples/SOURCES.md says who made them."""
THUMBNAIL_PX = 128
THUMBNAIL_QUALITY = 85


def _folder(kind: str) -> Path:
    """Return the folder: inside an installed package, or among the examples of a checkout."""
    installed = Path(str(resources.files("impasto") / kind))
    return installed if installed.is_dir() else Path(__file__).parents[4] / "examples" / kind


@cache
def _files(kind: str) -> dict[str, Path]:
    """Return the files by their names: ``cafe-terrace`` for ``cafe_terrace.webp``."""
    return {
        path.stem.replace("_", "-"): path
        for path in sorted(_folder(kind).glob("*"))
        if path.suffix in (".webp", ".png", ".jpg")
    }


def paintings() -> dict[str, Path]:
    """Return the files of the paintings by their names."""
    return _files("paintings")


def photos() -> dict[str, Path]:
    """Return the files of the example photos by their names."""
    return _files("photos")


def title(name: str) -> str:
    """Return the title of a painting or a style: ``Starry swirl`` for ``starry-swirl``."""
    return TITLES.get(name, name.replace("-", " ").capitalize())


@cache
def thumbnail(name: str) -> bytes | None:
    """Return a JPEG of 128 px of a painting or a style, or None if there is none of that name."""
    if name in styles.NAMES:
        return styles.thumbnail(name)
    if name not in paintings():
        return None
    with Image.open(paintings()[name]) as image:
        small = image.convert("RGB")
    side = min(small.size)
    left, top = (small.width - side) // 2, (small.height - side) // 2
    small = small.crop((left, top, left + side, top + side)).resize((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    small.save(buffer, "jpeg", quality=THUMBNAIL_QUALITY)
    return buffer.getvalue()
