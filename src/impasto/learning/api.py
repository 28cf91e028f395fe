"""The functions that train networks. All user interfaces call them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from impasto.learning.training import (
    LearnProgress,
    TrainingJob,
    TrainingState,
    shape_of,
    train,
)
from impasto.library import api
from impasto.methods.feed_forward.plan import COARSEST_PX
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.networks.learned import initial_parameters
from impasto.networks.transformer import Parameters
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
"""Default recipe of a training: the preset ``studio`` with more weight on large shapes. ``figures``
is 1 because a network, unlike an optimisation, can't copy the things that a painting shows into a
photo. Chosen by eye; benchmarks/learn.py measures the result.
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
"""Default recipe of a training with pairs. The content loss compares the picture with the artwork
instead of the photo. Large shapes are learned from the pair, so the style losses only use layers
that respond to strokes; see benchmarks/pairs.py.
"""
PAIR_SETTINGS: Mapping[str, Any] = {"crop": 192, "steadiness": 0, "learning_rate": 3e-3}
"""Default settings of a training with pairs. Steadiness is 0: its second view varies in brightness,
and this network must not learn to ignore brightness, on which an artist's tones depend. With half
of this learning rate, the error for the artist ``cutout`` was a sixth higher after 300 steps
(benchmarks/pairs.py).
"""


def learn(
    style: api.Styles | None = None,
    *,
    pairs: Sequence[tuple[Source, Source]] = (),
    **arguments: Any,
) -> bytes:
    """Train a network for a style, or with pairs, and return its style file.

    Args:
        style: The style image, or several by one artist, as for ``impasto.stylize``.
        pairs: Pairs of a photo and an artwork that depicts it, instead of style images.
        arguments: ``photos``, the folder of training photos; ``name``, ``author`` and ``licence``,
            which are written into the style file; ``preset``, ``recipe`` and ``look``, the settings
            of the objective; and settings of the training such as ``quality`` and ``time``.

    Returns:
        The bytes of the style file.

    Raises:
        ImageError, RecipeError, DeviceError, WeightsError: As for ``impasto.stylize``.

    >>> Path("swirl.style").write_bytes(impasto.learn("painting.jpg", time="3m"))
    >>> impasto.stylize("photo.jpg", "swirl.style").save("stylized.png")
    """
    if (style is None) == (not pairs):
        raise RecipeError("either a style image or pairs are needed to train a network")
    if style is None:
        training_job = prepare_pair_training(pairs, **arguments)
    else:
        training_job = prepare_training(style, **arguments)
    (progress,) = deque(iterate_training(training_job), maxlen=1)
    return style_bytes(progress)


def iterate_training(
    training_job: TrainingJob, state: TrainingState | None = None
) -> Iterator[LearnProgress]:
    """Train a network; yield the progress before the first step and after every step.

    Args:
        training_job: The inputs of the training.
        state: The state to continue from. By default, the training starts anew.
    """
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
    """Validate the settings and read the images of a training, without starting it.

    Args:
        style: The style image, or several by one artist.
        photos: A folder of photos to train with, in addition to the bundled ones.
        name: The name of the style. By default, the name of the style image's file.
        author: The author of the style.
        licence: The terms under which the style file may be used.
        preset: The preset from which the settings of the objective start.
        recipe: A recipe from which they start instead.
        limits: Limits for the images.
        look: Settings of the objective by name, such as ``strength`` and ``style_scale``.
        settings: Settings of the training, see ``LearnSettings``.

    Raises:
        ImageError, RecipeError, DeviceError, WeightsError: As for ``impasto.stylize``.
    """
    training_settings = learn_settings(settings)
    if preset is None and recipe is None:
        recipe = LOOK
    styles = _check_style_images(api.read_styles(style, limits))
    job = _prepare_look(styles, preset, recipe, limits, look)
    folder = None if photos is None else str(photos)
    return TrainingJob(
        settings=training_settings,
        look=job,
        photos=training_photos(folder, limits),
        folder=folder,
        name=name or Path(job.styles[0].name).stem[:80] or "style",
        author=author,
        licence=licence,
        start=start_parameters(training_settings.network),
    )


def prepare_pair_training(
    pairs: Sequence[tuple[Source, Source]], *, limits: Limits | None = None, **arguments: Any
) -> TrainingJob:
    """Read and align pairs of a photo and an artwork, without starting the training.

    If an artwork can't be aligned to its photo, only its style is learned. If none can, the
    result is that of ``prepare_training`` with the artworks as style images. The notes of the
    training job report this.

    Args:
        pairs: Each photo with the artwork that depicts it.
        limits: Limits for the images.
        arguments: The other arguments of ``prepare_training``.

    Raises:
        MissingExtraError: OpenCV isn't installed.
        ImageError, RecipeError, DeviceError, WeightsError: As for ``impasto.stylize``.
    """
    entries = [
        _ReadPair.aligned(_read(photo, limits), _read(artwork, limits)) for photo, artwork in pairs
    ]
    # Pairs that fit come first, so the first artworks are those of ``TrainingJob.pairs``.
    entries.sort(key=lambda entry: not entry.fits)
    fitting = tuple(entry.pair for entry in entries if entry.fits)
    if fitting:
        arguments = {**PAIR_SETTINGS, **arguments}
        if arguments.get("preset") is None and arguments.get("recipe") is None:
            arguments["recipe"] = PAIR_LOOK
    styles: list[Source] = [entry.artwork for entry in entries]
    training_job = replace(
        prepare_training(styles, limits=limits, **arguments),
        notes=tuple(entry.note for entry in entries),
    )
    if not fitting:
        return training_job
    return replace(training_job, pairs=fitting, start=_pair_start(training_job.settings, fitting))


def _pair_start(settings: LearnSettings, pairs: Sequence[AlignedPair]) -> Parameters:
    """Return the parameters from which a training with pairs starts.

    The network reproduces its input, which is the photo through the colour map that fits the pairs.
    """
    start = start_parameters(settings.network, normalised=False)
    if start is None:
        start = initial_parameters(shape_of(settings.network, has_pairs=True), settings.seed)
    return {**start, "style": fit_tones([pair.as_floats() for pair in pairs]).colours}


@dataclass(frozen=True)
class _ReadPair:
    """A photo and an artwork, and how they were aligned."""

    photo: Picture
    artwork: Picture
    pair: AlignedPair
    fits: bool

    @classmethod
    def aligned(cls, photo: Picture, artwork: Picture) -> _ReadPair:
        return cls(photo, artwork, *make_pair(photo, artwork))

    @property
    def note(self) -> str:
        """A sentence for the user: how much of the artwork fits the photo."""
        share = f"{self.pair.trusted_share:.0%}"
        if self.fits:
            return f"{self.artwork.name} fits {self.photo.name} in {share} of the area"
        return (
            f"{self.artwork.name} doesn't show what {self.photo.name} shows (only {share} of the"
            " area fits): only its style is learned"
        )


def _read(source: Source, limits: Limits | None) -> Picture:
    """Read an image of a pair.

    Raises:
        ImageError: The image can't be read, or is too small.
    """
    picture = read(source, limits=limits, needed_side=lambda *_: COARSEST_PX)
    _check_style_images([(picture, 1.0)])
    return picture


def _prepare_look(
    styles: list[tuple[Source, float]],
    preset: str | None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None,
    limits: Limits | None,
    look: Mapping[str, Any],
) -> Job:
    """Return a job with the style images, the recipe and the device of a training.

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
            f"a training needs a recipe of the method optimize, not {job.recipe.method}"
        )
    return job


def _check_style_images(styles: list[tuple[Source, float]]) -> list[tuple[Source, float]]:
    """Return the styles with their weights, if a network can learn from each of them.

    Raises:
        ImageError: A style is not an image, or the image is too small.
    """
    for picture, _ in styles:
        if not isinstance(picture, Picture):
            continue
        if picture.is_fixed:
            raise ImageError(
                f"{picture.name} is a style that a network has learned already; training needs an"
                " image"
            )
        if min(picture.size_in_file) < MIN_STYLE_PX:
            height, width = picture.size_in_file
            raise ImageError(
                f"{picture.name} is {width}×{height} px; at least {MIN_STYLE_PX} px on each side"
                " are needed to learn a style"
            )
    return styles


def changed_length(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Validate the settings that change the length of a resumed training, and return them.

    Args:
        settings: Settings by name; only ``time`` and ``steps`` are used.

    Raises:
        RecipeError: A setting is out of bounds.
    """
    changed = {name: settings[name] for name in ("time", "steps") if settings.get(name) is not None}
    checked = learn_settings(changed)
    return {name: getattr(checked, name) for name in changed}


def learn_settings(values: Mapping[str, Any]) -> LearnSettings:
    """Validate the settings of a training, and return them.

    Raises:
        RecipeError: A setting is unknown or out of bounds.
    """
    try:
        return LearnSettings.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"{name}: {first['msg']}, not {str(first['input'])[:40]}") from error
