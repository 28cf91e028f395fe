"""The extras: optional packages, their purpose, and the error for a missing one."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

from impasto.base.errors import MissingExtraError

ExtraName = Literal["heic", "plots", "studio", "video", "weights"]


@dataclass(frozen=True)
class Extra:
    """Optional packages that are installed together, ``pip install 'impasto[NAME]'``.

    Attributes:
        purpose: The feature that needs the packages, a plural noun.
        packages: The packages, distribution → module.
    """

    purpose: str
    packages: dict[str, str]

    def missing(self) -> list[str]:
        """Return the distributions whose modules can't be found."""
        return [name for name, module in self.packages.items() if not _has_module(module)]


_VIDEO = {"av": "av", "opencv-python-headless": "cv2", "httpx": "httpx"}

EXTRAS: dict[ExtraName, Extra] = {
    "heic": Extra("HEIC photos", {"pillow-heif": "pillow_heif"}),
    "plots": Extra("figures and reports", {"matplotlib": "matplotlib", "jinja2": "jinja2"}),
    "studio": Extra(
        "the web pages of the studio",
        {
            "fastapi": "fastapi",
            "uvicorn": "uvicorn",
            "websockets": "websockets",
            "python-multipart": "python_multipart",
            "prometheus-client": "prometheus_client",
            "cryptography": "cryptography",
            "fastapi-offline": "fastapi_offline",
            **_VIDEO,  # the pages for films and live pictures
        },
    ),
    "video": Extra("films, live pictures and pairs to learn from", _VIDEO),
    "weights": Extra("downloads and Keras weight files", {"httpx": "httpx", "h5py": "h5py"}),
}
"""The extras of pyproject.toml, without ``all`` and ``dev``."""


def require(extra: ExtraName, subject: str = "") -> None:
    """Check that an extra is installed.

    Args:
        extra: The extra.
        subject: The file that needs it, if there is one.

    Raises:
        MissingExtraError: A package of the extra is missing.
    """
    if EXTRAS[extra].missing():
        raise missing_error(extra, subject)


def missing_error(extra: ExtraName, subject: str = "") -> MissingExtraError:
    """Return the error for an extra that isn't installed; see ``require``."""
    prefix = f"{subject}: " if subject else ""
    purpose = EXTRAS[extra].purpose
    return MissingExtraError(f"{prefix}{purpose} need more packages: {install_command(extra)}")


def install_command(extra: ExtraName) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'impasto[{extra}]'"


def installed_version(distribution: str) -> str | None:
    """Return the version of a distribution, or None if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _has_module(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a finder refuses the name; the module has no spec
        return False
