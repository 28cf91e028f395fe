"""The errors that impasto raises on purpose, each with one sentence for the person who must act.

::

    ImpastoError
    ├── ImageError          an image that can't be read, or is too small or too large
    ├── OutputError         a file that can't be written where and how it was asked for
    ├── RecipeError         a setting, preset, layer or style weight that doesn't make sense
    ├── WeightsError        network weights that are missing, damaged or can't be fetched
    ├── DeviceError         a device or precision that this machine doesn't have, or no memory left
    ├── StyleFileError      a file that isn't a learned style, or is damaged
    ├── CheckpointError     a file that can't be resumed from
    ├── NetworkError        a proxy or a certificate that can't be used
    ├── MissingExtraError   an optional package that isn't installed
    └── DivergenceError     an optimisation with no finite loss to go back to

The command line turns such an error into one line and exit code 2. Any other exception is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ImpastoError(Exception):
    """The root of all errors below; catching it catches every one of them."""


class ImageError(ImpastoError):
    """An image that can't be read, or is too small or too large."""


class OutputError(ImpastoError):
    """A file that can't be written where and how it was asked for."""


class RecipeError(ImpastoError):
    """A setting, preset, layer or style weight that doesn't make sense."""


class WeightsError(ImpastoError):
    """Network weights that are missing, damaged or can't be fetched."""


class DeviceError(ImpastoError):
    """A device or precision that this machine doesn't have, or no memory left on it."""


class StyleFileError(ImpastoError):
    """A file that isn't a learned style, or is damaged."""


class CheckpointError(ImpastoError):
    """A file that can't be resumed from."""


class NetworkError(ImpastoError):
    """A proxy or a certificate that can't be used."""


class MissingExtraError(ImpastoError, ImportError):
    """An optional package that isn't installed. It is an ImportError too, which callers expect."""


class DivergenceError(ImpastoError):
    """An optimisation whose loss is not finite and that has no good image to go back to."""


def unknown(kind: str, word: str, choices: Iterable[str]) -> str:
    """Return the sentence for a name that doesn't exist, with the nearest name that does.

    Args:
        kind: What is named, such as "layer".
        word: The name that doesn't exist.
        choices: The names that exist.

    >>> unknown("layer", "block4_con2", ["block4_conv2", "block5_conv1"])
    "there is no layer 'block4_con2'; did you mean 'block4_conv2'?"
    >>> unknown("device", "gpu", ["cpu", "cuda"])
    "there is no device 'gpu'; choose one of: cpu, cuda"
    """
    known = list(choices)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    hint = f"did you mean '{near[0]}'?" if near else f"choose one of: {', '.join(known)}"
    return f"there is no {kind} '{word}'; {hint}"


def bug(error: Exception) -> str:
    """Return the sentence for an error that isn't raised on purpose, including its notes."""
    words = ", ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    return f"this is a bug in impasto, please report it: {words}"


def reason(error: Exception) -> str:
    """Return the message of an error, without the number and path that the system adds."""
    words = getattr(error, "strerror", None) or str(error)
    return words.lower() if isinstance(error, OSError) else str(words)
