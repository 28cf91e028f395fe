"""Turns the form of a picture into the files of a job and its request.

Nothing here decodes a picture: its type and size are in its first bytes.

FastAPI could parse the form into parameters. It isn't used because it ignores unknown fields and
answers with errors of its own; here each error is one sentence about the file or field.
"""

from __future__ import annotations

import math
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import psutil
from PIL import ExifTags, Image
from starlette.datastructures import FormData, UploadFile

from impasto.base import cgroups
from impasto.base.errors import ImageError, RecipeError, unknown
from impasto.images.limits import MIN_SIDE_PX, Limits
from impasto.images.opening import DAMAGE, PIXELS_PER_MPX, check_pixels, damaged, open_image
from impasto.networks import styles
from impasto.networks.weights import CATALOGUE
from impasto.settings.build import build
from impasto.settings.methods import DEFAULT_METHOD, METHODS, method_for_built_in_styles
from impasto.settings.recipe_files import DEFAULT_PRESET, file_settings, load_preset, presets
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.models import (
    PREVIEW_METHOD,
    ContentFile,
    JsonObject,
    PictureRequest,
    StoredRecipe,
    StyleFile,
    is_quick,
)
from impasto.studio.jobs.text import check_unicode, parse_json
from impasto.styles import bundled

BYTES_PER_MB = 1_000_000
UNLIMITED = sys.float_info.max
FORM_PICTURES = 2
"""The pixels of all pictures of a form, as a multiple of the limit for one picture."""
MEMORY_SHARE = 0.5
"""Share of the memory that reading the pictures of a form may take."""
BYTES_PER_PIXEL = 24
"""Peak memory while a picture is read in full, measured with 98 megapixels (2.1 GB). A picture that
is reduced while it is read takes a third of that.
"""
MAX_STYLES = 4
MAX_NAME_LETTERS = 80
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


@cache
def total_memory() -> int:
    """Return the bytes of memory that this machine has, or that its container left at first."""
    return int(min(psutil.virtual_memory().total, cgroups.free_memory()))


class PixelBudget:
    """The pixels that the pictures of one form may have, counted before any is decoded."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        in_memory = total_memory() * MEMORY_SHARE / BYTES_PER_PIXEL
        self.megapixels = min(
            FORM_PICTURES * limits.max_megapixels, math.floor(in_memory / PIXELS_PER_MPX)
        )
        self.spent = 0

    def spend(self, width: int, height: int, name: str) -> None:
        """Count a picture.

        Raises:
            ProblemError: It is too large, or all of them together are.
        """
        try:
            check_pixels(width, height, name, self.limits)
        except ImageError as error:
            raise ProblemError(413, str(error)) from None
        self.spent += width * height
        if self.spent > self.megapixels * PIXELS_PER_MPX:
            raise ProblemError(
                413,
                f"with {name} the pictures of this form have {self.spent / PIXELS_PER_MPX:.4g}"
                f" megapixels; the limit for all of them is {self.megapixels:g}",
            )


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
    width, height = _keep(content, folder / "content", budget)
    styles = styles_from(form, folder, budget)
    mask_name = _mask(form.get("mask"), folder, budget)
    recipe = recipe_from(form.get("recipe"), for_preview=for_preview, styles=styles)
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
        _keep(mask, folder / "mask", budget)
        return name_of(mask)
    if mask:
        raise ProblemError(422, "the mask should be a file")
    return None


def styles_from(form: FormData, folder: Path, budget: PixelBudget) -> list[StyleFile]:
    """Keep the files of the form's styles in ``folder`` and return the styles.

    Raises:
        ProblemError: There are too few or too many, or there is no such style.
        ImageError: A painting can't be read.
    """
    chosen = [part for part in form.getlist("styles") if part != ""]
    if not 1 <= len(chosen) <= MAX_STYLES:
        raise ProblemError(422, f"there should be one to {MAX_STYLES} styles, not {len(chosen)}")
    weights = _weights(form.get("weights"), len(chosen))
    return [
        _style(part, weight, folder / f"style-{index}", budget)
        for index, (part, weight) in enumerate(zip(chosen, weights, strict=True))
    ]


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
        styles: The styles. A built-in one selects a method that knows it.

    Raises:
        RecipeError: A setting makes no sense.
    """
    _check_names(settings)
    settings = dict(settings)
    value = settings.pop("preset", None)
    preset = None if value is None else str(value)
    if preset is not None and preset not in presets():
        raise RecipeError(unknown("preset", preset, presets()))
    has_built_in = any(style.built_in for style in styles)
    if has_built_in and preset is None and "method" not in settings:
        settings["method"] = method_for_built_in_styles()
    method_of_preset = str(load_preset(preset or DEFAULT_PRESET).get("method", DEFAULT_METHOD))
    method = str(settings.get("method", method_of_preset))
    _check_files(settings, method)
    if for_preview:
        settings = _for_preview(settings, method)
        preset = preset if settings["method"] == method_of_preset else None
    recipe = build(settings, preset=preset)
    if has_built_in and not METHODS[recipe.method].accepts.built_in_styles:
        name = next(style.name for style in styles if style.built_in)
        raise RecipeError(
            f"{name} is a style of the method {method_for_built_in_styles()}, not of"
            f" {recipe.method}"
        )
    return StoredRecipe.model_validate(recipe.model_dump(mode="json"))


def _for_preview(settings: JsonObject, name: str) -> JsonObject:
    """Return the settings of a preview of a method."""
    method = METHODS[name]
    if not is_quick(method):
        method = METHODS[PREVIEW_METHOD]
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


def _weights(text: UploadFile | str | None, count: int) -> list[float]:
    if not text:
        return [1.0] * count
    try:
        weights = [float(part) for part in str(text).split(",")]
    except ValueError:
        raise ProblemError(422, "weights should be numbers, as in 1,0.5") from None
    if len(weights) != count:
        raise ProblemError(422, f"there should be {count} weights, not {len(weights)}")
    if not all(0 <= weight < float("inf") for weight in weights) or not any(weights):
        raise ProblemError(422, "weights should be numbers of at least 0, and not all 0")
    return weights


def _style(part: UploadFile | str, weight: float, path: Path, budget: PixelBudget) -> StyleFile:
    if isinstance(part, UploadFile):
        _keep(part, path, budget)
        return StyleFile(file=path.name, name=name_of(part), weight=weight, built_in=False)
    if part in styles.NAMES:
        return StyleFile(file=None, name=part, weight=weight, built_in=True)
    if part not in bundled.paintings():
        raise ProblemError(422, unknown("style", part, [*bundled.paintings(), *styles.NAMES]))
    shutil.copyfile(bundled.paintings()[part], path)
    return StyleFile(file=path.name, name=part, weight=weight, built_in=False)


def name_of(upload: UploadFile) -> str:
    """Return the name that its owner gave it. It is shown to people, and never opened."""
    name = Path((upload.filename or "").replace("\\", "/")).name
    return "".join(letter for letter in name if letter.isprintable())[:MAX_NAME_LETTERS] or "image"


def _is_upright(image: Image.Image, name: str) -> bool:
    """Return whether the camera was turned, so that width and height change places."""
    if image.format == "PNG":  # reading its EXIF, which follows the pixels, would decode them
        return False
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except DAMAGE as error:
        raise damaged(name, error) from error


def check_bytes(upload: UploadFile, limits: Limits) -> None:
    """Raise ImageError for an empty file, and ProblemError for one that is too large."""
    if not upload.size:
        raise ImageError(f"{name_of(upload)} is empty")
    if upload.size > limits.max_megabytes * BYTES_PER_MB:
        raise ProblemError(
            413,
            f"{name_of(upload)} is larger than {limits.max_megabytes:g} MB, the limit for a file",
        )


def _keep(upload: UploadFile, path: Path, budget: PixelBudget) -> tuple[int, int]:
    """Check an image's type and size, and copy its bytes. Return its width and height."""
    name = name_of(upload)
    check_bytes(upload, budget.limits)
    anything = replace(budget.limits, max_megapixels=UNLIMITED)
    with open_image(upload.file, name, anything) as image:
        width, height = image.size
        budget.spend(width, height, name)
        if _is_upright(image, name):
            width, height = height, width
    if min(width, height) < MIN_SIDE_PX:
        raise ProblemError(
            422, f"{name} is {width}×{height} px; both sides need at least {MIN_SIDE_PX} px"
        )
    upload.file.seek(0)
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file)
    return width, height
