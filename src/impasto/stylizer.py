"""A style as a function: what videos, batches and servers call for every picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto import api
from impasto.images.limits import Limits
from impasto.images.picture import Picture
from impasto.images.read import Source, read
from impasto.images.write import quantize
from impasto.methods import instant
from impasto.recipe import Recipe
from impasto.result import Job, Result

PROBE = Picture.grey(256, 256, "probe")
BY_PHOTO = ("match", "histogram")
"""Colour modes that make something else of a painting for every photo."""


class Stylizer:
    """``stylizer(image)`` is the stylized image, of the same type; ``stylizer(images)`` a list, or
    an array or tensor of several.

    ``style`` and the settings are as for ``impasto.stylize``. PIL images, paths and bytes come back
    as PIL images; arrays ([N,] H, W, C) of uint8, uint16 or float, and tensors ([N,] C, H, W), with
    their type and device. Networks are loaded once, paintings read once. May be called from
    several threads, and pickled.

    Raises, when it is made, what ``impasto.stylize`` raises of styles and settings.

    >>> paint = impasto.Stylizer("painting.jpg")
    >>> pictures = [paint(photo) for photo in photos]
    """

    def __init__(
        self,
        style: Source | Iterable[Source],
        *,
        method: str = "instant",
        preset: str | None = None,
        recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
        limits: Limits | None = None,
        **settings: Any,
    ) -> None:
        pairs = api.read_styles(style, limits)
        if preset is None and recipe is None:
            settings["method"] = method
        self.arguments = {"preset": preset, "recipe": recipe, "limits": limits, **settings}
        self.pairs, self.limits = pairs, limits
        self.template = api.prepare(PROBE, pairs, **self.arguments)
        self._prepare_tools()

    def _prepare_tools(self) -> None:
        recipe = self.template.recipe
        self.fixed = not (recipe.color in BY_PHOTO or recipe.mask or recipe.region)
        self.tools = None
        if recipe.method == "instant" and self.fixed and recipe.strength == 1:
            self.tools = instant.brushes(self.template)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "tools": None}  # networks are loaded again where it arrives

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._prepare_tools()

    def __call__(self, images: Any) -> Any:
        if isinstance(images, (list, tuple)):
            return [self(image) for image in images]
        if isinstance(images, (np.ndarray, Tensor)) and images.ndim == 4 and not len(images):
            return images
        if isinstance(images, np.ndarray) and images.ndim == 4:
            return np.stack([self(image) for image in images])
        if isinstance(images, Tensor) and images.ndim == 4:
            return torch.cat([self._tensor(image) for image in torch.split(images, 1)])
        if isinstance(images, Tensor):
            return self._tensor(images)
        array = self.result(images).array
        if isinstance(images, np.ndarray):
            if images.ndim == 3:
                array = _with_alpha(array, images.shape[2])
            return _as_type(array, images.dtype)
        return Image.fromarray(quantize(array, 8))

    def result(self, image: Source) -> Result:
        """The Result for one image."""
        job = self._job(read(image, limits=self.limits))
        if self.tools is not None:
            *_, last = instant.instant(job, tools=self.tools)
        else:
            *_, last = api.run(job)
        return last.result()

    def _tensor(self, image: Tensor) -> Tensor:
        array = _with_alpha(self.result(image).array, image.shape[-3])
        if image.is_floating_point():
            whole = torch.from_numpy(array).to(image.dtype)
        else:
            whole = torch.from_numpy(_as_type(array, np.dtype(np.uint8)))
        painted = whole.permute(2, 0, 1).to(image.device)
        return painted[None] if image.ndim == 4 else painted

    def _job(self, photo: Picture) -> Job:
        recipe = self.template.recipe
        if not (self.fixed and recipe.method == "instant"):
            return api.prepare(photo, self.pairs, **self.arguments)
        size = recipe.long_side(photo.height, photo.width)
        return replace(self.template, content=photo.fitted(size, recipe.resize))


def _with_alpha(array: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, 3 or 4), with an alpha of 1 where four channels came in and all was opaque."""
    if channels != 4 or array.shape[2] == 4:
        return array
    return np.dstack([array, np.ones_like(array[..., :1])])


def _as_type(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float in [0, 1] as ``dtype`` has it; black and white become grey levels."""
    if np.issubdtype(dtype, np.floating):
        return array.astype(dtype)
    return quantize(array, 16 if dtype == np.uint16 else 8)
