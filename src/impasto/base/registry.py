"""Extensions by name: built-in ones, those of installed packages and those a program registers."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from impasto.base.errors import RecipeError, unknown

T = TypeVar("T")
log = logging.getLogger("impasto")


class Registry(Generic[T]):
    """Extensions of one kind by name.

    An extension is imported when it is looked up for the first time, because many import torch.

    Args:
        kind: What an extension is called in error messages, such as "method".
        group: The entry point group in which installed packages announce theirs.
        built_in: The extensions in impasto: name → ``"package.module:attribute"``.
        check: Is called with a name and its extension. Raises ValueError, with a clause such as
            "it has no settings", if the extension can't be used under that name.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        built_in: Mapping[str, str],
        check: Callable[[str, T], None] = lambda name, extension: None,
    ) -> None:
        self.kind, self.group, self.built_in, self.check = kind, group, dict(built_in), check
        self.loaded: dict[str, T] = {}
        self.failures: dict[str, RecipeError] = {}
        self.warned: set[str] = set()

    @cached_property
    def _installed(self) -> dict[str, EntryPoint]:
        """Entry points by name, without those that have the name of a built-in extension."""
        found = {point.name: point for point in entry_points(group=self.group)}
        for name in self.built_in.keys() & found.keys():
            log.warning("%s replaces no built-in %s %s", found.pop(name).value, self.kind, name)
        return found

    def names(self) -> tuple[str, ...]:
        """Return all names, the built-in ones first, without importing any extension."""
        return tuple(dict.fromkeys([*self.built_in, *self._installed, *self.loaded]))

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __getitem__(self, name: str) -> T:
        """Return an extension.

        Raises:
            RecipeError: There is no extension of that name, or it can't be imported or used.
        """
        if name not in self.loaded:
            if name not in self:
                raise RecipeError(unknown(self.kind, name, self.names()))
            self.loaded[name] = self._imported(name)
        return self.loaded[name]

    def _imported(self, name: str) -> T:
        if name in self.built_in:
            module, _, attribute = self.built_in[name].partition(":")
            extension: T = getattr(importlib.import_module(module), attribute)
            return extension
        if name not in self.failures:
            try:
                extension = self._installed[name].load()
                self.check(name, extension)
            except Exception as error:  # another package's import may raise anything
                place = self._installed[name].value
                self.failures[name] = RecipeError(
                    f"the {self.kind} {name} of {place} can't be used: {type(error).__name__}:"
                    f" {error}"
                )
            else:
                return extension
        raise self.failures[name]

    def usable(self) -> Iterator[tuple[str, T]]:
        """Yield names and extensions; one that can't be used is left out, with one warning."""
        for name in self.names():
            try:
                extension = self[name]
            except RecipeError as error:
                if name not in self.warned:
                    log.warning("%s", error)
                self.warned.add(name)
            else:
                yield name, extension

    def register(self, name: str, extension: T) -> None:
        """Add an extension for this process.

        Raises:
            ValueError: The name is taken or isn't a lower-case identifier, or ``check`` refused the
                extension.
        """
        if not (name.isidentifier() and name == name.lower()):
            raise ValueError(f"a {self.kind} has a name like a_new_one, not {name!r}")
        if name in self:
            raise ValueError(f"there is a {self.kind} {name} already; choose another name")
        self.check(name, extension)
        self.loaded[name] = extension
