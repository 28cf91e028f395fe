"""Two images and some settings → a stylized image: the functions that everything else calls."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from torch import Tensor

from impasto.base import files
from impasto.base.devices import Device
from impasto.base.errors import ImageError, RecipeError
from impasto.images.color import match_histogram, match_palette
from impasto.images.limits import MIN_SIDE_PX, Limits
from impasto.images.masks import fit_mask, read_mask, visible
from impasto.images.picture import Picture
from impasto.images.read import Source, read
from impasto.images.sizes import resize
from impasto.methods.base import check_accepted, method_of, run_method
from impasto.networks import styles
from impasto.runs import checkpoint
from impasto.runs.job import Job
from impasto.runs.plan import Estimate
from impasto.runs.progress import Progress, Snapshot, last
from impasto.runs.result import Result
from impasto.settings.build import build
from impasto.settings.keywords import SettingsKeywords
from impasto.settings.methods import method_for_built_in_styles
from impasto.settings.recipe import Recipe

WeightedStyle = tuple[Source, float]
Styles = Source | WeightedStyle | Sequence[Source | WeightedStyle]
"""One style, a pair (style, weight), or several of either."""


def stylize(
    content: Source,
    style: Styles,
    *,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    limits: Limits | None = None,
    **settings: Unpack[SettingsKeywords],
) -> Result:
    """Make a stylized image.

    ``content`` and ``style``: a path, bytes, PIL image, numpy array or torch tensor (see
    ``impasto.read``). Several styles: a list, or a list of (style, weight).
    ``preset`` or ``recipe`` is where the settings start from; ``settings`` are recipe keys, such as
    ``size=512`` or ``steps=100``.

    Raises ImageError, RecipeError, WeightsError, DeviceError, DivergenceError.

    >>> result = impasto.stylize("photo.jpg", "painting.jpg")
    >>> result.save("stylized.png")
    """
    events = iterate(content, style, preset=preset, recipe=recipe, limits=limits, **settings)
    return last(events).result()


def iterate(
    content: Source,
    style: Styles,
    *,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    limits: Limits | None = None,
    **settings: Unpack[SettingsKeywords],
) -> Iterator[Progress]:
    """As ``stylize``, but yields a Progress for the initial image and after every step.

    Bad input is refused at once, before the first step. Stop whenever you like: the last Progress
    has the picture so far, ``progress.result()``, and can be saved and gone on from,
    ``impasto.checkpoint.save(progress, path)`` and ``impasto.resume(path)``.
    """
    job = prepare(content, style, preset=preset, recipe=recipe, limits=limits, **settings)
    return run(job)


def resume(path: str | Path, *, steps: int | None = None) -> Iterator[Progress]:
    """Go on from a checkpoint; ``steps`` replaces the number of steps in all.

    Raises CheckpointError, DeviceError.
    """
    job, snapshot = checkpoint.load(Path(path), steps=steps)
    return run(job, snapshot)


def prepare(
    content: Source,
    style: Styles,
    *,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    limits: Limits | None = None,
    **settings: Unpack[SettingsKeywords],
) -> Job:
    """Check and read everything a run needs, without starting it. Arguments as for ``stylize``."""
    pairs = weighted_styles(style)
    is_unsaid = "method" not in settings and preset is None and recipe is None
    if is_unsaid and any(is_built_in(source) for source, _ in pairs):
        settings["method"] = method_for_built_in_styles()
    chosen = build(settings, preset=preset, recipe=recipe)
    method = method_of(chosen)
    device = method.device(chosen, strict="precision" in settings)
    chosen = _with_selection(chosen, device)
    photo = read(content, limits=limits, needed_side=chosen.long_side)
    size = chosen.long_side(*photo.size_in_file)
    pictures = [_read_style(source, chosen, limits, size) for source, _ in pairs]
    if len({picture.built_in for picture in pictures}) > 1:
        raise RecipeError("a built-in style can't be blended with a painting, only with another")
    regions = [
        (path, _read_style(style, chosen, limits, size)) for path, style in chosen.region.items()
    ]
    # Before anything is resized: a large size is too much for that already.
    plan = method.plan(chosen, device, *photo.fitted_size(size, chosen.resize))
    fitted_photo = photo.fitted(size, chosen.resize)
    masks = [read_mask(path, limits, size) for path, _ in regions]

    def fitted_mask(mask: Tensor) -> Tensor:
        return fit_mask(mask, fitted_photo.height, fitted_photo.width, chosen.feather)

    def painting(picture: Picture) -> Picture:
        return picture if picture.built_in else _painting(picture, chosen, size, fitted_photo)

    job = Job(
        recipe=chosen,
        content=fitted_photo,
        styles=tuple(painting(p) for p in _style_masked(pictures, chosen.style_mask, limits)),
        style_weights=_normalized([weight for _, weight in pairs]),
        device=device,
        mask=None if chosen.mask is None else fitted_mask(read_mask(chosen.mask, limits, size)),
        regions=tuple(
            (fitted_mask(mask), painting(picture))
            for mask, (_, picture) in zip(masks, regions, strict=True)
        ),
        plan=plan,
    )
    check_accepted(job)
    return method.prepare(job, limits)


def _with_selection(recipe: Recipe, device: Device) -> Recipe:
    """Record the selected precision and kernel, so that the picture can be reproduced byte for
    byte.
    """
    selected = {"precision": device.precision, "kernel": device.kernel}
    own = type(recipe).model_fields
    return recipe.model_copy(update={name: selected[name] for name in selected if name in own})


def read_styles(style: Styles, limits: Limits | None = None) -> list[tuple[Source, float]]:
    """``weighted_styles``, the paintings read, for many runs; built-in styles stay names."""
    return [
        (source if is_built_in(source) else read(source, limits=limits), weight)
        for source, weight in weighted_styles(style)
    ]


def is_built_in(source: Source) -> bool:
    """Whether it names a style that a network knows, and no file."""
    return isinstance(source, str) and source in styles.NAMES and not files.exists(Path(source))


def _read_style(source: Source, recipe: Recipe, limits: Limits | None, size: int) -> Picture:
    """A painting, or a built-in style by its name. ``size`` is that of the result."""

    def needed_side(height: int, width: int) -> int:
        return _style_side(height, width, recipe, size)

    if not isinstance(source, str) or not is_built_in(source):
        try:
            return read(source, limits=limits, needed_side=needed_side)
        except ImageError as error:
            if isinstance(source, str) and not Path(source).suffix and "no such file" in str(error):
                raise ImageError(f"{error}, nor a built-in style (impasto styles)") from error
            raise
    if not method_of(recipe).accepts.built_in_styles:
        raise RecipeError(
            f"{source} is a style of the method {method_for_built_in_styles()}, not of"
            f" {recipe.method}"
        )
    return replace(read(styles.thumbnail(source)), name=source, sha256=None, built_in=True)


def run(job: Job, snapshot: Snapshot | None = None) -> Iterator[Progress]:
    """Run a prepared job, or go on with it. Raises DeviceError: there is not enough memory."""
    job = replace(job, plan=method_of(job.recipe).plan_of(job))
    events = run_method(job, snapshot)
    return _with_notes(events, job.notes) if job.notes else events


def _with_notes(events: Iterator[Progress], notes: tuple[str, ...]) -> Iterator[Progress]:
    """Yield the events, the first with what a person should know of the images."""
    first = next(events)
    message = "; ".join([*notes, *filter(None, [first.message])])
    first = replace(first, message=message)
    yield first
    del first  # its image needn't stay in memory
    yield from events


def estimate(job: Job) -> Estimate:
    """What a run would take. Raises DeviceError: there is not enough memory."""
    return method_of(job.recipe).estimate(job)


def weighted_styles(style: Styles) -> list[tuple[Source, float]]:
    """Return styles as pairs (style, weight); the weight is 1 where none is given."""
    items: Any = style  # checkers can't tell a pair from a sequence of two
    if _is_pair(items) or not isinstance(items, (list, tuple)):
        items = [items]
    if not items:
        raise RecipeError("no style image was given; at least one is needed")
    return [(item[0], float(item[1])) if _is_pair(item) else (item, 1.0) for item in items]


def _is_pair(item: Any) -> bool:
    is_pair = isinstance(item, (list, tuple)) and len(item) == 2
    return is_pair and isinstance(item[1], (int, float))


def _style_masked(
    pictures: list[Picture], paths: tuple[str, ...], limits: Limits | None
) -> list[Picture]:
    """The paintings, transparent where their masks are black."""
    if paths and len(paths) != len(pictures):
        raise RecipeError(
            f"there should be one style mask for each painting, {len(pictures)}, not {len(paths)}"
        )
    if paths and pictures[0].built_in:
        raise RecipeError(f"{pictures[0].name} is learnt by heart; there is no picture to mask")
    masks = [read_mask(path, limits) for path in paths]
    return [
        _only_within(picture, mask) for picture, mask in zip(pictures, masks, strict=bool(masks))
    ] or pictures


def _only_within(picture: Picture, mask: Tensor) -> Picture:
    """The painting, transparent where it was and where the mask is black."""
    alpha = resize(mask, picture.height, picture.width, "antialias")
    return replace(picture, alpha=alpha if picture.alpha is None else alpha * picture.alpha)


def _painting(picture: Picture, recipe: Recipe, size: int, content: Picture) -> Picture:
    """A painting as the recipe asks for it: its size, without its edges, in the photo's colours."""
    side = _style_side(*picture.size_in_file, recipe, size)
    fitted = picture.fitted(side, recipe.resize).trimmed(recipe.trim)
    if fitted.alpha is not None and fitted.alpha.max() == 0:
        raise ImageError(f"{picture.name} is transparent or masked: there is nothing to paint with")
    recolor = {"match": match_palette, "histogram": match_histogram}.get(recipe.color)
    if recolor is None:
        return fitted
    rgb = recolor(fitted.rgb, content.rgb, visible(fitted), visible(content))
    return replace(fitted, rgb=rgb)


def _style_side(height: int, width: int, recipe: Recipe, size: int) -> int:
    """Return the long side, px, that a painting of (height, width) is brought to."""
    short, long = sorted((height, width))
    least = math.ceil(MIN_SIDE_PX * long / short)
    return max(least, method_of(recipe).style_side(recipe, size))


def _normalized(weights: list[float]) -> tuple[float, ...]:
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise RecipeError("a style's weight should be a number of at least 0")
    total = sum(weights)
    if total == 0:
        raise RecipeError("the styles' weights are all zero; nothing would be painted")
    return tuple(weight / total for weight in weights)
