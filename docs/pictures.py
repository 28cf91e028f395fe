"""The pictures of docs/controls.md and the first one of the README, painted anew.

    python docs/pictures.py [NAME …]    # strength, colors, … ; all of them take half an hour

Run it after the default look has changed, and look at every picture.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter, ImageOps

import impasto
from impasto.images.sheet import Panel, contact_sheet

ROOT = Path(__file__).parents[1]
INTO = ROOT / "docs/images"
PHOTO = ROOT / "examples/photos/astronaut.png"
PAINTING = ROOT / "examples/paintings/church_at_auvers.webp"
OTHER = ROOT / "examples/paintings/night_cafe.webp"
SIZE = 400


def painted(photo: Path = PHOTO, style: Path = PAINTING, **settings: Any) -> Image.Image:
    """A picture of the default look."""
    return impasto.stylize(photo, style, **{"size": SIZE, **settings}).image.convert("RGB")


def opened(path: Path, long_side: int = SIZE) -> Image.Image:
    """An image of the given size."""
    image = Image.open(path).convert("RGB")
    image.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
    return image


def row(name: str, panels: list[tuple[str, Image.Image]]) -> None:
    """Save pictures beside each other, with captions."""
    sheet = contact_sheet([[Panel(image, caption) for caption, image in panels]])
    sheet.save(INTO / f"{name}.jpg", quality=88)


def strength() -> None:
    values = (0, 0.5, 1, 1.5, 2.5)
    row("strength", [(str(value), painted(strength=value)) for value in values])


def style_scale() -> None:
    pictures = [(str(value), painted(style_scale=value)) for value in (0.5, 1, 2)]
    row("style_scale", [("painting", opened(PAINTING)), *pictures])


def colors() -> None:
    values = ("style", "content", "match", "histogram")
    row("colors", [(value, painted(color=value)) for value in values])


def losses() -> None:
    values = ("w2", "gram", "moments", "swd", "nearest")
    row("losses", [(value, painted(style_loss=value)) for value in values])


def masks_regions() -> None:
    photo = opened(PHOTO)
    mask = Image.new("L", photo.size)
    draw = ImageDraw.Draw(mask)
    width, height = photo.size
    draw.ellipse((0.30 * width, 0.02 * height, 0.72 * width, 0.46 * height), fill=255)
    body = [(0.36, 0.4), (0.64, 0.4), (0.82, 0.5), (0.9, 1), (0.08, 1), (0.18, 0.5)]
    draw.polygon([(x * width, y * height) for x, y in body], fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(3))
    path = INTO / "mask.png"
    mask.save(path)
    try:
        row("masks_regions", [
            ("photo", photo),
            ("mask", mask.convert("RGB")),
            ("--mask", painted(mask=path)),
            ("--region mask=other", painted(region={str(path): str(OTHER)})),
            ("--mix 0.5", painted(mix=0.5)),
        ])  # fmt: skip
    finally:
        path.unlink()


def texture() -> None:
    painting = ROOT / "examples/paintings/cafe_terrace.webp"
    tile = impasto.texture(painting, 256, 256, seamless=True).image.convert("RGB")
    tiled = Image.new("RGB", (512, 512))
    for place in ((0, 0), (256, 0), (0, 256), (256, 256)):
        tiled.paste(tile, place)
    named = [("painting", opened(painting)), ("texture, --seamless yes", tile)]
    row("texture", [*named, ("tiled, 2 by 2", tiled)])


def grid() -> None:
    photo = ROOT / "examples/photos/coffee.png"
    painting = ROOT / "examples/paintings/night_cafe.webp"
    strengths, scales = (0.6, 1, 1.6), (0.5, 1.5)
    rows = [
        [
            Panel(painted(photo, painting, size=320, strength=strength, style_scale=scale))
            for strength in strengths
        ]
        for scale in scales
    ]
    contact_sheet(
        rows,
        column_labels=[f"strength={value}" for value in strengths],
        row_labels=[f"style_scale={value}" for value in scales],
    ).save(INTO / "grid.jpg", quality=88)


def first() -> None:
    """The README's: one photo in four styles, with a part of each style image below."""
    photo = ROOT / "examples/photos/chelsea.png"
    width, height, below = 392, 262, 130
    sheet = Image.new("RGB", (4 * width + 12, height + 4 + below), "white")
    for column, name in enumerate(("edtaonisl", "mosaic", "cafe_terrace", "watercolour")):
        style = ROOT / f"examples/paintings/{name}.webp"
        left = column * (width + 4)
        picture = painted(photo, style, size=512)
        sheet.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (left, 0))
        part = ImageOps.fit(Image.open(style).convert("RGB"), (width, below))
        sheet.paste(part, (left, height + 4))
    sheet.save(INTO / "first.jpg", quality=90)


PICTURES: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (first, strength, style_scale, colors, masks_regions, losses, texture, grid)
}


def main() -> None:
    """Paint those that are named, or all."""
    for name in sys.argv[1:] or PICTURES:
        PICTURES[name]()


if __name__ == "__main__":
    main()
