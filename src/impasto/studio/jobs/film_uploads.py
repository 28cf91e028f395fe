"""Turns the form of a film into the files of a job and its request.

The server never opens the film itself: a damaged film may crash the process that decodes it. The
worker opens it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from starlette.datastructures import FormData, UploadFile

from impasto.base.errors import RecipeError, unknown
from impasto.images.limits import Limits
from impasto.settings.methods import method_for_learned_styles
from impasto.studio.jobs import uploads
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.image_uploads import PixelBudget, name_of
from impasto.studio.jobs.models import ContentFile, FilmRequest, FilmSettings
from impasto.studio.jobs.style_uploads import are_learned, learned_in_place, styles_from

FIELDS = ("film", "styles", "weights", "settings")


def request_from(form: FormData, folder: Path, limits: Limits) -> FilmRequest:
    """Keep the form's files in ``folder`` and return the request.

    Raises:
        ProblemError: The form isn't complete, or too large.
        ImageError: A painting can't be read.
        RecipeError: A setting makes no sense.
    """
    for field in form:
        if field not in FIELDS:
            raise ProblemError(422, unknown("field", field, FIELDS))
    film = form.get("film")
    if not isinstance(film, UploadFile) or not film.filename:
        raise ProblemError(422, "there is no film: send it as the file film")
    if not film.size:
        raise ProblemError(415, f"{name_of(film)} is empty")
    styles = styles_from(form, folder, PixelBudget(limits))
    if are_learned(styles, folder):  # then the method learned paints the film
        styles = learned_in_place(styles, folder, method_for_learned_styles())
    settings = settings_from(form.get("settings"))
    with (folder / "content").open("wb") as file:
        shutil.copyfileobj(film.file, file)
    name = name_of(film)
    return FilmRequest(
        name=f"{Path(name).stem}_{Path(styles[0].name).stem}",
        content=ContentFile(file="content", name=name, width=0, height=0),
        styles=styles,
        settings=settings,
        recipe=uploads.whole_recipe({}, for_preview=True, styles=styles),
    )


def settings_from(text: UploadFile | str | None) -> FilmSettings:
    """Return the settings in a JSON text, or the defaults if there is none.

    Raises:
        ProblemError: The text isn't JSON.
        RecipeError: A setting makes no sense.
    """
    settings = uploads.settings_from(text, FilmSettings)
    if settings.end is not None and settings.end <= (settings.start or 0):
        raise RecipeError("a film should end after its start")
    return settings
