"""Styles in forms: paintings, style files, and names of styles.

A style file is checked as a whole before it is kept. A painting is checked by its first bytes.
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
    MAX_FILE_BYTES,
    SUFFIX,
    is_style_file,
    read_bytes,
    read_parameters,
)

MAX_STYLES = 4
HEAD_BYTES = 16
"""Bytes that tell whether a file may be a style file."""
KeepStyle = Callable[[UploadFile | str, float, Path, PixelBudget], StyleFile]
"""Keeps a style with its weight in a file."""


def styles_from(
    form: FormData, folder: Path, budget: PixelBudget, keep: KeepStyle | None = None
) -> list[StyleFile]:
    """Keep the files of the form's styles in ``folder`` and return the styles.

    Args:
        form: The form, with the fields ``styles`` and ``weights``.
        folder: The folder of the job's files.
        budget: The pixels that the pictures of the form may have.
        keep: Keeps one style. By default, any kind of style is kept.

    Raises:
        ProblemError: There are too few or too many, or there is no such style.
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
    """Keep a style that was uploaded, or that is chosen by its name, in the file ``path``."""
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
    """Keep a painting or a style file, whose type its bytes or its name tell."""
    name, is_learned = name_of(upload), is_style_upload(upload)
    if is_learned:
        _keep_style_file(upload.file.read(MAX_FILE_BYTES + 1), name, path)
    else:
        keep_image(upload, path, budget)
    return StyleFile(file=path.name, name=name, weight=weight, built_in=False, learned=is_learned)


def is_style_upload(upload: UploadFile) -> bool:
    """Return whether an upload is meant as a style file."""
    head = upload.file.read(HEAD_BYTES)
    upload.file.seek(0)
    return is_style_file(head) or name_of(upload).lower().endswith(SUFFIX)


def _keep_style_file(data: bytes, name: str, path: Path) -> None:
    """Check a style file, and write it. Raise StyleFileError if it is damaged."""
    read_parameters(data, name)
    path.write_bytes(data)


def method_for(styles: Sequence[StyleFile]) -> str | None:
    """Return the method that styles need because networks have learned them, or None."""
    if any(style.built_in for style in styles):
        return method_for_built_in_styles()
    return method_for_learned_styles() if any(style.learned for style in styles) else None


def check_styles(styles: Sequence[StyleFile], method: str) -> None:
    """Raise RecipeError if a network has learned a style, and the method hasn't that network."""
    accepts = METHODS[method].accepts
    for style in styles:
        is_refused = (style.built_in and not accepts.built_in_styles) or (
            style.learned and not accepts.learned_styles
        )
        if is_refused:
            raise RecipeError(
                f"{style.name} is a style of the method {method_for([style])}, not of {method}"
            )


def learned_in_place(styles: Sequence[StyleFile], folder: Path, method: str) -> list[StyleFile]:
    """Return the styles, with paintings replaced by the style files that were learned from them.

    Args:
        styles: The styles.
        folder: The folder of the job's files, where the files are replaced.
        method: The method that needs style files.

    Raises:
        RecipeError: No network has learned the style of a painting.
    """
    found = [_learned_file(style, folder) for style in styles]
    for style, path in zip(styles, found, strict=True):
        if path is None and not style.learned:
            raise RecipeError(
                f"the method {method} needs a style file, and {style.name} is an image; learn its"
                " style first, or choose another method"
            )
        if path is not None and style.file is not None:
            shutil.copyfile(path, folder / style.file)
    return [style.model_copy(update={"learned": True}) for style in styles]


def are_learned(styles: Sequence[StyleFile], folder: Path) -> bool:
    """Return whether a network has learned each of the styles, or the painting that it is."""
    return all(style.learned or _learned_file(style, folder) is not None for style in styles)


def _learned_file(style: StyleFile, folder: Path) -> Path | None:
    """Return the bundled style file that was learned from a painting, or None."""
    if style.learned or style.file is None:
        return None
    name = names.learned_from(folder / style.file)
    return None if name is None else bundled.learned_styles()[name]
