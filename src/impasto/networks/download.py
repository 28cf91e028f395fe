"""Fetching a file: streamed, resumed where it broke off, checked, and put in place in one go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from impasto.base import extras, files
from impasto.base.errors import WeightsError, reason
from impasto.networks.connection import open_client
from impasto.networks.weights import matches, partial_path

try:
    import httpx
except ImportError as error:
    raise extras.missing_error("weights") from error

CHUNK_BYTES = 1 << 18
STALL_SECONDS = 30.0
"""A source that sends nothing for that long is given up; what came is kept for the next try."""


def fetch(
    url: str, path: Path, digest: str, *, stall_seconds: float = STALL_SECONDS
) -> Iterator[int]:
    """Download ``url`` to ``path`` and yield the number of bytes there so far, after each piece.

    An earlier partial download is continued where the server can. ``path`` appears only when the
    whole file has the right ``digest`` (``algorithm:hexadecimal``). Raises WeightsError: the source
    can't be reached, refuses, stalls, breaks off, or sends something else; the disk is full.
    Raises NetworkError: see ``open_client``.
    """
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield from _stream(url, partial, stall_seconds)
    except httpx.TimeoutException as error:
        raise WeightsError(
            f"{url} has sent nothing for {stall_seconds:g} s; try again, it will go on from here"
        ) from error
    except httpx.HTTPError as error:
        raise WeightsError(
            f"{url} broke off or can't be reached ({_words(error)}); try again, it will go on from"
            " here"
        ) from error
    except httpx.InvalidURL as error:
        raise WeightsError(f"{url} isn't a web address") from error
    except OSError as error:
        raise WeightsError(f"{partial} can't be written: {reason(error)}") from error
    if not matches(partial, digest):
        partial.unlink()
        raise WeightsError(
            f"what {url} sent isn't the right file (its {digest.split(':')[0]} differs)"
        )
    partial.replace(path)


def _stream(url: str, partial: Path, stall_seconds: float) -> Iterator[int]:
    have = partial.stat().st_size if files.exists(partial) else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    timeout = httpx.Timeout(stall_seconds)
    with (
        open_client(url, timeout=timeout, follow_redirects=True) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            yield have  # it was all there already; the hash will tell
            return
        if answer.is_error:
            raise WeightsError(
                f"{url} answered {answer.status_code} {answer.reason_phrase}; nothing was fetched"
            )
        if answer.status_code != httpx.codes.PARTIAL_CONTENT:
            have = 0  # the server starts anew, and so do we
        with partial.open("ab" if have else "wb") as file:
            for chunk in answer.iter_raw(CHUNK_BYTES):
                file.write(chunk)
                have += len(chunk)
                yield have


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
