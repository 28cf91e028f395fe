"""The settings that a studio is started with."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from impasto.base import folders
from impasto.base.errors import OutputError, RecipeError, reason
from impasto.images.limits import Limits
from impasto.studio.jobs.limits import UPLOADS

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765
WILDCARDS = ("0.0.0.0", "::", "")
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def default_data_folder() -> Path:
    """Return the folder where the platform keeps a program's data.

    Raises:
        OutputError: This user has no home folder.
    """
    folder = folders.data_folder()
    if folder is None:
        raise OutputError(
            "this user has no home folder to keep pictures in; choose a place with --data"
        )
    return folder / "studio"


def prepare_data_folder(data: Path) -> None:
    """Make the data folder if it is missing, and let nobody else read a folder of the studio's own.

    Raises:
        OutputError: The folder can't be made or can't be written to.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_own(data):
            with contextlib.suppress(OSError):  # some shares know no modes
                data.chmod(0o700)
    except OSError as error:
        raise OutputError(
            f"{data} can't be made: {reason(error)}; choose another place with --data"
        ) from error
    if not os.access(data, os.W_OK):
        raise OutputError(f"{data} can't be written to; choose another place with --data")


def _is_own(data: Path) -> bool:
    """Return whether a folder is empty or was made by a studio. Another one may be shared."""
    names = {path.name for path in data.iterdir()}
    return not names or "jobs.sqlite3" in names


@dataclass(frozen=True)
class Settings:
    """The settings of a studio.

    Raises:
        RecipeError: Other machines can reach the studio without a token, or a name makes no sense.
    """

    data: Path = field(default_factory=default_data_folder)
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    token: str | None = None
    names: tuple[str, ...] = ()
    """Host names that it is known by, besides the one that it listens on."""
    workers: int = 1
    queue: int = 50
    """Jobs that may wait."""
    limits: Limits = UPLOADS
    upload_seconds: float = 300
    """The time that a whole request may take to arrive."""
    idle_seconds: float = 20
    """The time that the next piece of a request may take to arrive."""
    keep_days: float = 30
    """Finished jobs are deleted after that time."""
    keep_gigabytes: float = 10
    """The oldest finished jobs are deleted while all take more than that."""
    https: bool = False
    certificate: Path | None = None
    """A file with a certificate and its key. With ``https`` alone, the studio makes its own."""

    def __post_init__(self) -> None:
        if not self.is_local and not self.token:
            raise RecipeError(
                f"{self.host} can be reached from other machines: a --token is needed"
            )
        object.__setattr__(self, "names", tuple(map(_own_name, self.names)))
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise RecipeError("a token is letters, digits and signs")

    @property
    def scheme(self) -> str:
        """The scheme of the address."""
        return "https" if self.https or self.certificate else "http"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host.lower() in LOOPBACK_NAMES:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def knows_host(self, name: str) -> bool:
        """Return whether a request may call the studio by that name.

        A page elsewhere can make its own name point here (DNS rebinding), but neither a number nor
        this machine's name.

        Raises:
            ValueError: The text can't be a host name.
        """
        name = _canonical_host(name)
        own = {self.host.lower(), *self.names}
        if self.is_local:
            return name in {*own, *LOOPBACK_NAMES}
        machine = socket.gethostname().lower()
        return name in {*own, machine, f"{machine}.local", *LOOPBACK_NAMES} or _is_number(name)


def _canonical_host(name: str) -> str:
    """Return a host name as browsers send it: lower case, in ASCII, without a final dot.

    Raises:
        ValueError: The text can't be a host name.
    """
    name = name.lower().removesuffix(".")
    if not name or set(name) & set("/@?# ") or (":" in name and not _is_number(name)):
        raise ValueError(f"{name!r} isn't a host name")
    return name if name.isascii() else name.encode("idna").decode()


def _own_name(name: str) -> str:
    try:
        return _canonical_host(name)
    except ValueError:
        raise RecipeError(
            f"a name is that of a host, as in studio.example, without a port; not {name!r}"
        ) from None


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
