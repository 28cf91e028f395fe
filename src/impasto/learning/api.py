"""The functions that learn a style, on which the user interfaces are built."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from impasto.base.errors import ImageError, RecipeError
from impasto.images.limits import Limits
from impasto.images.picture import Picture
from impasto.images.read import Source
from impasto.learning.photos import training_photos
from impasto.learning.settings import MIN_STYLE_PX, LearnSettings
from impasto.learning.start import start_parameters
from impasto.learning.style import style_bytes
from impasto.learning.training import LearnProgress, Lesson, TrainingState, train
from impasto.library import api
from impasto.methods.feed_forward.plan import COARSEST_PX
from impasto.methods.optimize.settings import OptimizeSettings
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


def learn(
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
) -> bytes:
    """Train a network for a style, and return its style file.

    Args:
        style: The style image, or several of one artist, as for ``impasto.stylize``.
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

    >>> Path("swirl.style").write_bytes(impasto.learn("painting.jpg", time="3m"))
    >>> impasto.stylize("photo.jpg", "swirl.style").save("stylized.png")
    """
    lesson = prepare_lesson(
        style,
        photos=photos,
        name=name,
        author=author,
        licence=licence,
        preset=preset,
        recipe=recipe,
        limits=limits,
        look=look,
        **settings,
    )
    (progress,) = deque(iterate_lesson(lesson), maxlen=1)
    return style_bytes(progress)


def iterate_lesson(lesson: Lesson, state: TrainingState | None = None) -> Iterator[LearnProgress]:
    """Train a network; yield the progress before the first step and after every step."""
    return train(lesson, state)


def prepare_lesson(
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
) -> Lesson:
    """Check and read everything that a training needs, without starting it.

    The arguments and errors are those of ``learn``.
    """
    chosen = learn_settings(settings)
    if preset is None and recipe is None:
        recipe = LOOK
    pairs = _large_enough(api.read_styles(style, limits))
    job = api.prepare(
        Picture.probe(COARSEST_PX, COARSEST_PX),
        pairs,
        preset=preset,
        recipe=recipe,
        limits=limits,
        **{**look, "size": COARSEST_PX},
    )
    if not isinstance(job.recipe, OptimizeSettings):
        raise RecipeError(
            f"a network learns from style images by the method optimize, not {job.recipe.method}"
        )
    folder = None if photos is None else str(photos)
    return Lesson(
        settings=chosen,
        job=job,
        photos=training_photos(folder, limits),
        folder=folder,
        name=name or Path(job.styles[0].name).stem[:80] or "style",
        author=author,
        licence=licence,
        start=start_parameters(chosen.network),
    )


def _large_enough(pairs: list[tuple[Source, float]]) -> list[tuple[Source, float]]:
    """Return style images, or raise ImageError if one of them is too small."""
    for picture, _ in pairs:
        if isinstance(picture, Picture) and min(picture.size_in_file) < MIN_STYLE_PX:
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
