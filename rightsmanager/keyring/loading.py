"""Reads a keyring, and the files that settings add to it, into one frozen value."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rightsmanager.crypto import p256
from rightsmanager.crypto.digest import hkdf_sha256
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.files import read_file
from rightsmanager.keyring.files import (
    METERING_FILE,
    KeyFiles,
    parse_chain_file,
    parse_key_file,
    parse_public_file,
)
from rightsmanager.keyring.identities import (
    CRL_SIGNER,
    DOMAIN_ISSUER,
    LICENSE_SIGNER,
    METERING,
    ROOT,
    STORAGE,
    WMRMSERVER,
)
from rightsmanager.protocol.formats.bcert import Chain, KeyUsage
from rightsmanager.protocol.messages.metering import MeteringCertificate, read_metering_certificate
from rightsmanager.protocol.wire import Mid, fingerprint

STORAGE_KEY_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class KeyringSources:
    """Files that settings name in addition to the data folder's, or in their place."""

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
        """The metering id."""
        return self.certificate.mid


@dataclass(frozen=True, slots=True)
class DomainIssuer:
    """The issuer of domain certificates."""

    key: p256.PrivateKey = field(repr=False)
    chain: Chain
    """The leaf gives `key` the usage to issue domains."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The identities and keys of a server."""

    server_keys: tuple[p256.PrivateKey, ...] = field(repr=False)
    """Keys that challenges may be encrypted to, the data folder's own first."""
    signing_key: p256.PrivateKey = field(repr=False)
    signing_chain: Chain
    """The leaf gives `signing_key` the usage to sign responses."""
    trust_anchors: tuple[p256.PublicKey, ...]
    """Roots of trusted chains, the data folder's own first."""
    storage_key: bytes = field(repr=False)
    """Encrypts keys in the store, 32 bytes."""
    metering: MeteringIdentity
    """The metering service that every server has."""
    secure_stop_secret: bytes = field(repr=False)
    """The secure-stop-2 keys of all KIDs are derived from it, 32 bytes."""
    fingerprints: Mapping[str, str]
    """Fingerprints of root and storage key by name: a database belongs to one pair of them."""
    domain_issuer: DomainIssuer | None = None
    """None if its key was taken away: no domain can be created or renewed."""

    @property
    def public_files(self) -> Mapping[str, bytes]:
        """The files that clients need, by their names in the folder `public`."""
        return {
            f"{ROOT.name}.pub": self.trust_anchors[0].raw,
            f"{WMRMSERVER.name}.pub": self.server_keys[0].public.raw,
            METERING_FILE: self.metering.certificate.chain.raw,
        }


@dataclass(frozen=True, slots=True)
class ListSigner:
    """The signer of revocation lists."""

    key: p256.PrivateKey = field(repr=False)
    chain: Chain
    """The leaf gives `key` the usage to sign revocation lists."""


def load(files: KeyFiles, sources: KeyringSources) -> Keyring:
    """Return the keyring of a data folder; raises InternalError, which names the file at fault."""
    signing_key, signing_chain = _signer(files, sources)
    storage = _own_key(files, STORAGE.name)
    root = read_public_key(files.public_file(ROOT.name))
    with _from_setting("server_keys"):
        server_keys = [read_key(file, files.passphrase) for file in sources.server_keys]
    with _from_setting("trust_anchors"):
        trust_anchors = [read_public_key(file) for file in sources.trust_anchors]
    return Keyring(
        server_keys=(
            _own_key(files, WMRMSERVER.name),
            *server_keys,
        ),
        signing_key=signing_key,
        signing_chain=signing_chain,
        trust_anchors=(root, *trust_anchors),
        storage_key=hkdf_sha256(storage.raw, b"content keys", STORAGE_KEY_LENGTH),
        metering=_metering(files),
        secure_stop_secret=hkdf_sha256(storage.raw, b"secure stop 2", STORAGE_KEY_LENGTH),
        fingerprints={
            ROOT.name: fingerprint(root.raw),
            STORAGE.name: fingerprint(storage.public.raw),
        },
        domain_issuer=_domain_issuer(files),
    )


def load_list_signer(files: KeyFiles) -> ListSigner:
    """Return the signer of revocation lists; raises InternalError, which says what to do."""
    key, chain = files.find_key(CRL_SIGNER.name), files.find_chain(CRL_SIGNER.name)
    if key is None or chain is None:
        raise InternalError(
            f"{files.private} has no {CRL_SIGNER.name}; if {ROOT.name}.key was taken away, "
            "put it back, and run rightsmanager init"
        )
    _refuse_other_key(CRL_SIGNER.name, key, chain, KeyUsage.SIGN_CRL)
    return ListSigner(key, chain)


def read_key(file: Path, passphrase: bytes | None) -> p256.PrivateKey:
    """Return the private key in a PEM file that settings name; raises InternalError."""
    data = read_file(file)
    # A key that is added to the keyring need not be encrypted, even if the keyring is.
    return parse_key_file(file, data, passphrase if b"ENCRYPTED" in data else None)


def read_public_key(file: Path) -> p256.PublicKey:
    """Return the public key in a file of 64 bytes; raises InternalError."""
    return parse_public_file(file, read_file(file))


def _metering(files: KeyFiles) -> MeteringIdentity:
    key, chain = _own_key(files, METERING.name), _own_chain(files, METERING.name)
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
    _refuse_other_key(DOMAIN_ISSUER.name, key, chain, KeyUsage.ISSUE_DOMAIN)
    return DomainIssuer(key, chain)


def _signer(files: KeyFiles, sources: KeyringSources) -> tuple[p256.PrivateKey, Chain]:
    if (sources.signing_key is None) != (sources.signing_chain is None):
        raise InternalError(
            "of keyring.signing_key and keyring.signing_chain only one is set, expected both"
        )
    if sources.signing_key is None or sources.signing_chain is None:
        key = _own_key(files, LICENSE_SIGNER.name)
        chain = _own_chain(files, LICENSE_SIGNER.name)
    else:
        with _from_setting("signing_key"):
            key = read_key(sources.signing_key, files.passphrase)
        with _from_setting("signing_chain"):
            chain = parse_chain_file(sources.signing_chain, read_file(sources.signing_chain))
    if chain.leaf.key_with_usage(KeyUsage.SIGN_RESPONSE) != key.public:
        raise InternalError(
            "the signing chain's leaf does not give the signing key the usage SIGN_RESPONSE"
        )
    return key, chain


@contextmanager
def _from_setting(name: str) -> Iterator[None]:
    """Add the name of the setting to errors of the files that it names."""
    try:
        yield
    except InternalError as error:
        raise InternalError(f"keyring.{name}: {error.text}") from None


def _own_key(files: KeyFiles, name: str) -> p256.PrivateKey:
    key = files.find_key(name)
    if key is None:
        raise InternalError(
            f"{files.private} has no {name}.key; run rightsmanager init --data {files.data}"
        )
    return key


def _own_chain(files: KeyFiles, name: str) -> Chain:
    chain = files.find_chain(name)
    if chain is None:
        raise InternalError(
            f"{files.private} has no {name}.chain; run rightsmanager init --data {files.data}"
        )
    return chain


def _refuse_other_key(name: str, key: p256.PrivateKey, chain: Chain, usage: KeyUsage) -> None:
    if chain.leaf.key_with_usage(usage) != key.public:
        raise InternalError(f"{name}.chain does not give its key the usage {usage.name}")
