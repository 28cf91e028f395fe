"""The outputs of a training: the style file, and a preview of the progress."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from impasto.images.sheet import Panel, contact_sheet
from impasto.images.transfer import as_bytes, channels_last
from impasto.learning.training import LearnProgress, TrainingJob
from impasto.library.api import stylize
from impasto.methods.feed_forward.plan import COARSEST_PX
from impasto.settings.recipe_files import with_paths
from impasto.styles import bundled
from impasto.styles.style_file import LossPoint, StyleDescription, StyleSource, encode

THUMBNAIL_PX = 192
"""Long side of the thumbnail in a style file, px."""
THUMBNAIL_QUALITY = 80
PREVIEW_PX = 384
"""Long side of the stylized photos on a preview sheet, px."""
MAX_PREVIEW_PAIRS = 3
"""Largest number of pairs on a preview sheet."""


def style_bytes(progress: LearnProgress) -> bytes:
    """Return the bytes of a style file with the network in its current state."""
    training, job = progress.job, progress.job.look
    recipe = with_paths(job.recipe.model_dump(mode="json"), lambda path: Path(path).name)
    info = StyleDescription(
        name=training.name,
        kind="pair" if training.pairs else "painting",
        author=training.author,
        licence=training.licence,
        shape=training.shape,
        size=COARSEST_PX,
        sources=tuple(
            StyleSource(name=Path(style.name).name[:200], sha256=style.sha256, weight=weight)
            for style, weight in zip(job.styles, job.style_weights, strict=True)
        ),
        recipe=recipe,
        training={
            **training.settings.model_dump(mode="json", exclude_none=True),
            "photos": len(training.photos),
            "done": {"steps": progress.step, "seconds": round(progress.seconds, 1)},
            "computed": {
                "device": str(job.device.device),
                "precision": job.device.precision,
            },
        },
        history=tuple(
            LossPoint(
                step=point.step,
                seconds=round(point.seconds, 2),
                content=point.content,
                style=point.style,
                total=point.total,
            )
            for point in progress.state.history
        ),
        versions={"impasto": version("impasto"), "torch": torch.__version__},
        thumbnail=base64.b64encode(thumbnail(job.styles[0].rgb)),
    )
    arrays = {name: value.float().cpu().numpy() for name, value in progress.state.averaged.items()}
    return encode(info, arrays)


def thumbnail(rgb: torch.Tensor) -> bytes:
    """Return an image (1, 3, H, W) in [0, 1], reduced to ``THUMBNAIL_PX``, as a WebP file."""
    image = _image(rgb)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    image.save(buffer, "webp", quality=THUMBNAIL_QUALITY)
    return buffer.getvalue()


def preview_sheet(progress: LearnProgress, photos: Sequence[Any] | None = None) -> Image.Image:
    """Return a contact sheet of photos that aren't in the training set, and their stylized images.

    In a training with pairs, the first rows show each pair with its aligned artwork and trust map.

    Args:
        progress: The progress of the training.
        photos: The photos. By default, the bundled example photos.
    """
    held_out = list(bundled.photos().values()) if photos is None else list(photos)
    style = style_bytes(progress)
    device = str(progress.job.device)
    results = [
        stylize(photo, style, method="learned", size=PREVIEW_PX, device=device)
        for photo in held_out
    ]
    originals = [_image(result.job.content.rgb) for result in results]
    rows = [
        *_pair_panels(progress.job),
        [Panel(image) for image in originals],
        [Panel(result.image) for result in results],
    ]
    return contact_sheet(rows)


def _pair_panels(training: TrainingJob) -> list[list[Panel]]:
    """Return a row of panels for each of the first ``MAX_PREVIEW_PAIRS`` pairs of a training."""
    rows = []
    for pair, artwork in zip(
        training.pairs[:MAX_PREVIEW_PAIRS], training.look.styles, strict=False
    ):
        photo, aligned, trust = (_image(part.expand(-1, 3, -1, -1)) for part in pair.as_floats())
        rows.append(
            [
                Panel(photo, "photo"),
                Panel(_image(artwork.rgb), "artwork"),
                Panel(aligned, "artwork, aligned"),
                Panel(trust, f"trust: {pair.trusted_share:.0%}"),
            ]
        )
    return rows


def _image(rgb: torch.Tensor) -> Image.Image:
    """Return an image (1, 3, H, W) in [0, 1] as a PIL image."""
    return Image.fromarray(channels_last(as_bytes(rgb))[0].numpy())
