"""HTTP clients that follow the user's proxy settings, but never for this machine."""

from __future__ import annotations

import ipaddress
import os
import ssl
from typing import Any
from urllib.parse import urlsplit

from impasto.base import extras
from impasto.base.errors import NetworkError, reason

try:
    import httpx
except ImportError as error:
    raise extras.missing_error("weights") from error

PROXY_VARIABLES = ("all_proxy", "http_proxy", "https_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that say where they are; of two the first one counts."""
NO_PROXY = {"all://localhost": None, "all://127.0.0.1": None, "all://[::1]": None}
"""Hosts that a redirect reaches without a proxy."""


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own.

    >>> is_loopback("127.1.2.3"), is_loopback("localhost"), is_loopback("example.org")
    (True, True, False)
    """
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def ffmpeg_options(address: str) -> dict[str, str]:
    """Return what keeps FFmpeg, which knows the variable ``http_proxy``, from using a proxy for an
    address on this machine.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return {}
    direct = parts.scheme.lower() in ("http", "https") and is_loopback(parts.hostname or "")
    return {"http_proxy": ""} if direct else {}


def open_client(url: str | httpx.URL, **options: Any) -> httpx.Client:
    """Return a client for requests to ``url``; ``options`` are those of ``httpx.Client``.

    Raises:
        NetworkError: The proxies or certificates in the environment can't be used.
        httpx.InvalidURL: ``url`` isn't a web address.
    """
    local = is_loopback(httpx.URL(url).host)
    try:
        return httpx.Client(trust_env=not local, mounts=NO_PROXY, **options)
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        variables = " ".join(name for name in os.environ if name.lower() in PROXY_VARIABLES)
        raise NetworkError(
            f"the proxy in {variables or 'the system settings'} can't be used: it should be an"
            " address of http:// or https://, or with the package socksio of socks5://"
        ) from error
    except (OSError, ssl.SSLError) as error:
        given = [f"{name}={os.environ[name]}" for name in CERTIFICATES if os.environ.get(name)]
        place = given[0] if given else "the system"
        raise NetworkError(f"the certificates of {place} can't be read: {reason(error)}") from error
