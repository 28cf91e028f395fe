"""A job: everything that stays the same during a run."""

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
    """The recipe of a run, and its images at their final size.

    Transparent parts of a style image don't count.

    Attributes:
        recipe: All settings.
        content: The content image. For a method that paints batches, a batch of images of one size,
            on any device.
        styles: The style images, or built-in styles.
        style_weights: The weights of the styles, which sum to 1.
        device: The device, precision and kernel.
        init: The initial image, if it came from a file.
        mask: Where to paint, (1, 1, H, W), or None for everywhere.
        regions: Masks (1, 1, H, W) of parts of the picture, each with its own style image.
        anchor: The previous frame of a film, to which this frame is held.
        plan: The plan of the run.
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
        """Sentences for the user about parts of the images' files that aren't used."""
        pictures = [self.content, *self.styles, *(picture for _, picture in self.regions)]
        pictures += [] if self.init is None else [self.init]
        return tuple(dict.fromkeys(note for picture in pictures for note in picture.notes))

    def finished(self, pixels: Tensor) -> Tensor:
        """Return a picture with the recipe's colours, and with the photo outside of the mask.

        Args:
            pixels: The picture of a run, (N, 3, h, w), at any of its scales.

        Returns:
            The finished picture, (N, 3, h, w), on the device of the content image.
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
        """Return the note that a picture contains about how it was made.

        It has no times or dates, so that the same job gives the same bytes. Files appear with their
        bare names.
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
