"""A certificate of the studio's own.

Browsers give a page their camera only over https; nobody vouches for a machine at home, so it
vouches for itself, and the browser asks once whether to believe it.
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
VALID = timedelta(days=397)
"""Browsers trust none for longer."""
RENEWED = timedelta(days=30)


def own_certificate(folder: Path, names: Sequence[str]) -> Path:
    """A file with a key and a certificate for ``names`` and for all that this machine is called:
    the one in ``folder``, or a new one if that is for others, or will soon be too old.
    """
    path = folder / FILE
    called = _alternatives([*names, *_own_names()])
    if not _is_good(path, called):
        pem = _made(called)
        files.make_atomically(path, lambda new: new.write_bytes(pem), private=True)
    return path


def check(path: Path) -> None:
    """Raise OutputError: no certificate with its key, without a password."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, password=lambda: b"")
    except FileNotFoundError as error:
        raise OutputError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} isn't a certificate with its key, in PEM: {error}") from error


def fingerprint(path: Path) -> str:
    """What browsers show of a certificate: its SHA-256, in pairs of digits."""
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def own_address() -> str | None:
    """Where other machines reach this one: the address that it would use to the outside."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outwards:
        try:
            outwards.connect(("192.0.2.1", 9))  # set aside for examples; nothing is sent
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
    """Names and addresses, each once, as certificates have them."""
    known: dict[str, x509.GeneralName] = {}
    for name in names:
        try:
            known[name] = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            known[name] = x509.DNSName(name.encode("idna").decode())
    return list(known.values())


def _is_good(path: Path, called: Sequence[x509.GeneralName]) -> bool:
    try:
        check(path)
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (OutputError, ValueError, x509.ExtensionNotFound):
        return False
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    return left > RENEWED and set(called) <= set(extension.value)


def _made(called: Sequence[x509.GeneralName]) -> bytes:
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
        .not_valid_after(now + VALID - timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(called), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoded = serialization.Encoding.PEM
    return certificate.public_bytes(encoded) + key.private_bytes(
        encoded, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
