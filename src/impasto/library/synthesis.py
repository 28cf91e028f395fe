"""Pictures made from a single image: textures, and reconstructions from layers of the encoder."""

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
"""Names of layers, with or without weights, as in a recipe."""

NO_PHOTO: dict[str, Any] = {
    "content_weight": 0.0, "color": "style", "mask": None, "detail": 0.0, "underpaint": 0.0,
    "mix": 1.0, "print": None, "enlarge": "guided", "method": "optimize",
}  # fmt: skip
"""Settings that concern the photo, with the values for a texture, which has no photo."""

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
"""The default settings of reconstructions, after the figure in the paper."""
SMOOTHNESS: dict[Term, float] = {"content": 0.5, "style": 0.05}
"""The weight of total variation. Without it, reconstructions from high layers keep most of the
noise, and all layers need several times as many steps. Too large a weight blurs the lowest style
layers.
"""
ONE_TERM: dict[Term, dict[str, Any]] = {
    "content": {"content_weight": 1.0, "style_weight": 0.0, "style_layers": "block1_conv1"},
    "style": {"content_weight": 0.0, "style_weight": 1.0, "content_layers": "block1_conv1"},
}
"""Settings that leave out the other term. Its layers must not be higher than the chosen ones."""


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
    """Paint a texture of ``width`` × ``height`` px in a style, from noise, without a photo.

    The other arguments and the errors are those of ``impasto.stylize``. With ``seamless=True``,
    opposite edges fit together. Strokes have the size that they would have if the style image were
    as long as the texture, times ``style_scale``.

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
    """Return the job of ``texture``, for ``impasto.run``."""
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
    """Reconstruct an image from layers of the encoder, as in figure 1 of Gatys et al. 2016.

    Noise is optimised until it has the same features as the image in these layers, or the same
    statistics. The result shows what the layers represent. The errors are those of
    ``impasto.stylize``.

    Args:
        image: The image.
        from_: "content" for features, "style" for statistics.
        layers: The layers, with or without weights.
        limits: Limits for the image.
        settings: Settings by name, which replace those in ``RECONSTRUCTION``.

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
    """Return the job of ``reconstruct``, for ``impasto.run``."""
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
    """Return the runs of the paper's figure, checked; ``FIGURE`` has their layers."""
    grid = {f"{from_}_layers": FIGURE[from_]}
    picture = read(image, limits=limits)
    chosen = _one_term(from_, settings)
    return series.plan(picture, picture, grid=grid, limits=limits, **chosen)


def figure(job: Job, from_: Term, pictures: Sequence[Image.Image]) -> Image.Image:
    """Return the labelled sheet of the paper's figure.

    Args:
        job: Any of the jobs, for the original image.
        from_: The term of the reconstructions.
        pictures: The reconstructions made so far, in the order of ``FIGURE``.
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
