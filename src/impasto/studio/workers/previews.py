"""The preview of a running job, and how often the worker updates it."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from impasto.base import files
from impasto.images.write import Encoding, encode_image

PROGRESS_INTERVAL_S = 0.2
"""Time between two progress messages of a job."""
PREVIEW_INTERVAL_S = 0.7
PREVIEW_PX = 1024
"""Long side of a preview."""


def write_preview(folder: Path, image: Image.Image) -> None:
    """Write an image, reduced to the size of a preview, as the preview of a job."""
    image.thumbnail((PREVIEW_PX, PREVIEW_PX))
    files.write_atomically(folder / "preview.jpg", encode_image(image, Encoding("jpeg")))
