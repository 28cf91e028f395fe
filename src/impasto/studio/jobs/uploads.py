"""Conversion of the form of a picture to the files and the request of a job.

FastAPI could parse the form into parameters. It isn't used because it ignores unknown fields and
answers with errors of its own; here each error is one sentence about the file or field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile

from impasto.base.errors import RecipeError, unknown
from impasto.images.limits import Limits
from impasto.networks.weights import CATALOGUE
from impasto.settings.build import build
from impasto.settings.methods import DEFAULT_METHOD, METHODS
from impasto.settings.recipe_files import DEFAULT_PRESET, file_settings, load_preset, presets
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.image_uploads import PixelBudget, keep_image, name_of
from impasto.studio.jobs.models import (
    PREVIEW_METHOD,
    ContentFile,
    JsonObject,
    PictureRequest,
    StoredRecipe,
    StyleFile,
    is_quick,
)
from impasto.studio.jobs.style_uploads import (
    check_styles,
    learned_in_place,
    method_for,
    styles_from,
)
from impasto.studio.jobs.text import check_unicode, parse_json

Model = TypeVar("Model", bound=BaseModel)
RECIPE_BYTES = 1 << 20
FORM_FIELDS = ("content", "styles", "weights", "mask", "recipe")
NO_FILE = ("", "-")
"""The values of settings that name files, which mean no file, or standard input."""
DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?")
DEVICES = ("auto", "cpu", "cuda", "cuda:N", "mps")
"""A copy of ``devices.DEVICE_TYPES``, whose module imports torch. The worker checks whether the
device exists.
"""
ENCODERS = tuple(name for name, weights in CATALOGUE.items() if weights.is_encoder)


def settings_from(text: UploadFile | str | None, model: type[Model]) -> Model:
    """Return the settings in a JSON text, or the defaults if there is no text.

    Args:
        text: The value of the field, a JSON object.
        model: The class of the settings.

    Raises:
        ProblemError: The text isn't JSON.
        RecipeError: A setting is unknown or out of bounds.
    """
    try:
        values = parse_json(text) if isinstance(text, str) and text.strip() else {}
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "settings"
        raise RecipeError(f"{place}: {first['msg'].lower()}") from None
    except (ValueError, RecursionError) as error:
        raise ProblemError(422, f"the settings aren't JSON: {error}") from None


def request_from(
    form: FormData, folder: Path, limits: Limits, *, for_preview: bool = False
) -> PictureRequest:
    """Keep the form's files in ``folder`` and return the request.

    Args:
        form: The form, with the fields ``FORM_FIELDS``.
        folder: The folder of the job's files.
        limits: The limits of each picture.
        for_preview: Replace a method that isn't quick, see ``whole_recipe``.

    Raises:
        ProblemError: The form isn't complete, or too large.
        ImageError: A picture can't be read.
        RecipeError: A setting makes no sense.
    """
    for field in form:
        if field not in FORM_FIELDS:
            raise ProblemError(422, unknown("field", field, FORM_FIELDS))
    content = form.get("content")
    if not isinstance(content, UploadFile) or not content.filename:
        raise ProblemError(422, "there is no photo: send it as the file content")
    budget = PixelBudget(limits)
    width, height = keep_image(content, folder / "content", budget)
    styles = styles_from(form, folder, budget)
    mask_name = _mask(form.get("mask"), folder, budget)
    recipe = recipe_from(form.get("recipe"), for_preview=for_preview, styles=styles)
    if not METHODS[recipe.method].accepts.style_images:
        styles = learned_in_place(styles, folder, recipe.method)
    name = name_of(content)
    return PictureRequest(
        name=f"{Path(name).stem}_{Path(styles[0].name).stem}",
        content=ContentFile(file="content", name=name, width=width, height=height),
        styles=styles,
        mask=None if mask_name is None else "mask",
        mask_name=mask_name,
        recipe=recipe,
    )


def _mask(mask: UploadFile | str | None, folder: Path, budget: PixelBudget) -> str | None:
    """Keep a form's mask. Return its name, or None if there is none."""
    if isinstance(mask, UploadFile) and mask.filename:
        keep_image(mask, folder / "mask", budget)
        return name_of(mask)
    if mask:
        raise ProblemError(422, "the mask should be a file")
    return None


def recipe_from(
    text: UploadFile | str | None, *, for_preview: bool = False, styles: Sequence[StyleFile]
) -> StoredRecipe:
    """Return the whole recipe for a JSON text with some settings or none.

    Raises:
        ProblemError: The text isn't a JSON object.
        RecipeError: A setting makes no sense.
    """
    try:
        if isinstance(text, UploadFile):
            text = text.file.read(RECIPE_BYTES).decode()
        settings = parse_json(text) if isinstance(text, str) and text.strip() else {}
    except ValueError as error:
        raise ProblemError(422, f"the recipe isn't JSON: {error}") from None
    if not isinstance(settings, dict):
        raise ProblemError(422, "the recipe should be a JSON object")
    return whole_recipe(settings, for_preview=for_preview, styles=styles)


def whole_recipe(
    settings: JsonObject, *, for_preview: bool = False, styles: Sequence[StyleFile]
) -> StoredRecipe:
    """Return all settings, checked. None of them may name a file.

    Args:
        settings: The settings that differ from the preset's.
        for_preview: Replace a method that isn't quick by ``PREVIEW_METHOD``, and leave out the
            settings that this one hasn't got.
        styles: The styles. A built-in or learned style selects its method, if none is set.

    Raises:
        RecipeError: A setting makes no sense, or the method doesn't accept a style.
    """
    _check_names(settings)
    settings = dict(settings)
    value = settings.pop("preset", None)
    preset = None if value is None else str(value)
    if preset is not None and preset not in presets():
        raise RecipeError(unknown("preset", preset, presets()))
    needed = method_for(styles)
    if needed is not None and preset is None and "method" not in settings:
        settings["method"] = needed
    method_of_preset = str(load_preset(preset or DEFAULT_PRESET).get("method", DEFAULT_METHOD))
    method = str(settings.get("method", method_of_preset))
    _check_files(settings, method)
    if for_preview:
        settings = _for_preview(settings, method, needed or PREVIEW_METHOD)
        preset = preset if settings["method"] == method_of_preset else None
    recipe = build(settings, preset=preset)
    check_styles(styles, recipe.method)
    return StoredRecipe.model_validate(recipe.model_dump(mode="json"))


def _for_preview(settings: JsonObject, name: str, substitute: str) -> JsonObject:
    """Return the settings of a preview, by a substitute for a method that isn't quick."""
    method = METHODS[name]
    if not is_quick(method):
        method = METHODS[substitute]
    own = method.settings.model_fields
    known = {name: value for name, value in settings.items() if name in own}
    return {**known, "method": method.name}


def _check_files(settings: JsonObject, method: str) -> None:
    """Raise RecipeError if a setting of a method names a file of this machine."""
    for name, words in file_settings(method).items():
        value = settings.get(name)
        choices = [word for word in words if word not in NO_FILE]
        if not choices and value:
            raise RecipeError(f"{name} can't name a file here; a mask is sent as a file")
        # "-" would be the standard input of the worker, from which it reads its orders.
        if choices and value is not None and value not in choices:
            raise RecipeError(f"{name} is one of {', '.join(choices)} here, not a file")


def _check_names(settings: JsonObject) -> None:
    """Check the settings that a recipe takes as free text.

    Raises:
        RecipeError: A text isn't Unicode, or there is no such device or weights file.
    """
    try:
        check_unicode(settings)
    except ValueError as error:
        raise RecipeError(f"the recipe can't be used: {error}") from None
    device = settings.get("device")
    if isinstance(device, str) and not DEVICE.fullmatch(device):
        raise RecipeError(unknown("device", device, DEVICES))
    encoder = settings.get("weights")
    if isinstance(encoder, str) and encoder not in ENCODERS:
        raise RecipeError(unknown("weights file", encoder, ENCODERS))
