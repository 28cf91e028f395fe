"""The functions that make a stylized image, on which all user interfaces are built."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from torch import Tensor

from impasto.base.devices import Device
from impasto.base.errors import ImageError, RecipeError
from impasto.images.color import match_histogram, match_palette
from impasto.images.limits import MIN_SIDE_PX, Limits
from impasto.images.masks import fit_mask, read_mask, visible
from impasto.images.picture import Picture
from impasto.images.read import NamedFile, Source, read
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
from impasto.settings.methods import method_for_built_in_styles, method_for_learned_styles
from impasto.settings.recipe import Recipe
from impasto.styles import names
from impasto.styles.style_file import is_style_file, read_bytes, read_parameters

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

    Args:
        content: The content image: a path, bytes, PIL image, numpy array or torch tensor, see
            ``impasto.read``.
        style: The style image, in the same forms, a style file, or the name of a style. A list
            blends several styles; its items are styles, or pairs (style, weight).
        preset: The preset from which the settings start.
        recipe: A recipe from which they start instead: a mapping, or a TOML file or picture.
        limits: Limits for the images.
        settings: Settings by name, such as ``size=512`` or ``steps=100``.

    Raises:
        ImageError: An image can't be read, or is too small or too large.
        RecipeError: A setting is wrong.
        StyleFileError: A style file can't be read, or is damaged.
        WeightsError: The weights of a network are missing or damaged.
        DeviceError: The device doesn't exist, or there is not enough memory.
        DivergenceError: The loss of the initial image isn't finite.

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
    """Make a stylized image; yield a Progress for the initial image and after every step.

    The arguments and errors are those of ``stylize``. Bad input is refused at once, before the
    first step. The iteration may be stopped at any time: the last Progress has the picture so far,
    ``progress.result()``. Save it by ``impasto.checkpoint.save(progress, path)`` to continue later
    by ``impasto.resume(path)``.
    """
    job = prepare(content, style, preset=preset, recipe=recipe, limits=limits, **settings)
    return run(job)


def resume(path: str | Path, *, steps: int | None = None) -> Iterator[Progress]:
    """Continue a run from a checkpoint; yield its progress as ``iterate`` does.

    Args:
        path: The checkpoint.
        steps: Replaces the total number of steps.

    Raises:
        CheckpointError: The file isn't there, is damaged, or doesn't fit ``steps``.
        DeviceError: This machine doesn't have the device, or not enough memory.
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
    """Check and read everything that a run needs, without starting it.

    The arguments and errors are those of ``stylize``.
    """
    pairs = weighted_styles(style)
    if "method" not in settings and preset is None and recipe is None:
        method_name = method_for([source for source, _ in pairs])
        if method_name is not None:
            settings["method"] = method_name
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
    # This comes first, because resizing to a large size may already need too much memory.
    plan = method.plan(chosen, device, *photo.fitted_size(size, chosen.resize))
    fitted_photo = photo.fitted(size, chosen.resize)
    masks = [read_mask(path, limits, size) for path, _ in regions]

    def fitted_mask(mask: Tensor) -> Tensor:
        return fit_mask(mask, fitted_photo.height, fitted_photo.width, chosen.feather)

    def painting(picture: Picture) -> Picture:
        return picture if picture.is_fixed else _painting(picture, chosen, size, fitted_photo)

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
    """Return a recipe with the selected precision and kernel, by which it can be reproduced."""
    selected = {"precision": device.precision, "kernel": device.kernel}
    fields = type(recipe).model_fields
    return recipe.model_copy(update={name: selected[name] for name in selected if name in fields})


def read_styles(style: Styles, limits: Limits | None = None) -> list[tuple[Source, float]]:
    """Return ``weighted_styles`` with images and style files read once, for many runs.

    Names of bundled and built-in styles remain names.
    """
    return [
        (
            source if _is_name(source) else _learned_style(source) or read(source, limits=limits),
            weight,
        )
        for source, weight in weighted_styles(style)
    ]


def method_for(sources: Sequence[Source]) -> str | None:
    """Return the method that styles need, or None if they are images.

    Built-in styles need the method ``instant``; style files and their names need ``learned``. The
    name of a bundled painting selects its style file, if there is one.
    """
    if any(_is_built_in(source) for source in sources):
        return method_for_built_in_styles()
    if any(_learned_style(source) is not None for source in sources):
        return method_for_learned_styles()
    return None


def in_one_pass(style: Styles) -> tuple[str, list[tuple[Source, float]]]:
    """Return the feed-forward method for styles, and the styles in the form that it accepts.

    The method is ``learned`` if there is a style file for each style, and ``instant`` otherwise. An
    image of a bundled painting is recognised by its SHA-256, and replaced by the name of its style
    file.
    """
    pairs = weighted_styles(style)
    if any(_is_built_in(source) for source, _ in pairs):
        return method_for_built_in_styles(), pairs
    learned = [(_as_learned(source), weight) for source, weight in pairs]
    found = [(source, weight) for source, weight in learned if source is not None]
    if len(found) == len(pairs):
        return method_for_learned_styles(), found
    return method_for_built_in_styles(), pairs


def _as_learned(source: Source) -> Source | None:
    """Return a style file, or the name of one, for a style; None if there is none."""
    if _learned_style(source) is not None:
        return source
    if isinstance(source, (str, Path)):
        return names.learned_from(Path(source))
    return None


def _is_built_in(source: Source) -> bool:
    """Return whether a source is the name of a built-in style."""
    return isinstance(source, str) and names.is_built_in(source)


def _is_name(source: Source) -> bool:
    """Return whether a source is the name of a bundled or built-in style."""
    return _is_built_in(source) or (isinstance(source, str) and names.painting(source) is not None)


def _read_style(source: Source, recipe: Recipe, limits: Limits | None, size: int) -> Picture:
    """Read a style, for a result of ``size`` px. It is an image, a style file or a name.

    Raises:
        ImageError: The image can't be read.
        StyleFileError: The style file can't be read, or is damaged.
        RecipeError: The method of the recipe doesn't accept this kind of style.
    """

    def needed_side(height: int, width: int) -> int:
        return _style_side(height, width, recipe, size)

    method = method_of(recipe)
    if isinstance(source, str) and names.is_built_in(source):
        if not method.accepts.built_in_styles:
            raise _wrong_method(source, method_for_built_in_styles(), method.name)
        return replace(read(styles.thumbnail(source)), name=source, sha256=None, built_in=True)
    is_bundled = isinstance(source, str) and names.painting(source) is not None
    if method.accepts.learned_styles or not is_bundled:
        learned = _learned_style(source)
        if learned is not None and not method.accepts.learned_styles:
            raise _wrong_method(learned.name, method_for_learned_styles(), method.name)
        if learned is not None:
            return learned
    try:
        path = names.painting(source) if isinstance(source, str) else None
        picture = read(path or source, limits=limits, needed_side=needed_side)
    except ImageError as error:
        if isinstance(source, str) and not Path(source).suffix and "no such file" in str(error):
            raise ImageError(f"{error}, nor a style of that name (impasto styles)") from error
        raise
    if not method.accepts.style_images:
        raise RecipeError(
            f"the method {method.name} needs a style file, and {picture.name} is an image; make a"
            " style file with impasto learn, or choose another method"
        )
    return picture


def _learned_style(source: Source) -> Picture | None:
    """Read a style file: a ``Picture`` of its thumbnail with its bytes. None for other sources.

    Raises:
        StyleFileError: The file can't be read, or is damaged.
    """
    if isinstance(source, Picture):
        return source if source.style_file is not None else None
    data, name = None, "the style"
    if isinstance(source, bytes):
        data = source if is_style_file(source) else None
    elif isinstance(source, (str, Path)):
        path, name = names.style_file(str(source)), str(source)
        data = None if path is None else read_bytes(path)
    elif isinstance(source, NamedFile):
        path, name = names.style_file(str(source.path)), source.name
        data = None if path is None else read_bytes(path)
    if data is None:
        return None
    info, _ = read_parameters(data, name)
    digest = hashlib.sha256(data).hexdigest()
    return replace(read(info.thumbnail), name=name, sha256=digest, style_file=data)


def _wrong_method(name: str, needed: str, chosen: str) -> RecipeError:
    """Return the error for a style whose method isn't the chosen one."""
    return RecipeError(f"{name} is a style of the method {needed}, not of {chosen}")


def run(job: Job, snapshot: Snapshot | None = None) -> Iterator[Progress]:
    """Run a prepared job; yield its progress as ``iterate`` does.

    Args:
        job: The job.
        snapshot: The snapshot from which the run continues, see ``checkpoint.load``.

    Raises:
        DeviceError: There is not enough memory.
    """
    job = replace(job, plan=method_of(job.recipe).plan_of(job))
    events = run_method(job, snapshot)
    return _with_notes(events, job.notes) if job.notes else events


def _with_notes(events: Iterator[Progress], notes: tuple[str, ...]) -> Iterator[Progress]:
    """Yield the events, the first with notes for the user about the images."""
    first = next(events)
    message = "; ".join([*notes, *filter(None, [first.message])])
    first = replace(first, message=message)
    yield first
    del first  # its image needn't stay in memory
    yield from events


def estimate(job: Job) -> Estimate:
    """Return the estimated time and memory of a run.

    Raises:
        DeviceError: There is not enough memory.
    """
    return method_of(job.recipe).estimate(job)


def weighted_styles(style: Styles) -> list[tuple[Source, float]]:
    """Return styles as pairs (style, weight); the default weight is 1."""
    items: Any = style  # type checkers can't distinguish a pair from a sequence of two
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
    """Return the style images, made transparent where their masks are black."""
    if paths and len(paths) != len(pictures):
        raise RecipeError(
            f"there should be one style mask for each painting, {len(pictures)}, not {len(paths)}"
        )
    if paths and pictures[0].is_fixed:
        raise RecipeError(
            f"{pictures[0].name} is a style that a network has learned: it has no image to mask"
        )
    masks = [read_mask(path, limits) for path in paths]
    return [
        _masked(picture, mask) for picture, mask in zip(pictures, masks, strict=bool(masks))
    ] or pictures


def _masked(picture: Picture, mask: Tensor) -> Picture:
    """Return a style image, made transparent where the mask is black."""
    alpha = resize(mask, picture.height, picture.width, "antialias")
    return replace(picture, alpha=alpha if picture.alpha is None else alpha * picture.alpha)


def _painting(picture: Picture, recipe: Recipe, size: int, content: Picture) -> Picture:
    """Return a style image resized, trimmed and recoloured as the recipe specifies."""
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
    """Return the long side, px, to which a style image of (height, width) px is resized."""
    short, long = sorted((height, width))
    minimum = math.ceil(MIN_SIDE_PX * long / short)
    return max(minimum, method_of(recipe).style_side(recipe, size))


def _normalized(weights: list[float]) -> tuple[float, ...]:
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise RecipeError("a style's weight should be a number of at least 0")
    total = sum(weights)
    if total == 0:
        raise RecipeError("the styles' weights are all zero; nothing would be painted")
    return tuple(weight / total for weight in weights)
