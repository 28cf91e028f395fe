"""Two images and some settings → a stylized image: the functions that everything else calls."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto import checkpoint, devices, memory
from impasto.errors import ImageError, RecipeError
from impasto.images.color import match_histogram, match_palette
from impasto.images.limits import Limits
from impasto.images.masks import fit_mask, read_mask, visible
from impasto.images.picture import MIN_SIDE_PX, Picture
from impasto.images.read import Source, read
from impasto.images.sizes import fit_long_side, resize
from impasto.losses.objective import Objective
from impasto.losses.style import Region, Style
from impasto.memory import Plan
from impasto.methods.optimize import Scale, make_engine, memory_plan, painted_size, plan_scales
from impasto.methods.registry import METHODS
from impasto.networks import weights as catalogue
from impasto.recipe import Recipe, build
from impasto.result import Job, Progress, Result, Snapshot

INITS = ("content", "noise", "style")


def stylize(
    content: Source,
    style: Source | Iterable[Source],
    *,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    limits: Limits | None = None,
    **settings: Any,
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
    *_, finished = events
    return finished.result()


def iterate(
    content: Source,
    style: Source | Iterable[Source],
    *,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    limits: Limits | None = None,
    **settings: Any,
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
    style: Source | Iterable[Source],
    *,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    limits: Limits | None = None,
    **settings: Any,
) -> Job:
    """Check and read everything a run needs, without starting it. Arguments as for ``stylize``."""
    chosen = build(settings, preset=preset, recipe=recipe)
    device = devices.choose(chosen.device, chosen.precision)
    catalogue.verified_path(catalogue.find(chosen.weights))  # sooner rather than later
    pairs = weighted_styles(style)
    photo = read(content, limits=limits)
    pictures = [read(source, limits=limits) for source, _ in pairs]
    # Before anything is resized: a large size is too much for that already.
    height, width = fit_long_side(photo.height, photo.width, chosen.size, chosen.resize)
    limit_mb = memory.limit_mb(chosen, device.device)
    plan = memory.plan(
        memory.Demand.of(chosen, *painted_size(chosen, height, width), device.dtype), limit_mb
    )
    content_picture = photo.fitted(chosen.size, chosen.resize)
    pictures = _style_masked(pictures, chosen.style_mask, limits)
    masks = [read_mask(path, limits) for path in chosen.region]
    region_pictures = [read(path, limits=limits) for path in chosen.region.values()]

    def fitted_mask(mask: Tensor) -> Tensor:
        return fit_mask(mask, content_picture.height, content_picture.width, chosen.feather)

    paintings = [_painting(picture, chosen, content_picture) for picture in pictures]
    region_paintings = [_painting(picture, chosen, content_picture) for picture in region_pictures]
    for painting in (*paintings, *region_paintings):
        if chosen.style_scale > 1 and plan.plain:  # in bands, any size can be looked at
            itemsize = device.dtype.itemsize
            memory.check_glance(painting.height, painting.width, itemsize, limit_mb)
    return Job(
        recipe=chosen,
        content=content_picture,
        styles=tuple(paintings),
        style_weights=_normalized([weight for _, weight in pairs]),
        device=device,
        init=None if chosen.init in INITS else _initial(chosen.init, limits),
        mask=None if chosen.mask is None else fitted_mask(read_mask(chosen.mask, limits)),
        regions=tuple(zip(map(fitted_mask, masks), region_paintings, strict=True)),
    )


def run(job: Job, snapshot: Snapshot | None = None) -> Iterator[Progress]:
    """Run a prepared job, or go on with it. Raises DeviceError: there is not enough memory."""
    memory_plan(job)
    return METHODS[job.recipe.method](job, snapshot)


@dataclass(frozen=True)
class Estimate:
    """What a run would take: ``scales`` with their sizes and steps, the plan for its memory,
    ``seconds`` without start-up.
    """

    scales: tuple[Scale, ...]
    memory: Plan
    seconds: float


PROBE_LONG_SIDE_PX = 256


def estimate(job: Job) -> Estimate:
    """Estimate a run by doing two steps of it in small: a step's time grows with the pixels."""
    recipe = job.recipe
    scales = tuple(plan_scales(recipe, job.content.height, job.content.width))
    probe = torch.full(
        (1, 3, PROBE_LONG_SIDE_PX, PROBE_LONG_SIDE_PX), 0.5, device=job.device.device
    )
    objective = Objective(make_engine(job), recipe, probe, [Region([Style(probe)])])
    objective.losses_and_gradient(probe)  # the first call also warms up
    started = time.perf_counter()
    objective.losses_and_gradient(probe)
    per_pixel = (time.perf_counter() - started) / PROBE_LONG_SIDE_PX**2
    plan = memory_plan(job)
    seconds = per_pixel * sum(scale.work for scale in scales) * plan.slowdown
    return Estimate(
        scales=scales,
        memory=plan,
        seconds=min(seconds, recipe.time_budget or math.inf),
    )


def weighted_styles(style: Source | Iterable[Source]) -> list[tuple[Source, float]]:
    """One style, a pair (style, weight), or a list of either → pairs."""

    def is_pair(item: Any) -> bool:
        pair = isinstance(item, (list, tuple)) and len(item) == 2
        return pair and isinstance(item[1], (int, float))

    if is_pair(style) or not isinstance(style, (list, tuple)):
        style = [style]
    pairs = [(item[0], float(item[1])) if is_pair(item) else (item, 1.0) for item in style]
    if not pairs:
        raise RecipeError("no style image was given; at least one is needed")
    return pairs


def _style_masked(
    pictures: list[Picture], paths: tuple[str, ...], limits: Limits | None
) -> list[Picture]:
    """The paintings, transparent where their masks are black."""
    if paths and len(paths) != len(pictures):
        raise RecipeError(
            f"there should be one style mask for each painting, {len(pictures)}, not {len(paths)}"
        )
    masks = [read_mask(path, limits) for path in paths]
    return [
        _only_within(picture, mask) for picture, mask in zip(pictures, masks, strict=bool(masks))
    ] or pictures


def _only_within(picture: Picture, mask: Tensor) -> Picture:
    """The painting, transparent where it was and where the mask is black."""
    alpha = resize(mask, picture.height, picture.width, "antialias")
    return replace(picture, alpha=alpha if picture.alpha is None else alpha * picture.alpha)


def _painting(picture: Picture, recipe: Recipe, content: Picture) -> Picture:
    """A painting as the recipe asks for it: its size, without its edges, in the photo's colours."""
    short, long = sorted((picture.height, picture.width))
    least = math.ceil(MIN_SIDE_PX * long / short)
    size = max(least, round(recipe.size * recipe.style_scale))
    fitted = picture.fitted(size, recipe.resize).trimmed(recipe.trim)
    if fitted.alpha is not None and fitted.alpha.max() == 0:
        raise ImageError(f"{picture.name} is transparent or masked: there is nothing to paint with")
    recolor = {"match": match_palette, "histogram": match_histogram}.get(recipe.color)
    if recolor is None:
        return fitted
    rgb = recolor(fitted.rgb, content.rgb, visible(fitted), visible(content))
    return replace(fitted, rgb=rgb)


def _normalized(weights: list[float]) -> tuple[float, ...]:
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise RecipeError("a style's weight should be a number of at least 0")
    total = sum(weights)
    if total == 0:
        raise RecipeError("the styles' weights are all zero; nothing would be painted")
    return tuple(weight / total for weight in weights)


def _initial(init: str, limits: Limits | None) -> Any:
    try:
        return read(init, limits=limits)
    except ImageError as error:
        choices = ", ".join(INITS)
        raise ImageError(f"the initial image is one of {choices}, or a file: {error}") from error
