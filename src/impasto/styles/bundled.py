"""The style images, photos and learned styles that come with impasto."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from impasto.styles.style_file import SUFFIX

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
"""Name → title of the bundled style images; examples/SOURCES.md lists their authors."""
IMAGE_SUFFIXES = (".webp", ".png", ".jpg")


def paintings() -> dict[str, Path]:
    """Return the bundled paintings: name → file."""
    return _images("paintings")


def photos() -> dict[str, Path]:
    """Return the example photos, which aren't used for training: name → file."""
    return _images("photos")


def training_photos() -> list[Path]:
    """Return the files of the photos with which networks are trained."""
    return list(_images("training_photos").values())


@cache
def learned_styles() -> dict[str, Path]:
    """Return the style files learned from bundled paintings: name of the painting → file."""
    folder = Path(str(resources.files("impasto.styles") / "data"))
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def title(name: str) -> str:
    """Return the title of a painting or a style: ``Starry swirl`` for ``starry-swirl``."""
    return TITLES.get(name, name.replace("-", " ").capitalize())


def _folder(kind: str) -> Path:
    """Return a folder of images: in the installed package, or among the examples of a checkout."""
    installed = Path(str(resources.files("impasto") / kind))
    return installed if installed.is_dir() else Path(__file__).parents[3] / "examples" / kind


@cache
def _images(kind: str) -> dict[str, Path]:
    """Return the images of a folder: name → file, as ``cafe-terrace`` → ``cafe_terrace.webp``."""
    return {
        path.stem.replace("_", "-"): path
        for path in sorted(_folder(kind).glob("*"))
        if path.suffix in IMAGE_SUFFIXES
    }
