"""The functions that learn a style, on which the user interfaces are built."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from impasto.base.errors import ImageError, RecipeError
from impasto.images.limits import Limits
from impasto.images.picture import Picture
from impasto.images.read import Source, read
from impasto.learning.pairs import AlignedPair, make_pair
from impasto.learning.photos import training_photos
from impasto.learning.settings import MIN_STYLE_PX, LearnSettings
from impasto.learning.start import start_parameters
from impasto.learning.style import style_bytes
from impasto.learning.tones import fit_tones
from impasto.learning.training import LearnProgress, TrainingJob, TrainingState, train
from impasto.library import api
from impasto.methods.feed_forward.plan import COARSEST_PX
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.networks.learned import initial_parameters
from impasto.runs.job import Job
from impasto.settings.recipe import Recipe

LOOK: Mapping[str, Any] = {
    "preset": "studio",
    "style_layers": {
        "block1_conv1": 0.2,
        "block2_conv1": 0.2,
        "block3_conv1": 0.25,
        "block4_conv1": 0.2,
        "block5_conv1": 0.15,
    },
    "plain_style_layers": {},
    "figures": 1,
    "style_loss": {"w2": 1, "swd": 1},
    "style_goal": 0.15,
    "content_weight": 0.08,
}
"""The look from which a training starts by default: that of the preset ``studio``, with more weight
on large shapes. A network can't copy things that a painting shows into a photo, as an optimisation
does, so nothing needs to be left out. Chosen by eye and by docs/learned-styles.md.
"""


PAIR_LOOK: Mapping[str, Any] = {
    "preset": "studio",
    "content_layers": {"block2_conv2": 1, "block3_conv2": 1},
    "content_weight": 0.5,
    "style_layers": {"block1_conv1": 0.3, "block2_conv1": 0.35, "block3_conv1": 0.35},
    "plain_style_layers": {},
    "figures": 1,
    "style_loss": {"w2": 1, "swd": 1},
    "style_goal": 0,
    "style_weight": 1.0,
    "tv_weight": 0,
    "trim": 0,
}
"""The look from which a training with pairs starts by default. The content layers compare with the
artwork instead of the photo. Large shapes come from the pair, so the style losses only see strokes;
see benchmarks/pairs.py.
"""
PAIR_SETTINGS: Mapping[str, Any] = {"crop": 192, "steadiness": 0, "learning_rate": 3e-3}
"""Defaults of a training with pairs. A network without normalisation paints a place alike whatever
is around it, and its tones depend on brightness, so it shouldn't learn to ignore that. With half of
this step length, cut-outs were a sixth worse after 300 steps (benchmarks/pairs.py).
"""


def learn(
    style: api.Styles | None = None,
    *,
    pairs: Sequence[tuple[Source, Source]] = (),
    **arguments: Any,
) -> bytes:
    """Train a network for a style, or by pairs, and return its style file.

    Args:
        style: The style image, or several of one artist, as for ``impasto.stylize``.
        pairs: Pairs of a photo and an artwork that depicts it, instead of style images.
        arguments: Those of ``prepare_training``.

    Raises:
        ImageError, RecipeError, DeviceError, WeightsError: As for ``impasto.stylize``.

    >>> Path("swirl.style").write_bytes(impasto.learn("painting.jpg", time="3m"))
    >>> impasto.stylize("photo.jpg", "swirl.style").save("stylized.png")
    """
    if (style is None) == (not pairs):
        raise RecipeError("either a style image or pairs are needed to learn from")
    if style is None:
        training_job = prepare_pair_training(pairs, **arguments)
    else:
        training_job = prepare_training(style, **arguments)
    (progress,) = deque(iterate_training(training_job), maxlen=1)
    return style_bytes(progress)


def iterate_training(
    training_job: TrainingJob, state: TrainingState | None = None
) -> Iterator[LearnProgress]:
    """Train a network; yield the progress before the first step and after every step."""
    return train(training_job, state)


def prepare_training(
    style: api.Styles,
    *,
    photos: str | Path | None = None,
    name: str | None = None,
    author: str | None = None,
    licence: str | None = None,
    preset: str | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    limits: Limits | None = None,
    look: Mapping[str, Any] = {},
    **settings: Any,
) -> TrainingJob:
    """Check and read everything that a training needs, without starting it.

    Args:
        style: The style image, or several of one artist.
        photos: A folder of photos to train with, besides the bundled ones.
        name: The name of the style, by default that of the style image.
        author: Who made the style.
        licence: The terms under which the style file may be used.
        preset: The preset of the look.
        recipe: A recipe of the look instead.
        limits: Limits for the images.
        look: Settings of the look by name, such as ``strength`` and ``style_scale``.
        settings: Settings of the training: ``network``, ``quality``, ``time``, ``steps``, …

    Raises:
        ImageError, RecipeError, DeviceError, WeightsError: As for ``impasto.stylize``.
    """
    chosen = learn_settings(settings)
    if preset is None and recipe is None:
        recipe = LOOK
    job = _job(_learnable(api.read_styles(style, limits)), preset, recipe, limits, look)
    folder = None if photos is None else str(photos)
    return TrainingJob(
        settings=chosen,
        look=job,
        photos=training_photos(folder, limits),
        folder=folder,
        name=name or Path(job.styles[0].name).stem[:80] or "style",
        author=author,
        licence=licence,
        start=start_parameters(chosen.network),
    )


def prepare_pair_training(
    pairs: Sequence[tuple[Source, Source]], *, limits: Limits | None = None, **arguments: Any
) -> TrainingJob:
    """Check, read and align pairs of a photo and an artwork, without starting the training.

    From pairs that don't fit, only the style of the artwork is learned. If no pair fits, the result
    is that of ``prepare_training`` with the artworks as style images. The notes say so.

    Args:
        pairs: The photos and the artworks that depict them.
        limits: Limits for the images.
        arguments: The other arguments of ``prepare_training``.

    Raises:
        MissingExtraError: OpenCV isn't installed.
        ImageError, RecipeError, DeviceError, WeightsError: As for ``impasto.stylize``.
    """
    read_pairs = [(_read(photo, limits), _read(artwork, limits)) for photo, artwork in pairs]
    made = [(*make_pair(photo, artwork), photo, artwork) for photo, artwork in read_pairs]
    # The artworks of pairs that fit come first, in the order of the pairs.
    made.sort(key=lambda each: not each[1])
    notes = tuple(_fit_note(pair, fits, *images) for pair, fits, *images in made)
    fitting = tuple(pair for pair, fits, *_ in made if fits)
    if fitting:
        arguments = {**PAIR_SETTINGS, **arguments}
        if arguments.get("preset") is None and arguments.get("recipe") is None:
            arguments["recipe"] = PAIR_LOOK
    styles: list[Source] = [artwork for *_, artwork in made]
    training_job = prepare_training(styles, limits=limits, **arguments)
    if fitting:
        start = start_parameters(training_job.settings.network, normalised=False)
        training_job = replace(training_job, pairs=fitting)
        start = start or initial_parameters(training_job.shape, training_job.settings.seed)
        start["style"] = fit_tones([pair.as_floats() for pair in fitting]).colours
        training_job = replace(training_job, start=start)
    return replace(training_job, notes=notes)


def _read(source: Source, limits: Limits | None) -> Picture:
    """Read an image of a pair.

    Raises:
        ImageError: It can't be read, or is too small.
    """
    picture = read(source, limits=limits, needed_side=lambda *_: COARSEST_PX)
    _learnable([(picture, 1.0)])
    return picture


def _fit_note(pair: AlignedPair, fits: bool, photo: Picture, artwork: Picture) -> str:
    """Return a sentence about how much of an artwork fits its photo."""
    share = f"{pair.trusted_share:.0%}"
    if fits:
        return f"{artwork.name} fits {photo.name} in {share} of its area"
    return (
        f"{artwork.name} doesn't show what {photo.name} shows (only {share} of the area fits), so"
        " only its style is learned"
    )


def _job(
    styles: list[tuple[Source, float]],
    preset: str | None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None,
    limits: Limits | None,
    look: Mapping[str, Any],
) -> Job:
    """Return the job of a training: its style images, the recipe of the look, and the device.

    Raises:
        RecipeError: The recipe isn't one of the method optimize.
    """
    job = api.prepare(
        Picture.probe(COARSEST_PX, COARSEST_PX),
        styles,
        preset=preset,
        recipe=recipe,
        limits=limits,
        **{**look, "size": COARSEST_PX},
    )
    if not isinstance(job.recipe, OptimizeSettings):
        raise RecipeError(
            f"a network learns from style images by the method optimize, not {job.recipe.method}"
        )
    return job


def _learnable(pairs: list[tuple[Source, float]]) -> list[tuple[Source, float]]:
    """Return style images, or raise ImageError if nothing can be learned from one of them."""
    for picture, _ in pairs:
        if not isinstance(picture, Picture):
            continue
        if picture.is_fixed:
            raise ImageError(
                f"{picture.name} is a style that a network has learned already; a picture is needed"
                " to learn from"
            )
        if min(picture.size_in_file) < MIN_STYLE_PX:
            height, width = picture.size_in_file
            raise ImageError(
                f"{picture.name} is {width}×{height} px; at least {MIN_STYLE_PX} px on each side"
                " are needed to learn a style"
            )
    return pairs


def changed_length(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that change the length of a resumed training, checked."""
    changed = {name: settings[name] for name in ("time", "steps") if settings.get(name) is not None}
    checked = learn_settings(changed)
    return {name: getattr(checked, name) for name in changed}


def learn_settings(values: Mapping[str, Any]) -> LearnSettings:
    """Return the settings of a training.

    Raises:
        RecipeError: A setting is unknown or out of bounds.
    """
    try:
        return LearnSettings.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"{name}: {first['msg']}, not {str(first['input'])[:40]}") from error
