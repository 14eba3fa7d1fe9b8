"""The key and the self-signed certificate of the server for HTTPS.

DIR/tls/https.key     PKCS#8 PEM, encrypted where there is a passphrase; mode 0600; made once
DIR/tls/https.pem     the certificate; renewed, with the same key, before it expires and if a
                      name is missing
DIR/public/tls.pem    the same certificate, for clients to trust

Clients that trust the key, by its SHA-256, also accept the renewed certificate.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rightsmanager.crypto import pem
from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.random import Rng
from rightsmanager.crypto.x509 import HttpsCertificate, issue_self_signed, parse_certificate
from rightsmanager.errors import InternalError
from rightsmanager.files import find_file, keep_file, replace_file
from rightsmanager.keyring.files import KeyFiles

LIFETIME: Final = 825 * 86400
"""Seconds that a certificate is valid: the maximum that all clients accept."""
RENEWED_BEFORE: Final = 30 * 86400
"""Seconds before its expiry from which a certificate is renewed."""


@dataclass(frozen=True, slots=True)
class HttpsFiles:
    """The paths of the server's key and certificate."""

    data: Path

    @property
    def key(self) -> Path:
        """The private key."""
        return self.data / "tls" / "https.key"

    @property
    def certificate(self) -> Path:
        """The certificate that the server shows."""
        return self.data / "tls" / "https.pem"

    @property
    def public(self) -> Path:
        """The certificate that clients are given."""
        return self.data / "public" / "tls.pem"


def create_https(files: KeyFiles, names: tuple[str, ...], now: int, rng: Rng) -> HttpsCertificate:
    """Return the certificate for these names, made if there is none that will do; it is in place.

    Raises InternalError where a file cannot be read or written.
    """
    places = HttpsFiles(files.data)
    key = _keep_key(places.key, files.passphrase, rng)

    def make() -> bytes:
        return issue_self_signed(key, names, now, LIFETIME, rng)

    certificate = read_certificate(places.certificate, keep_file(places.certificate, make))
    if not _will_do(certificate, key, names, now):
        replace_file(places.certificate, make())
        certificate = read_certificate(places.certificate)
    if find_file(places.public) != certificate.pem:
        replace_file(places.public, certificate.pem)
    return certificate


def read_certificate(file: Path, held: bytes | None = None) -> HttpsCertificate:
    """Return the certificate in a file, whose bytes may be at hand; raises InternalError."""
    data = find_file(file) if held is None else held
    if data is None:
        raise InternalError(f"{file} is not there")
    try:
        return parse_certificate(data)
    except InternalError as error:
        raise InternalError(f"{file}: {error.text}") from None


def _keep_key(file: Path, passphrase: bytes | None, rng: Rng) -> PrivateKey:
    data = keep_file(file, lambda: pem.build_private_key(PrivateKey.generate(rng), passphrase))
    try:
        return pem.parse_private_key(data, passphrase)
    except InternalError as error:
        raise InternalError(f"{file}: {error.text}") from None


def _will_do(
    certificate: HttpsCertificate, key: PrivateKey, names: tuple[str, ...], now: int
) -> bool:
    return (
        certificate.not_before <= now < certificate.not_after - RENEWED_BEFORE
        and certificate.names >= set(names)
        and certificate.spki.endswith(key.public.raw)
    )
