"""Neural style transfer: a photo and a painting become a new picture.

>>> import impasto
>>> impasto.stylize("photo.jpg", "painting.jpg").save("stylized.png")
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import lazy_loader

# The public names and their modules are in __init__.pyi, which type checkers read too. A module is
# imported when one of its names is used: torch takes seconds, ``--help`` needs none.
_import_name, _, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = sorted([*_names, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("impasto")
    if name not in _names:
        raise AttributeError(f"module 'impasto' has no attribute '{name}'")
    return _import_name(name)


def __dir__() -> list[str]:
    return __all__
