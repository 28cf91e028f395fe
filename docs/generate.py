"""The pages that are made from the code: cli.md, python.md, settings.md.

python docs/generate.py
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import impasto
from impasto.cli.app import COMMANDS, app
from impasto.settings.methods import METHODS
from impasto.settings.recipe import Recipe

FOLDER = Path(__file__).parent
WIDTH = 100
NOTE = "<!-- Made from the code by docs/generate.py: change it there. -->\n"


def cli() -> str:
    """What every command says of itself."""
    parts = [f"{NOTE}\n# The command line\n"]
    parent = click.Context(app, info_name="impasto", **app.context_settings)
    for name in COMMANDS:
        command = app.get_command(parent, name)
        assert command is not None
        context = click.Context(
            command, parent, name, terminal_width=WIDTH, max_content_width=WIDTH
        )
        parts.append(f"## impasto {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def python() -> str:
    """The public names, their signatures and what they say."""
    parts = [f"{NOTE}\n# The Python API\n"]
    for name in impasto.__all__:
        if name.startswith("__"):
            continue
        thing = getattr(impasto, name)
        parts.append(f"## impasto.{name}\n")
        if inspect.ismodule(thing):
            parts += [f"{_prose(thing)}\n", *_members(name, thing)]
        else:
            if not (inspect.isclass(thing) and issubclass(thing, Exception)):
                parts.append(_signature(f"impasto.{name}", thing))
            parts.append(f"{_prose(thing)}\n")
            if inspect.isclass(thing) and name != "Recipe":
                parts += _methods(name, thing)
    return "\n".join(parts).rstrip() + "\n"


def settings() -> str:
    """Every setting of a recipe."""
    parts = [
        f"{NOTE}\n# Settings\n",
        "The same on the command line (`--style-scale`), in Python (`style_scale=`) and in TOML."
        " A recipe has the settings of every method, and those of its own method.",
    ]
    tables: dict[str, type[Recipe]] = {"Settings of every method": Recipe}
    for name, method in METHODS.usable():
        tables[f"Settings of the method `{name}`: {method.summary}"] = method.settings
    for title, schema in tables.items():
        parts.append(f"\n## {title}\n\n| setting | default | what it is |\n|---|---|---|")
        properties = schema.model_json_schema()["properties"]
        for name, field in schema.model_fields.items():
            if schema is Recipe or name not in Recipe.model_fields:
                default = json.dumps(properties[name].get("default"))
                about = (field.description or "").replace("|", "\\|")
                parts.append(f"| `{name}` | `{default}` | {about} |")
    return "\n".join(parts) + "\n"


def _members(name: str, module: Any) -> list[str]:
    parts = []
    for member, thing in vars(module).items():
        own = getattr(thing, "__module__", None) == module.__name__
        if own and not member.startswith("_") and callable(thing):
            parts += [f"### impasto.{name}.{member}\n", _signature(f"{name}.{member}", thing)]
            parts.append(f"{_prose(thing)}\n")
    return parts


def _methods(name: str, cls: type) -> list[str]:
    parts = []
    for member, thing in vars(cls).items():
        if member.startswith("_") or not (inspect.isfunction(thing) and thing.__doc__):
            continue
        parts += [
            f"### {name}.{member}\n",
            _signature(f"{name}.{member}", thing),
            f"{_prose(thing)}\n",
        ]
    return parts


def _signature(name: str, thing: Callable[..., Any]) -> str:
    """One argument a line where it is long; annotations as they are written."""
    if thing is Recipe:
        return f"```text\n{name}(**settings)\n```\n"
    flat = f"{name}{inspect.signature(thing)}"
    flat = re.sub(r"'([^']*)'", r"\1", flat)
    flat = re.sub(r"\bself, |\bself\b", "", flat)
    if len(flat) > WIDTH:
        inside, _, result = flat.partition("(")[2].rpartition(")")
        arguments = re.split(r", (?=\*|\w+:|\w+=)", inside)
        flat = f"{name}(\n    " + ",\n    ".join(arguments) + f",\n){result}"
    return f"```text\n{flat}\n```\n"


def _prose(thing: Any) -> str:
    """A docstring as Markdown: its examples as code."""
    text = inspect.getdoc(thing) or ""
    text = re.sub(r"::\n\n((?:    .*\n?|\n)+)", lambda m: "\n\n" + m[1], text)
    text = text.replace("``", "`")
    blocks = []
    for block in text.split("\n\n"):
        code = block.startswith(">>>")
        lines = [re.sub(r"^(>>> |\.\.\. )", "", line) for line in block.splitlines()]
        blocks.append("```python\n" + "\n".join(lines) + "\n```" if code else _section(block))
    return "\n\n".join(blocks)


def _section(block: str) -> str:
    """Return a section of a docstring, such as its arguments, as a list; other text unchanged."""
    title, _, body = block.partition("\n")
    if title not in ("Args:", "Attributes:", "Raises:", "Returns:", "Yields:"):
        return block
    items = re.sub(r"\n {5,}", " ", body)  # one line for each
    items = re.sub(r"^ {4}(\w[\w, ]*): ", r"- `\1`: ", items, flags=re.MULTILINE)
    return f"{title}\n\n{inspect.cleandoc(items)}"


PAGES: dict[str, Callable[[], str]] = {"cli.md": cli, "python.md": python, "settings.md": settings}


def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
