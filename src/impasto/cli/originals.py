"""The images that a picture was made from, found again by what it says of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.errors import ImageError

if TYPE_CHECKING:
    from impasto.images.picture import Picture


def content_again(entry: dict[str, Any], recipe: Path, style: str) -> str | Picture:
    """What a picture's content was: a file, or for a texture nothing but a size."""
    from impasto.images.limits import MIN_SIDE_PX
    from impasto.images.picture import Picture

    match entry:
        case {"width": int(width), "height": int(height)} if min(width, height) >= MIN_SIDE_PX:
            return Picture.grey(width, height, style)
    return find_again(entry, recipe)


def find_again(entry: dict[str, Any], recipe: Path) -> str:
    """A file that a picture was made from: where it was, seen from here or from the picture, or
    beside the picture.
    """
    from impasto.networks import styles
    from impasto.networks.weights import matches

    name, digest = str(entry.get("name", "an unnamed image")), entry.get("sha256")
    if name in styles.NAMES and digest is None:
        return name
    for candidate in (Path(name), recipe.parent / name, recipe.parent / Path(name).name):
        if candidate.is_file():
            if digest and not matches(candidate, f"sha256:{digest}"):
                click.echo(f"{candidate} isn't the same file that {recipe} was made from", err=True)
            return str(candidate)
    raise ImageError(f"{recipe} was made from {name}, which isn't here; give CONTENT and STYLE")
