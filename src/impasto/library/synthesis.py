"""Pictures of one image alone: a texture that is painted as the image is, and what is left of the
image in the layers of the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

from PIL import Image

from impasto.base.errors import RecipeError
from impasto.images import write
from impasto.images.limits import MIN_SIDE_PX, Limits
from impasto.images.picture import Picture
from impasto.images.read import Source, read
from impasto.images.sheet import Panel, contact_sheet
from impasto.library import api, series
from impasto.networks.layers import alias
from impasto.runs.job import Job
from impasto.runs.progress import last
from impasto.runs.result import Result
from impasto.settings.keywords import SettingsKeywords
from impasto.settings.recipe import Recipe

Term = Literal["content", "style"]
Layers = str | Sequence[str] | Mapping[str, float]
"""As the recipe takes them: names, with weights or without."""

NO_PHOTO: dict[str, Any] = {
    "content_weight": 0.0, "color": "style", "mask": None, "detail": 0.0, "underpaint": 0.0,
    "mix": 1.0, "print": None, "enlarge": "guided", "method": "optimize",
}  # fmt: skip
"""A texture's settings that would be about the photo, which it hasn't got."""

FIGURE: dict[Term, list[list[str]]] = {
    "content": [[f"block{block}_conv2"] for block in range(1, 6)],
    "style": [[f"block{low}_conv1" for low in range(1, top + 1)] for top in range(1, 6)],
}
"""The layers of figure 1 in Gatys et al. 2016, panel by panel."""

RECONSTRUCTION: dict[str, Any] = {
    "init": "noise",
    "pooling": "avg",
    "unit_activations": True,
    "style_loss": "gram",
    "loss_form": "relative",
    "style_goal": 0,
    "figures": 1,
    "palette": 0,
    "polish": 0,
    "balance": "weights",
    "tv_norm": "l2",
    "scales": 1,
    "solver": "lbfgs",
    "steps": 120,
    "size": 256,
}
"""What the paper's figure is made with, where nothing else is given."""
SMOOTHNESS: dict[Term, float] = {"content": 0.5, "style": 0.05}
"""The weight of total variation: without it high layers leave most of the noise as it is, and all
layers take several times the steps; with much of it the lowest style layers are blurred.
"""
ONE_TERM: dict[Term, dict[str, Any]] = {
    "content": {"content_weight": 1.0, "style_weight": 0.0, "style_layers": "block1_conv1"},
    "style": {"content_weight": 0.0, "style_weight": 1.0, "content_layers": "block1_conv1"},
}
"""The other one isn't looked at; its layers only mustn't be higher."""


def texture(
    style: api.Styles,
    width: int,
    height: int,
    *,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    limits: Limits | None = None,
    **settings: Unpack[SettingsKeywords],
) -> Result:
    """Paint ``width`` × ``height`` px of nothing but style, from noise.

    Arguments and errors as for ``impasto.stylize``. With ``seamless=True`` the edges fit together.
    Strokes are as large as if the painting's long side were the texture's, times ``style_scale``.

    >>> impasto.texture("painting.jpg", 1024, 512, seamless=True).save("tile.png")
    """
    job = prepare_texture(
        style, width, height, preset=preset, recipe=recipe, limits=limits, **settings
    )
    return _finished(job)


def prepare_texture(
    style: api.Styles,
    width: int,
    height: int,
    *,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    limits: Limits | None = None,
    **settings: Unpack[SettingsKeywords],
) -> Job:
    """Check and read everything for ``texture``, for ``impasto.run``."""
    if min(width, height) < MIN_SIDE_PX:
        raise RecipeError(
            f"a texture of {width}×{height} px is too small; both sides need at least"
            f" {MIN_SIDE_PX} px"
        )
    for name in ("size", *NO_PHOTO):
        if name in settings:
            why = "its width and height" if name == "size" else "no photo"
            raise RecipeError(f"{name} can't be set for a texture: it has {why}")
    styles = [
        (read(source, limits=limits), weight) for source, weight in api.weighted_styles(style)
    ]
    return api.prepare(
        Picture.grey(width, height, styles[0][0].name),
        styles,
        preset=preset,
        recipe=recipe,
        limits=limits,
        **{"init": "noise", **settings, **NO_PHOTO, "size": max(width, height)},
    )


def reconstruct(
    image: Source,
    from_: Term = "content",
    *,
    layers: Layers,
    limits: Limits | None = None,
    **settings: Unpack[SettingsKeywords],
) -> Result:
    """What some layers of the network know of ``image``, made visible: noise is changed until it
    has the same features there (``from_`` content), or the same statistics (style), as in figure 1
    of Gatys et al. 2016.

    ``settings`` are recipe keys, over those in RECONSTRUCTION. Errors as for ``impasto.stylize``.

    >>> impasto.reconstruct("photo.jpg", layers="block4_conv2").save("seen.png")
    """
    return _finished(prepare_reconstruction(image, from_, layers, limits=limits, **settings))


def prepare_reconstruction(
    image: Source,
    from_: Term,
    layers: Layers,
    *,
    limits: Limits | None = None,
    **settings: Unpack[SettingsKeywords],
) -> Job:
    """Check and read everything for ``reconstruct``, for ``impasto.run``."""
    chosen = {**_one_term(from_, settings), f"{from_}_layers": layers}
    picture = read(image, limits=limits)
    return api.prepare(picture, picture, limits=limits, **chosen)


def plan_figure(
    image: Source,
    from_: Term,
    *,
    limits: Limits | None = None,
    **settings: Unpack[SettingsKeywords],
) -> list[series.Variation]:
    """The reconstructions of the paper's figure, checked; see FIGURE for their layers."""
    grid = {f"{from_}_layers": FIGURE[from_]}
    picture = read(image, limits=limits)
    chosen = _one_term(from_, settings)
    return series.plan(picture, picture, grid=grid, limits=limits, **chosen)


def figure(job: Job, from_: Term, pictures: Sequence[Image.Image]) -> Image.Image:
    """The labelled sheet: the image of any of the figure's jobs, then the reconstructions that are
    there.
    """
    pixels = job.content.rgb[0].permute(1, 2, 0).numpy()
    panels = [Panel(Image.fromarray(write.quantize(pixels, 8)), "original")]
    for layers, picture in zip(FIGURE[from_], pictures, strict=False):
        names = [alias(layer).replace("relu", "conv") for layer in layers]
        label = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
        panels.append(Panel(picture, label))
    return contact_sheet([panels])


def _one_term(from_: Term, settings: Mapping[str, Any]) -> dict[str, Any]:
    if from_ not in ONE_TERM:
        raise RecipeError(f"an image is reconstructed from content or from style, not '{from_}'")
    return {**RECONSTRUCTION, "tv_weight": SMOOTHNESS[from_], **settings, **ONE_TERM[from_]}


def _finished(job: Job) -> Result:
    return last(api.run(job)).result()
