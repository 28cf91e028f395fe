"""A job: everything about a run that stays the same while it lasts."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.base.devices import Device
from impasto.images.color import keep_colors
from impasto.images.masks import only_inside
from impasto.images.picture import Picture
from impasto.images.sizes import resize
from impasto.losses.objective import Anchor
from impasto.runs.plan import RunPlan
from impasto.settings.recipe import Recipe
from impasto.settings.recipe_files import with_paths


@dataclass(frozen=True, eq=False)
class Job:
    """What is the same for a whole run: the recipe, and the images at their final size.

    ``style_weights`` sum to 1. ``init`` is the initial image if it came from a file. ``mask``
    (1, 1, H, W) is where to paint, None for everywhere; ``regions`` are parts of it, masks, with
    paintings of their own. Where a painting is transparent it doesn't count. ``anchor`` is the
    frame before, of a film. ``plan`` is how the run is going to go. ``content`` may
    be a batch of images of one size, on any device, for a method that paints batches.
    """

    recipe: Recipe
    content: Picture
    styles: tuple[Picture, ...]
    style_weights: tuple[float, ...]
    device: Device
    init: Picture | None = None
    mask: Tensor | None = None
    regions: tuple[tuple[Tensor, Picture], ...] = ()
    anchor: Anchor | None = None
    plan: RunPlan | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user about what of the images' files isn't used."""
        pictures = [self.content, *self.styles, *(picture for _, picture in self.regions)]
        pictures += [] if self.init is None else [self.init]
        return tuple(dict.fromkeys(note for picture in pictures for note in picture.notes))

    def finished(self, pixels: Tensor) -> Tensor:
        """Return a picture (N, 3, h, w) as it is to be seen, on the device of the content image:
        in the colours that the recipe asks for, and the photo where nothing is to be painted.
        """
        pixels = pixels.float().to(self.content.rgb.device)
        height, width = pixels.shape[-2:]
        photo = resize(self.content.rgb, height, width, "antialias")
        if self.recipe.color == "content":
            pixels = keep_colors(pixels, photo)
        if self.recipe.mix < 1:
            pixels = torch.lerp(photo, pixels, self.recipe.mix)
        if self.mask is not None:
            mask = resize(self.mask, height, width, "antialias").to(pixels)
            pixels = only_inside(pixels, photo, mask)
        return pixels

    def note(self) -> dict[str, Any]:
        """Return what a picture says about how it was made: no times or dates, so that the same job
        gives the same bytes, and of files only the bare names.
        """

        def bare(name: str) -> str:
            return Path(name).name

        content = self.content.note()
        if "name" in content:
            content["name"] = bare(content["name"])
        return {
            "recipe": with_paths(self.recipe.model_dump(mode="json"), bare),
            "content": content,
            "styles": [
                {"name": bare(style.name), "weight": weight, "sha256": style.sha256}
                for style, weight in zip(self.styles, self.style_weights, strict=True)
            ],
            "computed": {"device": str(self.device.device), "precision": self.device.precision},
            "versions": {
                "impasto": version("impasto"),
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }
