"""Reads a keyring, and what settings add to it, into one frozen value."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rightsmanager.crypto import p256, pem
from rightsmanager.crypto.digest import hkdf_sha256
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.keyring.files import KeyFiles, read_file
from rightsmanager.keyring.identities import (
    CRL_SIGNER,
    DOMAIN_ISSUER,
    LICENSE_SIGNER,
    METERING,
    ROOT,
    STORAGE,
    WMRMSERVER,
)
from rightsmanager.protocol.formats.bcert import Chain, KeyUsage, parse_chain
from rightsmanager.protocol.messages.metering import MeteringCertificate, read_metering_certificate
from rightsmanager.protocol.wire import Mid

STORAGE_KEY_LENGTH: Final = 32
_SIGNER_USAGES: Final = (KeyUsage.SIGN_LICENSE, KeyUsage.SIGN_RESPONSE)


@dataclass(frozen=True, slots=True)
class KeyringSources:
    """Files that settings name beside or in place of the data folder's."""

    trust_anchors: tuple[Path, ...] = ()
    server_keys: tuple[Path, ...] = ()
    signing_key: Path | None = None
    signing_chain: Path | None = None


@dataclass(frozen=True, slots=True)
class MeteringIdentity:
    """A metering service: its private key, and its certificate as clients get it."""

    key: p256.PrivateKey = field(repr=False)
    certificate: MeteringCertificate
    """Of `key`."""

    @property
    def mid(self) -> Mid:
        """Its metering id."""
        return self.certificate.mid


@dataclass(frozen=True, slots=True)
class DomainIssuer:
    """Who certifies domains."""

    key: p256.PrivateKey = field(repr=False)
    chain: Chain
    """The leaf gives `key` the usage to issue domains."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """Everything a server must know of itself."""

    server_keys: tuple[p256.PrivateKey, ...] = field(repr=False)
    """What challenges may be encrypted to, our own first."""
    signing_key: p256.PrivateKey = field(repr=False)
    signing_chain: Chain
    """The leaf has the usages to sign licences and responses, and is of `signing_key`."""
    trust_anchors: tuple[p256.PublicKey, ...]
    """Roots whose chains are believed, our own first."""
    storage_key: bytes = field(repr=False)
    """What keys in the store are encrypted under, 32 bytes."""
    metering: MeteringIdentity
    """The metering service that is always there."""
    secure_stop_secret: bytes = field(repr=False)
    """What the secure-stop-2 keys of all KIDs are derived from, 32 bytes."""
    domain_issuer: DomainIssuer | None = None
    """None where its key was taken away: no domain can be made or renewed."""


@dataclass(frozen=True, slots=True)
class ListSigner:
    """Who signs revocation lists."""

    key: p256.PrivateKey = field(repr=False)
    chain: Chain
    """The leaf gives `key` the usage to sign revocation lists."""


def load_list_signer(files: KeyFiles) -> ListSigner:
    """Return who signs revocation lists; raises InternalError, which says what to do."""
    key, chain = files.find_key(CRL_SIGNER.name), files.find_chain(CRL_SIGNER.name)
    if key is None or chain is None:
        raise InternalError(
            f"{files.private} has no {CRL_SIGNER.name}; where {ROOT.name}.key was taken away, "
            "put it back, and run rightsmanager init"
        )
    if chain.leaf.key_with_usage(KeyUsage.SIGN_CRL) != key.public:
        raise InternalError(f"{CRL_SIGNER.name}.chain does not give its key the usage SIGN_CRL")
    return ListSigner(key, chain)


def load(files: KeyFiles, sources: KeyringSources) -> Keyring:
    """Return the keyring of a data folder; raises InternalError, which names the file at fault."""
    signing_key, signing_chain = _signer(files, sources)
    return Keyring(
        server_keys=(
            _own_key(files, WMRMSERVER.name),
            *(_key_from(file, files.passphrase) for file in sources.server_keys),
        ),
        signing_key=signing_key,
        signing_chain=signing_chain,
        trust_anchors=(
            _point_from(files.public / f"{ROOT.name}.pub"),
            *(_point_from(file) for file in sources.trust_anchors),
        ),
        storage_key=hkdf_sha256(
            _own_key(files, STORAGE.name).raw, b"content keys", STORAGE_KEY_LENGTH
        ),
        metering=_metering(files),
        secure_stop_secret=hkdf_sha256(
            _own_key(files, STORAGE.name).raw, b"secure stop 2", STORAGE_KEY_LENGTH
        ),
        domain_issuer=_domain_issuer(files),
    )


def _metering(files: KeyFiles) -> MeteringIdentity:
    key, chain = _own_key(files, METERING.name), files.find_chain(METERING.name)
    if chain is None:
        raise InternalError(f"{files.private} has no {METERING.name}.chain; run rightsmanager init")
    try:
        certificate = read_metering_certificate(chain)
    except InvalidMessage as error:
        raise InternalError(f"{METERING.name}.chain: {error.text}") from None
    if certificate.key != key.public:
        raise InternalError(f"{METERING.name}.chain is not of the key {METERING.name}.key")
    return MeteringIdentity(key, certificate)


def _domain_issuer(files: KeyFiles) -> DomainIssuer | None:
    key, chain = files.find_key(DOMAIN_ISSUER.name), files.find_chain(DOMAIN_ISSUER.name)
    if key is None or chain is None:
        return None
    if chain.leaf.key_with_usage(KeyUsage.ISSUE_DOMAIN) != key.public:
        raise InternalError(
            f"{DOMAIN_ISSUER.name}.chain does not give its key the usage ISSUE_DOMAIN"
        )
    return DomainIssuer(key, chain)


def _signer(files: KeyFiles, sources: KeyringSources) -> tuple[p256.PrivateKey, Chain]:
    if (sources.signing_key is None) != (sources.signing_chain is None):
        raise InternalError("of signing_key and signing_chain only one is set, expected both")
    if sources.signing_key is None or sources.signing_chain is None:
        key, chain = _own_key(files, LICENSE_SIGNER.name), files.find_chain(LICENSE_SIGNER.name)
        if chain is None:
            raise InternalError(f"{files.private} has no {LICENSE_SIGNER.name}.chain")
    else:
        key = _key_from(sources.signing_key, files.passphrase)
        chain = _chain_from(sources.signing_chain)
    for usage in _SIGNER_USAGES:
        if chain.leaf.key_with_usage(usage) != key.public:
            raise InternalError(
                f"the signing chain's leaf does not give the signing key the usage {usage.name}"
            )
    return key, chain


def _own_key(files: KeyFiles, name: str) -> p256.PrivateKey:
    key = files.find_key(name)
    if key is None:
        raise InternalError(f"{files.private} has no {name}.key; run rightsmanager init")
    return key


def _key_from(file: Path, passphrase: bytes | None) -> p256.PrivateKey:
    data = _read(file)
    # A key that is put in beside ours need not be under our passphrase.
    encrypted = b"ENCRYPTED" in data
    try:
        return pem.parse_private_key(data, passphrase if encrypted else None)
    except InternalError as error:
        raise InternalError(f"{file}: {error.text}") from None


def _chain_from(file: Path) -> Chain:
    try:
        return parse_chain(_read(file))
    except InvalidMessage as error:
        raise InternalError(f"{file}: {error.text}") from None


def _point_from(file: Path) -> p256.PublicKey:
    try:
        return p256.PublicKey(_read(file))
    except InvalidMessage as error:
        raise InternalError(f"{file}: {error.text}") from None


def _read(file: Path) -> bytes:
    data = read_file(file)
    if data is None:
        raise InternalError(f"{file} is not there")
    return data
