"""A style as a function: what videos, batches and servers call for every picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.images.limits import Limits
from impasto.images.picture import Picture
from impasto.images.read import NamedFile, Source, read
from impasto.images.write import quantize
from impasto.library import api
from impasto.methods.base import Batches, method_of
from impasto.runs.progress import last
from impasto.runs.result import Result
from impasto.settings.keywords import SettingsKeywords
from impasto.settings.recipe import Recipe

DEFAULT_METHOD = "instant"
"""What a Stylizer paints with where neither a method nor a preset is chosen."""
PROBE = Picture.probe(256, 256)


class Stylizer:
    """``stylizer(image)`` is the stylized image, of the same type; ``stylizer(images)`` a list, or
    an array or tensor of several.

    ``style`` and the settings are as for ``impasto.stylize``. PIL images, paths and bytes come back
    as PIL images; arrays ([N,] H, W, C) of uint8, uint16 or float, and tensors ([N,] C, H, W), with
    their type and device. Networks are loaded once, paintings read once. May be called from
    several threads, pickled, and called in forked processes, where a CPU computes on one
    thread. On a GPU, arrays, tensors, and images of one size that are next to
    each other in a list, are painted in batches; a tensor that is on the GPU stays there.

    Raises, when it is made, what ``impasto.stylize`` raises of styles and settings.

    >>> paint = impasto.Stylizer("painting.jpg")
    >>> pictures = [paint(photo) for photo in photos]
    """

    def __init__(
        self,
        style: api.Styles,
        *,
        preset: str | None = None,
        recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
        limits: Limits | None = None,
        **settings: Unpack[SettingsKeywords],
    ) -> None:
        pairs = api.read_styles(style, limits)
        if preset is None and recipe is None:
            settings.setdefault("method", DEFAULT_METHOD)
        self.arguments: dict[str, Any] = {
            "preset": preset, "recipe": recipe, "limits": limits, **settings,
        }  # fmt: skip
        self.pairs, self.limits = pairs, limits
        self.template = api.prepare(PROBE, pairs, **self.arguments)
        self._load()

    def _load(self) -> None:
        self.loaded = method_of(self.template.recipe).loaded(self.template, self.limits)

    @property
    def batches(self) -> Batches | None:
        """What paints several images at once, on a GPU."""
        return None if self.loaded is None else self.loaded.batches

    def __getstate__(self) -> dict[str, Any]:
        # The networks are loaded again where it arrives.
        return {**vars(self), "loaded": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._load()

    @overload
    def __call__(self, images: Tensor) -> Tensor: ...
    @overload
    def __call__(self, images: np.ndarray) -> np.ndarray: ...
    @overload
    def __call__(self, images: str | Path | bytes | NamedFile | Picture) -> Image.Image: ...
    @overload
    def __call__(self, images: Image.Image) -> Image.Image: ...
    @overload
    def __call__(self, images: list[Tensor] | tuple[Tensor, ...]) -> list[Tensor]: ...
    @overload
    def __call__(self, images: list[np.ndarray] | tuple[np.ndarray, ...]) -> list[np.ndarray]: ...
    @overload
    def __call__(
        self, images: list[str] | list[Path] | list[Image.Image] | tuple[Image.Image, ...]
    ) -> list[Image.Image]: ...

    def __call__(self, images: Any) -> Any:
        """Return the stylized image, or those of a list."""
        if isinstance(images, (list, tuple)):
            return self._list(images)
        if isinstance(images, (np.ndarray, Tensor)) and images.ndim == 4 and not len(images):
            return images
        painted = self._batch(images)
        if painted is not None:
            return painted
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

    def _batch(self, images: Any) -> Any | None:
        """Paint pixels on a GPU. None where there is none, or the images have to be read first."""
        if self.batches is None:
            return None
        pixels = _plain_pixels(images)
        if pixels is not None:
            return Image.fromarray(self(pixels))
        if not isinstance(images, (np.ndarray, Tensor)) or images.ndim not in (3, 4):
            return None
        batch = images if images.ndim == 4 else images[None]
        if not self.batches.takes(batch):
            return None
        painted = self.batches.paint(batch)
        return painted if images.ndim == 4 else painted[0]

    def _list(self, images: Sequence[Any]) -> list[Any]:
        """Paint a list; on a GPU, neighbours of one type and size as a batch."""
        if self.batches is None:
            return [self(image) for image in images]
        painted: list[Any] = []
        for kind, group in groupby(images, _kind):
            alike = list(group)
            if kind is None:
                painted.extend(map(self, alike))
            elif kind[0] is Tensor:
                painted.extend(self(torch.stack(alike)))
            else:
                batch = self(np.stack([np.asarray(image) for image in alike]))
                is_pil = kind[0] is Image.Image
                painted.extend(map(Image.fromarray, batch) if is_pil else batch)
        return painted

    def result(self, image: Source) -> Result:
        """The Result for one image."""
        photo = read(image, limits=self.limits)
        if self.loaded is None:
            return last(api.run(api.prepare(photo, self.pairs, **self.arguments))).result()
        recipe = self.template.recipe
        size = recipe.long_side(photo.height, photo.width)
        job = replace(self.template, content=photo.fitted(size, recipe.resize))
        method_of(recipe).plan_of(job)  # raises if it is too large
        return last(self.loaded.run(job)).result()

    def _tensor(self, image: Tensor) -> Tensor:
        array = _with_alpha(self.result(image).array, image.shape[-3])
        if image.is_floating_point():
            whole = torch.from_numpy(array).to(image.dtype)
        else:
            whole = torch.from_numpy(_as_type(array, np.dtype(np.uint8)))
        painted = whole.permute(2, 0, 1).to(image.device)
        return painted[None] if image.ndim == 4 else painted


def _with_alpha(array: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, 3 or 4), with an alpha of 1 where four channels came in and all was opaque."""
    if channels != 4 or array.shape[2] == 4:
        return array
    return np.dstack([array, np.ones_like(array[..., :1])])


def _kind(image: Any) -> tuple[Any, ...] | None:
    """What the images of a batch have in common; None for what isn't painted in batches."""
    if isinstance(image, Tensor) and image.ndim == 3:
        return Tensor, image.shape, image.dtype, image.device
    if isinstance(image, np.ndarray) and image.ndim == 3:
        return np.ndarray, image.shape, image.dtype
    return None if _plain_pixels(image) is None else (Image.Image, image.size)


def _plain_pixels(image: Any) -> np.ndarray | None:
    """The pixels of a PIL image in sRGB that is upright already."""
    is_plain = (
        isinstance(image, Image.Image)
        and image.mode == "RGB"
        and not {"icc_profile", "exif", "transparency"} & image.info.keys()
    )
    return np.asarray(image) if is_plain else None


def _as_type(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float in [0, 1] as ``dtype`` has it; black and white become grey levels."""
    if np.issubdtype(dtype, np.floating):
        return array.astype(dtype)
    return quantize(array, 16 if dtype == np.uint16 else 8)
