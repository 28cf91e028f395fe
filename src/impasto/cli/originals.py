"""The images that a picture was made from, found again by what it says of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from impasto.base.errors import ImageError
from impasto.settings.recipe_files import original_files

if TYPE_CHECKING:
    from impasto.images.picture import Picture
    from impasto.settings.records import Original


def content_again(original: Original, recipe: Path, style: str) -> str | Picture:
    """What a picture's content was: a file, or for a texture nothing but a size."""
    from impasto.images.limits import MIN_SIDE_PX
    from impasto.images.picture import Picture

    width, height = original.width or 0, original.height or 0
    if min(width, height) >= MIN_SIDE_PX:
        return Picture.grey(width, height, style)
    return find_again(original, recipe)


def find_again(original: Original, recipe: Path) -> str:
    """Return a file that a picture was made from; of several by that name, the one that has not
    changed. Raises ImageError: there is none.
    """
    from impasto.networks import styles
    from impasto.networks.weights import matches

    name, digest = original.name or "an unnamed image", original.sha256
    if name in styles.NAMES and digest is None:
        return name
    candidates = list(original_files(name, recipe))
    if not candidates:
        raise ImageError(f"{recipe} was made from {name}, which isn't here; give CONTENT and STYLE")
    if not digest:
        return str(candidates[0])
    for candidate in candidates:
        if matches(candidate, f"sha256:{digest}"):
            return str(candidate)
    click.echo(f"{candidates[0]} isn't the same file that {recipe} was made from", err=True)
    return str(candidates[0])
