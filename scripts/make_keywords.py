"""Write src/impasto/settings/keywords.py: the settings as typed keyword arguments.

python scripts/make_keywords.py
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from impasto.settings.methods import METHODS, all_settings
from impasto.settings.recipe_files import file_settings

PATH = Path(__file__).parents[1] / "src" / "impasto" / "settings" / "keywords.py"
HEAD = '''"""The settings of the built-in methods as typed keyword arguments.

Made from the schemas by scripts/make_keywords.py. Run it after a change of a setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

WeightedNames = str | Sequence[str] | Mapping[str, float]
"""Names with or without weights: "a,b:0.5", ["a", "b:0.5"] or {"a": 1, "b": 0.5}."""
Paths = str | Path | Sequence[str | Path]
Regions = str | Sequence[str] | Mapping[str, str | Path] | Mapping[Path, str | Path]
"""Masks and their paintings: "sky.png=starry.jpg", several of these, or a mapping."""


class FrameKeywords(TypedDict, total=False):
    """The settings of the built-in methods that films and live sessions take as well.

    A method refuses those that it doesn't have.
    """

'''
TAIL = '''

class SettingsKeywords(FrameKeywords, total=False):
    """The settings of the built-in methods. A method refuses those that it doesn't have."""

'''
OF_FILMS = ("size", "mask")
SPECIAL = {
    "dict[str, float]": "WeightedNames",
    "dict[str, str]": "Regions",
    "tuple[str, ...]": "Paths",
}
"""Types that are converted from others, with everything that they are converted from."""
CONVERTED = {"method": "str", "max_memory": "float | str | None"}
"""Types of single settings: other packages add methods; memory may have a unit."""
LEFT_OUT = ("preset",)
"""A parameter of its own in every function."""


def keywords() -> str:
    """Return the module."""
    built_in = set[str]()
    for method in METHODS.built_in:
        built_in |= METHODS[method].settings.model_fields.keys()
    files = file_settings()
    lines: dict[bool, list[str]] = {True: [], False: []}
    for name, field in all_settings().items():
        if name in built_in and name not in LEFT_OUT:
            text = CONVERTED.get(name) or _type(field.annotation, is_path=name in files)
            lines[name in OF_FILMS] += [
                f"    {name}: {text}",
                f'    """{_sentence(field.description or "")}"""',
            ]
    return "".join([HEAD, "\n".join(lines[False]), "\n", TAIL, "\n".join(lines[True]), "\n"])


def _type(annotation: Any, *, is_path: bool) -> str:
    """Return the source text of a type."""
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0], is_path=is_path)
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join(_type(part, is_path=is_path) for part in get_args(annotation))
    if get_origin(annotation) is Literal:
        return f"Literal[{', '.join(repr(value) for value in get_args(annotation))}]".replace(
            "'", '"'
        )
    if annotation is type(None):
        return "None"
    if get_origin(annotation) is None:
        return "str | Path" if is_path and annotation is str else annotation.__name__
    parts = ["..." if part is ... else _type(part, is_path=False) for part in get_args(annotation)]
    return SPECIAL[f"{annotation.__origin__.__name__}[{', '.join(parts)}]"]


def _sentence(text: str) -> str:
    """Return a description as a docstring, in lines of at most 100 characters."""
    words, lines = f"{text[0].upper()}{text[1:]}.".split(), [""]
    for word in words:
        room = 90 if len(lines) == 1 else 95
        if len(lines[-1]) + len(word) > room:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n    ".join(lines) + ("\n    " if len(lines) > 1 else "")


if __name__ == "__main__":
    PATH.write_text(keywords(), encoding="utf-8")
