"""Finding the images that a picture was made from, by its note or record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from impasto.base.errors import ImageError
from impasto.settings.recipe_files import original_files

if TYPE_CHECKING:
    from impasto.images.picture import Picture
    from impasto.settings.records import Original


def recorded_content(original: Original, recipe: Path, style: str) -> str | Picture:
    """Return a picture's content: a file, or for a texture a grey picture of its size.

    Args:
        original: What the picture's note says about its content.
        recipe: The picture.
        style: The name of its style image, which a texture is named after.

    Raises:
        ImageError: The file isn't there.
    """
    from impasto.images.limits import MIN_SIDE_PX
    from impasto.images.picture import Picture

    width, height = original.width or 0, original.height or 0
    if min(width, height) >= MIN_SIDE_PX:
        return Picture.grey(width, height, style)
    return find_recorded(original, recipe)


def find_recorded(original: Original, recipe: Path) -> str:
    """Return a file that a picture was made from, or the name of a style.

    Of several files of that name, the unchanged one is returned. If all of them have changed, a
    warning is printed.

    Args:
        original: What the picture's note says about the file.
        recipe: The picture, or the record of its run.

    Raises:
        ImageError: There is no such file.
    """
    from impasto.networks import styles
    from impasto.networks.weights import matches
    from impasto.styles import names

    name, digest = original.name or "an unnamed image", original.sha256
    if name in styles.NAMES and digest is None:
        return name
    candidates = list(original_files(name, recipe))
    if not candidates and names.style_file(name) is not None:
        return name
    if not candidates:
        raise ImageError(f"{recipe} was made from {name}, which isn't here; give CONTENT and STYLE")
    if not digest:
        return str(candidates[0])
    for candidate in candidates:
        if matches(candidate, f"sha256:{digest}"):
            return str(candidate)
    click.echo(f"{candidates[0]} isn't the same file that {recipe} was made from", err=True)
    return str(candidates[0])
