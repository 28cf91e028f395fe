"""Self-contained HTML, for notebooks and reports: no file beside it, no other host.

The templates are in ``templates/``: ``pieces.html`` has the macros of this module's functions.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import Image

from impasto.base import extras

if TYPE_CHECKING:
    import jinja2

JPEG_ABOVE_PX = 65536
"""Pixels of the largest image that becomes PNG: a page of larger PNGs is slow."""
JPEG_QUALITY = 88


def _data_uri(image: Image.Image) -> str:
    """Return an address that contains an image."""
    is_large = image.width * image.height > JPEG_ABOVE_PX and image.mode == "RGB"
    kind, options = ("jpeg", {"quality": JPEG_QUALITY}) if is_large else ("png", {})
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _figure_uri(figure: Any) -> str:
    """Return an address that contains a matplotlib Figure, as SVG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg")
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def picture(image: Image.Image, caption: str = "") -> str:
    """Return an image with a caption below it."""
    return _piece("picture", image, caption)


def side_by_side(images: Mapping[str, Image.Image]) -> str:
    """Return images in a row, of one height, with their names as captions."""
    return _piece("side_by_side", images)


def wipe(before: Image.Image, after: Image.Image) -> str:
    """Return two images on top of each other, and a slider between them."""
    return _piece("wipe", same_size(before, after), after)


def table(rows: Iterable[Iterable[Any]], header: Iterable[str] = ()) -> str:
    """Return a table; numbers are aligned to the right."""
    return _piece("table", rows, list(header))


def progress(image: Image.Image, caption: str, figure: Any | None) -> str:
    """Return the image of a run so far, with a matplotlib Figure of its losses if there is one."""
    return _piece("progress", image, caption, figure)


def download_link(address: str, name: str, text: str) -> str:
    """Return a link that downloads the file ``name``."""
    return _piece("link", address, name, text)


def page(template: str, **values: Any) -> str:
    """Return a whole page.

    Args:
        template: The name of its file.
        values: The values that the template uses.
    """
    return _templates().get_template(template).render(**values)


def same_size(image: Image.Image, other: Image.Image) -> Image.Image:
    """Return an image at the size of another one, as ``wipe`` needs it."""
    return image.convert("RGB").resize(other.size)


def _piece(name: str, *values: Any) -> str:
    macro = getattr(_templates().get_template("pieces.html").module, name)
    return str(macro(*values))


@cache
def _templates() -> jinja2.Environment:
    """Return the templates. Raises MissingExtraError."""
    extras.require("plots")
    import jinja2  # noqa: PLC0415 (an optional package)

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("impasto.views"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {
        "data_uri": _data_uri,
        "figure_uri": _figure_uri,
        "rounded": _rounded,
    }
    environment.tests["numeric"] = _is_numeric
    return environment


def _rounded(value: Any) -> Any:
    """Return a float as text of four digits, and anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else value


def _is_numeric(value: Any) -> bool:
    """Return whether a table's cell holds a number."""
    text = str(_rounded(value)).replace(".", "").replace("e", "")
    return isinstance(value, int) or text.isdigit()
