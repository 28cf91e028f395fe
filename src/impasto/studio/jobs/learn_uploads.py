"""Conversion of the form of a training to the files and the request of a job."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from starlette.datastructures import FormData, UploadFile

from impasto.base.errors import unknown
from impasto.images.limits import Limits
from impasto.learning.settings import MIN_STYLE_PX, LearnSettings
from impasto.settings.methods import method_for_learned_styles
from impasto.studio.jobs import uploads
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.image_uploads import PixelBudget, keep_image, name_of
from impasto.studio.jobs.models import LearnRequest, StyleFile
from impasto.studio.jobs.style_uploads import is_style_upload, styles_from
from impasto.styles import bundled, library

FIELDS = ("styles", "weights", "name", "settings")
NOT_IN_NAMES = re.compile(r"[^\w .-]+")
"""Characters that can't be in the name of a style."""


def request_from(form: FormData, folder: Path, limits: Limits) -> LearnRequest:
    """Keep the form's files in ``folder`` and return the request.

    Raises:
        ProblemError: The form isn't complete, or too large.
        ImageError: A painting can't be read.
        RecipeError: A setting makes no sense.
    """
    for field in form:
        if field not in FIELDS:
            raise ProblemError(422, unknown("field", field, FIELDS))
    name = form.get("name")
    styles = styles_from(form, folder, PixelBudget(limits), keep_painting)
    return LearnRequest(
        name=checked_name(str(name)) if name else default_name(styles[0].name),
        styles=styles,
        settings=uploads.settings_from(form.get("settings"), LearnSettings),
        recipe=uploads.whole_recipe({"method": method_for_learned_styles()}, styles=[]),
    )


def keep_painting(
    part: UploadFile | str, weight: float, path: Path, budget: PixelBudget
) -> StyleFile:
    """Keep a painting in a file.

    Args:
        part: An uploaded image, or the name of a bundled painting.
        weight: The weight of the painting.
        path: The file in the folder of the job.
        budget: The limit for the pixels of the form.

    Raises:
        ProblemError: There is no such painting, it is too small, or it is a style file.
        ImageError: The image can't be read.
    """
    if isinstance(part, str):
        if part not in bundled.paintings():
            raise ProblemError(422, unknown("painting", part, bundled.paintings()))
        shutil.copyfile(bundled.paintings()[part], path)
        return StyleFile(file=path.name, name=part, weight=weight, built_in=False)
    name = name_of(part)
    if is_style_upload(part):
        raise ProblemError(422, f"{name} is a style file; a style is learned from a painting")
    width, height = keep_image(part, path, budget)
    if min(width, height) < MIN_STYLE_PX:
        raise ProblemError(
            422,
            f"{name} is {width}×{height} px; at least {MIN_STYLE_PX} px on each side are needed to"
            " learn a style",
        )
    return StyleFile(file=path.name, name=name, weight=weight, built_in=False)


def checked_name(name: str) -> str:
    """Return a name, if a style of the library can have it.

    Raises:
        ProblemError: The name can't be used.
    """
    if not library.NAME.fullmatch(name):
        raise ProblemError(
            422, f"'{name[:80]}' can't be the name of a style; use letters and digits"
        )
    return name


def default_name(painting: str) -> str:
    """Return a name for a style: the title of a bundled painting, or the name of the image file."""
    title = bundled.TITLES.get(painting, Path(painting).stem)
    name = NOT_IN_NAMES.sub("-", title).lstrip(" .-")[: library.MAX_NAME_LETTERS]
    return name or "style"
