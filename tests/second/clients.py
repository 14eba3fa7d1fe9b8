"""Client certificates and recipients of keys, made with `cryptography` alone."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = 1_790_000_000
"""The time at which certificates are valid, unless they are made to be expired."""
USAGES = {
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
}
KEY_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @cached_property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @cached_property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @cached_property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make(
    name: str,
    issuer: Identity | None = None,
    *,
    days: int = 30,
    now: int = NOW,
    bits: int = 2048,
    extensions: tuple[x509.ExtensionType, ...] = (),
) -> Identity:
    """Return a certificate that ends `days` from now, self-signed without an issuer."""
    key = rsa.generate_private_key(65537, bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    moment = datetime.fromtimestamp(now, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=60))
        .not_valid_after(moment + timedelta(days=days))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Identity(builder.sign(issuer.key if issuer else key, SHA256()), key)


def authority(name: str, *, now: int = NOW, is_ca: bool = True) -> Identity:
    constraints = x509.BasicConstraints(ca=is_ca, path_length=None)
    return make(name, now=now, extensions=(constraints,))


def issue(
    issuer: Identity, *, usage: str | None = "client", days: int = 30, now: int = NOW
) -> Identity:
    """Return a client's certificate."""
    usages = () if usage is None else (x509.ExtendedKeyUsage([USAGES[usage]]),)
    return make("packager", issuer, days=days, now=now, extensions=usages)


def recipient(*usages: str, days: int = 30, now: int = NOW, bits: int = 2048) -> Identity:
    """Return a recipient of keys; without usages the certificate does not limit its use."""
    named = {name: name in usages for name in KEY_USAGES}
    extensions = (x509.KeyUsage(**named),) if usages else ()
    return make("recipient", days=days, now=now, bits=bits, extensions=extensions)


CA = authority("clients' authority")
OTHER = authority("another authority")
