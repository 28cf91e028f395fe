"""The studio's own, self-signed certificate.

Browsers give a page the camera only over https. No authority issues a certificate for a machine at
home, so the studio signs its own, and the browser asks once whether to trust it.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from impasto.base import files
from impasto.base.errors import OutputError

FILE = "certificate.pem"
VALIDITY = timedelta(days=397)
"""The longest that browsers accept."""
RENEWAL = timedelta(days=30)
"""A certificate is replaced when it is valid for less than that."""


def own_certificate(folder: Path, names: Sequence[str]) -> Path:
    """Return a file with a key and a certificate for this machine.

    The file in ``folder`` is replaced if it lacks a name or expires soon.

    Args:
        folder: Where the file is kept.
        names: Host names and addresses, besides those that this machine knows of itself.
    """
    path = folder / FILE
    hosts = _alternatives([*names, *_own_names()])
    if not _is_valid(path, hosts):
        pem = _create(hosts)
        files.make_atomically(path, lambda new: new.write_bytes(pem), private=True)
    return path


def check(path: Path) -> None:
    """Raise OutputError unless a file has a certificate with its key, without a password."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, password=lambda: b"")
    except FileNotFoundError as error:
        raise OutputError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} isn't a certificate with its key, in PEM: {error}") from error


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a certificate, in pairs of digits as browsers show it."""
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def own_address() -> str | None:
    """Return the address that this machine uses to reach others, or None without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outwards:
        try:
            outwards.connect(("192.0.2.1", 9))  # reserved for documentation; nothing is sent
        except OSError:  # no network
            return None
        address: str = outwards.getsockname()[0]
        return address


def _own_names() -> list[str]:
    machine = socket.gethostname().lower()
    addresses = [
        address.address.partition("%")[0]
        for interface in psutil.net_if_addrs().values()
        for address in interface
        if address.family in (socket.AF_INET, socket.AF_INET6)
    ]
    return ["localhost", machine, f"{machine}.local", *addresses]


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    """Return names and addresses, each once, as certificates have them."""
    known: dict[str, x509.GeneralName] = {}
    for name in names:
        try:
            known[name] = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            known[name] = x509.DNSName(name.encode("idna").decode())
    return list(known.values())


def _is_valid(path: Path, hosts: Sequence[x509.GeneralName]) -> bool:
    try:
        check(path)
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (OutputError, ValueError, x509.ExtensionNotFound):
        return False
    remaining = certificate.not_valid_after_utc - datetime.now(UTC)
    return remaining > RENEWAL and set(hosts) <= set(extension.value)


def _create(hosts: Sequence[x509.GeneralName]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "impasto studio")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks differ
        .not_valid_after(now + VALIDITY - timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoded = serialization.Encoding.PEM
    return certificate.public_bytes(encoded) + key.private_bytes(
        encoded, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
