"""Style files of small networks with random parameters, which paint at once."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image

from impasto.networks.learned import initial_parameters
from impasto.networks.network_shape import NetworkShape
from impasto.styles.style_file import StyleDescription, encode

SMALL = NetworkShape(blocks=1, full=4, half=6, quarter=8)
WHOLE = NetworkShape(blocks=2, full=4, half=6, quarter=8, reads_full_size=True, edge_kernel=9)
PLAIN = NetworkShape(blocks=1, full=4, half=6, quarter=8, normalised=False)


def picture() -> bytes:
    """A small WebP file."""
    buffer = io.BytesIO()
    Image.new("RGB", (48, 32), "teal").save(buffer, "webp")
    return buffer.getvalue()


def style_bytes(shape: NetworkShape = SMALL, seed: int = 0, **fields: Any) -> bytes:
    """A valid style file."""
    parameters = initial_parameters(shape, seed)
    thumbnail = base64.b64encode(picture())
    info = StyleDescription(
        **{"name": "random", "shape": shape, "size": 512, "thumbnail": thumbnail} | fields
    )
    return encode(info, {name: value.numpy() for name, value in parameters.items()})
