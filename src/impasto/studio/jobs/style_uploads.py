"""Styles in forms: paintings, style files, and names of styles.

A style file is validated as a whole before it is kept. A painting is checked by its first bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from starlette.datastructures import FormData, UploadFile

from impasto.base.errors import RecipeError, unknown
from impasto.settings.methods import (
    METHODS,
    method_for_built_in_styles,
    method_for_learned_styles,
)
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.image_uploads import PixelBudget, keep_image, name_of
from impasto.studio.jobs.models import StyleFile
from impasto.styles import bundled, catalogue, names
from impasto.styles.style_file import (
    HEAD_BYTES,
    MAX_FILE_BYTES,
    SUFFIX,
    is_style_file,
    read_bytes,
    read_parameters,
)

MAX_STYLES = 4
"""Largest number of styles in a form."""
KeepStyle = Callable[[UploadFile | str, float, Path, PixelBudget], StyleFile]
"""A function that keeps a style with a weight in a file, such as ``keep_style``."""


def styles_from(
    form: FormData, folder: Path, budget: PixelBudget, keep: KeepStyle | None = None
) -> list[StyleFile]:
    """Keep the styles of a form in the folder of a job, and return them.

    Args:
        form: The form, with the fields ``styles`` and ``weights``.
        folder: The folder of the job's files.
        budget: The limit for the pixels of the form.
        keep: A function that keeps one style. By default, every kind of style is accepted.

    Raises:
        ProblemError: There are too few or too many styles, or a style doesn't exist.
        ImageError: A painting can't be read.
        StyleFileError: A style file is damaged.
    """
    keep = keep or keep_style
    chosen = [part for part in form.getlist("styles") if part != ""]
    if not 1 <= len(chosen) <= MAX_STYLES:
        raise ProblemError(422, f"there should be one to {MAX_STYLES} styles, not {len(chosen)}")
    weights = _weights(form.get("weights"), len(chosen))
    return [
        keep(part, weight, folder / f"style-{index}", budget)
        for index, (part, weight) in enumerate(zip(chosen, weights, strict=True))
    ]


def _weights(text: UploadFile | str | None, count: int) -> list[float]:
    """Return the weights in a text, or ``count`` equal weights if there is none.

    Raises:
        ProblemError: The text isn't a list of ``count`` weights.
    """
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


def keep_style(part: UploadFile | str, weight: float, path: Path, budget: PixelBudget) -> StyleFile:
    """Keep a style in a file.

    Args:
        part: An uploaded painting or style file, or the name of a style.
        weight: The weight of the style.
        path: The file in the folder of the job. A built-in style has no file.
        budget: The limit for the pixels of the form.

    Raises:
        ProblemError: There is no such style, or the painting is too large or too small.
        ImageError: The painting can't be read.
        StyleFileError: The style file is damaged.
    """
    if isinstance(part, UploadFile):
        return _keep_uploaded(part, weight, path, budget)
    known = {entry.name: entry for entry in catalogue.entries()}
    if part not in known:
        raise ProblemError(422, unknown("style", part, known))
    entry = known[part]
    if entry.painting is not None:
        shutil.copyfile(entry.painting, path)
        return StyleFile(file=path.name, name=part, weight=weight, built_in=False)
    if entry.file is None:
        return StyleFile(file=None, name=part, weight=weight, built_in=True)
    _keep_style_file(read_bytes(entry.file), part, path)
    return StyleFile(file=path.name, name=part, weight=weight, built_in=False, learned=True)


def _keep_uploaded(upload: UploadFile, weight: float, path: Path, budget: PixelBudget) -> StyleFile:
    """Keep an uploaded painting or style file; its first bytes or its name tell which it is."""
    name, is_learned = name_of(upload), is_style_upload(upload)
    if is_learned:
        _keep_style_file(upload.file.read(MAX_FILE_BYTES + 1), name, path)
    else:
        keep_image(upload, path, budget)
    return StyleFile(file=path.name, name=name, weight=weight, built_in=False, learned=is_learned)


def is_style_upload(upload: UploadFile) -> bool:
    """Return whether an upload is a style file, by its first bytes or its name."""
    head = upload.file.read(HEAD_BYTES)
    upload.file.seek(0)
    return is_style_file(head) or name_of(upload).lower().endswith(SUFFIX)


def _keep_style_file(data: bytes, name: str, path: Path) -> None:
    """Validate a style file, and write it.

    Raises:
        StyleFileError: The style file is damaged.
    """
    read_parameters(data, name)
    path.write_bytes(data)


def method_for(styles: Sequence[StyleFile]) -> str | None:
    """Return the method that built-in or learned styles need, or None for paintings."""
    if any(style.built_in for style in styles):
        return method_for_built_in_styles()
    return method_for_learned_styles() if any(style.learned for style in styles) else None


def check_styles(styles: Sequence[StyleFile], method: str) -> None:
    """Check that a method accepts the built-in and learned styles.

    Raises:
        RecipeError: The method doesn't accept a style.
    """
    accepts = METHODS[method].accepts
    for style in styles:
        is_accepted = (accepts.built_in_styles or not style.built_in) and (
            accepts.learned_styles or not style.learned
        )
        if not is_accepted:
            raise RecipeError(
                f"{style.name} is a style of the method {method_for([style])}, not of {method}"
            )


def learned_in_place(styles: Sequence[StyleFile], folder: Path, method: str) -> list[StyleFile]:
    """Replace bundled paintings by the style files that were learned from them.

    Args:
        styles: The styles.
        folder: The folder of the job's files, in which the files are replaced.
        method: The method that needs style files, for error messages.

    Returns:
        The styles, which are all learned.

    Raises:
        RecipeError: There is no style file for a painting.
    """
    learned_files = [_learned_file(style, folder) for style in styles]
    for style, path in zip(styles, learned_files, strict=True):
        if path is None and not style.learned:
            raise RecipeError(
                f"the method {method} needs a style file, and {style.name} is an image; learn its"
                " style first, or choose another method"
            )
        if path is not None and style.file is not None:
            shutil.copyfile(path, folder / style.file)
    return [style.model_copy(update={"learned": True}) for style in styles]


def are_learned(styles: Sequence[StyleFile], folder: Path) -> bool:
    """Return whether there is a style file for each style."""
    return all(style.learned or _learned_file(style, folder) is not None for style in styles)


def _learned_file(style: StyleFile, folder: Path) -> Path | None:
    """Return the bundled style file that was learned from a painting; None for other styles."""
    if style.learned or style.file is None:
        return None
    name = names.learned_from(folder / style.file)
    return None if name is None else bundled.learned_styles()[name]
