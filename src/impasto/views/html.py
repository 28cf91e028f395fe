"""Pieces of self-contained HTML, for notebooks and reports: no file beside it, no other host."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from PIL import Image

JPEG_ABOVE_PX = 65536
"""Larger pictures become JPEG: a page of PNGs is slow."""
JPEG_QUALITY = 88


def data_uri(image: Image.Image) -> str:
    """The picture inside an address."""
    large = image.width * image.height > JPEG_ABOVE_PX and image.mode == "RGB"
    kind, options = ("jpeg", {"quality": JPEG_QUALITY}) if large else ("png", {})
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def figure_uri(figure: Any) -> str:
    """A matplotlib Figure inside an address, as SVG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg")
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def picture(image: Image.Image, caption: str = "") -> str:
    """A picture with a caption below."""
    words = escape(caption)
    return (
        f'<figure style="margin:0"><img src="{data_uri(image)}" alt="{words}"'
        f' style="max-width:100%"><figcaption>{words}</figcaption></figure>'
    )


def side_by_side(images: Mapping[str, Image.Image]) -> str:
    """Pictures in a row, of one height, with their captions."""
    cells = "".join(
        f'<div style="flex:{image.width / image.height:.4f}">{picture(image, caption)}</div>'
        for caption, image in images.items()
    )
    return f'<div style="display:flex;gap:12px;align-items:flex-start">{cells}</div>'


def wipe(before: Image.Image, after: Image.Image) -> str:
    """Two pictures on top of each other and a slider between them; it needs nobody's help."""
    before = before.convert("RGB").resize(after.size)
    move = (
        "this.previousElementSibling.lastElementChild.style.clipPath='inset(0 0 0 '+this.value+'%)'"
    )
    layer = "position:absolute;inset:0;width:100%"
    return (
        f'<div style="max-width:{after.width}px"><div style="position:relative;'
        f'aspect-ratio:{after.width}/{after.height}">'
        f'<img src="{data_uri(before)}" alt="before" style="{layer}">'
        f'<img src="{data_uri(after)}" alt="after" style="{layer};clip-path:inset(0 0 0 50%)">'
        '</div><input type="range" min="0" max="100" value="50" aria-label="before and after"'
        f' style="width:100%" oninput="{move}"></div>'
    )


def table(rows: Iterable[Iterable[Any]], header: Iterable[str] = ()) -> str:
    """A table; numbers are set to the right."""
    heads = "".join(f"<th>{escape(str(cell))}</th>" for cell in header)
    lines = [f"<tr>{heads}</tr>"] if heads else []
    lines += ["<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        value = f"{value:.4g}"
    number = isinstance(value, int) or str(value).replace(".", "").replace("e", "").isdigit()
    return f"<td{' class=number' if number else ''}>{escape(str(value))}</td>"


STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: auto; padding: 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .25rem .75rem; border-bottom: 1px solid #8884; text-align: left; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; }
figcaption { font-size: .85rem; opacity: .8; }
.on-white { background: white; }
"""


def page(title: str, *parts: str) -> str:
    """A whole page."""
    name = escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>{name}</h1>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """Parts under a heading."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def chart(figure: Any, caption: str) -> str:
    """A matplotlib Figure with what it shows in words."""
    return f'<img class="on-white" src="{figure_uri(figure)}" alt="{escape(caption)}">'
