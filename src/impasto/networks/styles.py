"""The built-in styles: their names and how they look. Without torch, for a quick list."""

from __future__ import annotations

from importlib import resources

NAMES = (
    "honey-wash", "lemon-lead", "peach-ink", "primary-shards", "crimson-brush", "orange-dusk",
    "violet-spots", "neon-night", "white-sketch", "red-papercut", "terracotta", "gold-engraving",
    "lilac-pastel", "green-cubist", "pale-mist", "pastel-mosaic", "blue-crayon", "woven-bars",
    "sepia-woodcut", "starry-swirl", "scarlet-velvet", "coral-blocks", "grey-cubist",
    "charcoal-glow", "teal-linocut", "slate-strokes",
)  # fmt: skip
"""What the styles of ``multistyle.py`` look like, in that network's order."""


def thumbnail(name: str) -> bytes:
    """A JPEG file, 128 px: the same photo in each style. Raises ValueError: no such style."""
    if name not in NAMES:
        raise ValueError(name)
    return (resources.files("impasto.networks") / "thumbnails" / f"{name}.jpg").read_bytes()
