"""A style as a function, for programs that stylize many images."""

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
"""The method of a Stylizer of images for which no method, preset or recipe is given."""
PROBE = Picture.probe(256, 256)
"""A content image with which the settings are checked."""


class Stylizer:
    """A function that stylizes images: ``stylizer(image)``.

    For a path, bytes or a PIL image, it returns a PIL image. For an array ([N,] H, W, C) of uint8,
    uint16 or float, or a tensor ([N,] C, H, W), it returns one of the same type, on the same
    device. For a list of images, it returns a list.

    Networks are loaded once, and style images are read once. A Stylizer can be pickled, and called
    from several threads and in forked processes, where a CPU computes on one thread. On a GPU it
    paints arrays, tensors, and neighbours of one size in a list in batches. A tensor that is on the
    GPU stays there.

    Args:
        style: The style image or images, as for ``impasto.stylize``.
        preset: The preset from which the settings start.
        recipe: A recipe from which they start instead.
        limits: Limits for the images.
        settings: Settings by name. The default method is ``learned`` for style files, and
            ``instant`` for all other styles.

    Raises:
        ImageError, RecipeError, WeightsError, DeviceError: The style or a setting is wrong, as for
            ``impasto.stylize``.

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
            needed = api.method_for([source for source, _ in pairs])
            settings.setdefault("method", needed or DEFAULT_METHOD)
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
        """The painter of batches on a GPU, or None."""
        return None if self.loaded is None else self.loaded.batches

    def __getstate__(self) -> dict[str, Any]:
        # The networks are loaded again when it is unpickled.
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
        """Return the stylized image, or a list of them."""
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
        """Paint images as a batch; None without a GPU, or if the images have to be read first."""
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
        """Paint a list. On a GPU, neighbours of one type and size are painted as a batch."""
        if self.batches is None:
            return [self(image) for image in images]
        painted: list[Any] = []
        for kind, group in groupby(images, _kind):
            members = list(group)
            if kind is None:
                painted.extend(map(self, members))
            elif kind[0] is Tensor:
                painted.extend(self(torch.stack(members)))
            else:
                batch = self(np.stack([np.asarray(image) for image in members]))
                is_pil = kind[0] is Image.Image
                painted.extend(map(Image.fromarray, batch) if is_pil else batch)
        return painted

    def result(self, image: Source) -> Result:
        """Return the Result for one image."""
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
    """Return an array (H, W, 3 or 4), with an opaque alpha channel if the input had one."""
    if channels != 4 or array.shape[2] == 4:
        return array
    return np.dstack([array, np.ones_like(array[..., :1])])


def _kind(image: Any) -> tuple[Any, ...] | None:
    """Return the properties that all images of a batch share; None if it can't be in a batch."""
    if isinstance(image, Tensor) and image.ndim == 3:
        return Tensor, image.shape, image.dtype, image.device
    if isinstance(image, np.ndarray) and image.ndim == 3:
        return np.ndarray, image.shape, image.dtype
    return None if _plain_pixels(image) is None else (Image.Image, image.size)


def _plain_pixels(image: Any) -> np.ndarray | None:
    """Return the pixels of an upright sRGB image of PIL, or None for any other image."""
    is_plain = (
        isinstance(image, Image.Image)
        and image.mode == "RGB"
        and not {"icc_profile", "exif", "transparency"} & image.info.keys()
    )
    return np.asarray(image) if is_plain else None


def _as_type(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Convert floats in [0, 1] to ``dtype``; for a boolean type, the result is uint8."""
    if np.issubdtype(dtype, np.floating):
        return array.astype(dtype)
    return quantize(array, 16 if dtype == np.uint16 else 8)
