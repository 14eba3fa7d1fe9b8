"""HTTPS: the files of the server's certificate, and the TLS context.

server.certfile, keyfile         the operator's own
server.https = "self-signed"     one that `rightsmanager.keyring.https` keeps in the data folder
neither                          no HTTPS
"""

import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rightsmanager.crypto.random import Rng
from rightsmanager.crypto.x509 import HttpsCertificate
from rightsmanager.errors import InternalError
from rightsmanager.keyring import HttpsFiles, create_https, read_certificate
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.settings import ServerSettings, Settings

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
HANDSHAKE_SECONDS: Final = 5.0
"""Longest handshake."""

_NO_PAIR: Final = (
    "they are not a certificate and its key in PEM, or the passphrase is wrong or missing"
)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of the certificate that the server presents."""

    certificate: Path
    key: Path
    trusted_by: Path
    """The file that clients trust: the public copy of a self-signed certificate, else the chain."""


def find_tls_files(settings: Settings) -> TlsFiles | None:
    """Return the files of the server's certificate, None if it serves HTTP."""
    server = settings.server
    if server.certfile:
        certificate = Path(server.certfile)
        return TlsFiles(certificate, Path(server.keyfile or server.certfile), certificate)
    if server.https == "off":
        return None
    files = HttpsFiles(settings.data)
    return TlsFiles(files.certificate, files.key, files.public)


def prepare_https(settings: Settings, files: KeyFiles, now: int, rng: Rng) -> None:
    """Make the self-signed certificate if the settings ask for one and it is missing."""
    if settings.server.https == "self-signed":
        create_https(files, certificate_names(settings.server), now, rng)


def certificate_names(server: ServerSettings) -> tuple[str, ...]:
    """Return the names in the self-signed certificate: all hosts that clients may use in a URL."""
    bound = server.bind.rpartition(":")[0].strip("[]")
    public = urlsplit(server.public_url).hostname or ""
    named = (*LOOPBACK_NAMES, *([] if _is_wildcard(bound) else [bound]), public)
    return tuple(dict.fromkeys(_canonical(name) for name in (*named, *server.https_names) if name))


def read_tls_certificate(files: TlsFiles) -> HttpsCertificate:
    """Return the certificate that the server presents; raises InternalError if it is missing."""
    return read_certificate(files.certificate)


def server_context(
    files: TlsFiles, passphrase: bytes | None, client_ca: str = ""
) -> ssl.SSLContext:
    """Return the context for TLS 1.2 and 1.3; raises InternalError for unusable files.

    client_ca: a file of the authorities whose clients may present a certificate; empty for none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TimedSocket
    try:
        # Without a passphrase OpenSSL would ask the terminal for one.
        context.load_cert_chain(files.certificate, files.key, password=passphrase or b"")
    except ssl.SSLError as error:
        reason = error.reason.lower().replace("_", " ") if error.reason else _NO_PAIR
        raise InternalError(_unusable(files, reason)) from None
    except OSError as error:
        raise InternalError(_unusable(files, error.strerror or "they cannot be read")) from None
    if client_ca:
        _ask_for_certificates(context, client_ca)
    return context


def _ask_for_certificates(context: ssl.SSLContext, client_ca: str) -> None:
    # Optional: players of the same server have none.
    context.verify_mode = ssl.CERT_OPTIONAL
    try:
        context.load_verify_locations(client_ca)
    except (ssl.SSLError, OSError):
        text = f"packaging.client_ca {client_ca} cannot be read, expected certificates in PEM"
        raise InternalError(text) from None


def find_client_ca(settings: Settings) -> str:
    """Return the file of the authorities of client certificates, empty if none are asked for."""
    packaging = settings.packaging
    return (
        ""
        if packaging.certificate_header or packaging.access != "certificate"
        else packaging.client_ca
    )


class TimedSocket(ssl.SSLSocket):
    """A connection whose handshake has a timeout."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 -- as in ssl
        """Shake hands; raises TimeoutError after HANDSHAKE_SECONDS."""
        # The worker of this project does not wait at all.
        waits = self.gettimeout() != 0
        if waits:
            self.settimeout(HANDSHAKE_SECONDS)
        super().do_handshake(block)
        if waits:
            self.settimeout(None)


def _unusable(files: TlsFiles, reason: str) -> str:
    return f"HTTPS with the certificate {files.certificate} and the key {files.key}: {reason}"


def _is_wildcard(host: str) -> bool:
    return not host or host in {"0.0.0.0", "::"}  # noqa: S104 -- only compared here


def _canonical(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        return name.lower()
