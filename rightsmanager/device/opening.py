"""The checks of a reply and its licences before a client uses them.

reply     the signature verifies under the leaf of its chain, which ends in the known root and
          whose leaf may sign licences and responses
licence   it is bound to the device's key, or to the key of a domain that the device is in, at the
          licence's revision, or chained to a root licence whose content key has the checksum of the
          root KID; its CMAC verifies under the integrity key, its rights id follows
          the nonce rule, its security level is not above the device's, its content key has the
          checksum of the header
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from rightsmanager.crypto import aes, p256
from rightsmanager.device.identity import Device
from rightsmanager.device.revocation import NO_LISTS, HeldLists
from rightsmanager.device.terms import Terms, terms_of
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats import wrmheader, xmr
from rightsmanager.protocol.formats.bcert import Chain, ChainVerifier, KeyUsage, parse_chain
from rightsmanager.protocol.formats.xmr.objects import (
    Cipher,
    ContentKey,
    DeviceKey,
    Domain,
    SecurityLevel,
    UplinkKid,
)
from rightsmanager.protocol.messages.response import LicenseResponse, open_license_response
from rightsmanager.protocol.wire import AccountId, Kid
from rightsmanager.protocol.xml.envelope import Envelope

_KEY_LENGTH: Final = 16
_CHAINED_LENGTH: Final = 32
_CMAC_CHECKSUM: Final = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OpenedLicense:
    """A licence that passed every check, and its content key."""

    license: xmr.License
    kid: Kid
    key_type: int
    terms: Terms
    content_key: bytes = field(repr=False)
    """16 bytes."""
    raw: bytes = field(repr=False)

    @property
    def persistent(self) -> bool:
        """Whether a device may store it."""
        return self.terms.persistent

    @property
    def root_kid(self) -> Kid | None:
        """The root licence that it was opened through."""
        return self.terms.root_kid


Roots = Mapping[Kid, bytes]
"""The content keys of root licences, 16 bytes each."""

DomainKeys = Mapping[tuple[AccountId, int], p256.PrivateKey]
"""The private keys of domains by account id and revision."""


@dataclass(frozen=True, slots=True)
class LicenseOpener:
    """A device's keys and lists, to open replies with."""

    device: Device
    verifier: ChainVerifier
    """Trusts the server's root."""
    backend: p256.Backend
    held: HeldLists = NO_LISTS
    """The revocation lists that the device holds."""
    roots: Roots = field(default_factory=dict, repr=False)
    """Of the stored root licences."""
    domains: DomainKeys = field(default_factory=dict, repr=False)
    """Of the joined domains."""


def open_reply(
    envelope: Envelope, opening: LicenseOpener, header: wrmheader.Header, nonce: bytes, now: int
) -> tuple[LicenseResponse, tuple[OpenedLicense, ...]]:
    """Return a reply and its licences, verified.

    `nonce` is the 16-byte LicenseNonce of the challenge, `now` is in Unix seconds.
    Raises InvalidMessage, which names the failed check.
    """
    opened = open_license_response(envelope)
    response = opened.response
    if opened.signature is not None:
        if response.signing_chain is None:
            raise InvalidMessage("the signed reply has no SigningCertificateChain")
        opened.verify(response_key(response.signing_chain, opening, now))
    licenses = open_licenses(response.licenses, opening)
    if opened.signature is None and any(license_.persistent for license_ in licenses):
        raise InvalidMessage("the reply holds a persistent licence and is not signed")
    _check_nonce(response, licenses, nonce)
    for license_ in licenses:
        _check_header(license_, header)
    return response, licenses


def open_licenses(raws: Sequence[bytes], opening: LicenseOpener) -> tuple[OpenedLicense, ...]:
    """Return the licences of a reply, leaves opened through the roots among them.

    Raises InvalidMessage.
    """
    bound = {raw: open_license(raw, opening) for raw in raws if not _is_chained(raw)}
    here = {license_.kid: license_.content_key for license_ in bound.values()}
    return tuple(bound.get(raw) or open_license(raw, opening, here) for raw in raws)


_NO_ROOTS: Roots = {}


def open_license(raw: bytes, opening: LicenseOpener, here: Roots = _NO_ROOTS) -> OpenedLicense:
    """Return a licence that the device can open, with its content key.

    here: roots of the same reply; they come before stored ones.

    Raises InvalidMessage.
    """
    license_ = xmr.parse_license(raw)
    content_key = _only(license_.find_all(ContentKey), "content key")
    if content_key.cipher not in _OPENERS:
        raise InvalidMessage(f"the content key has cipher {content_key.cipher}, expected 2 or 3")
    secret = _OPENERS[content_key.cipher](license_, content_key, opening, here)
    xmr.verify_signature(license_, secret[:_KEY_LENGTH])
    _check_level(license_, opening.device.chain)
    return OpenedLicense(
        license=license_,
        kid=content_key.kid,
        key_type=content_key.key_type,
        terms=terms_of(license_),
        content_key=secret[_KEY_LENGTH:],
        raw=raw,
    )


def _is_chained(raw: bytes) -> bool:
    content_key = xmr.parse_license(raw).find(ContentKey)
    return content_key is not None and content_key.cipher == Cipher.CHAINED


def _open_bound(
    license_: xmr.License, content_key: ContentKey, opening: LicenseOpener, _: Roots
) -> bytes:
    """Return integrity key(16), content key(16) of a licence that is bound to a certificate."""
    device_key = _only(license_.find_all(DeviceKey), "device key")
    key, whose = _bound_key(license_, opening)
    if device_key.key != key.public.raw:
        raise InvalidMessage(f"the licence is bound to another {whose} key")
    return opening.backend.decrypt(key, content_key.value)


def _bound_key(license_: xmr.License, opening: LicenseOpener) -> tuple[p256.PrivateKey, str]:
    """Return the key that the licence should be bound to, and its owner."""
    domain = license_.find(Domain)
    if domain is None:
        return opening.device.encryption_key, "device's"
    key = opening.domains.get((domain.account_id, domain.revision))
    if key is None:
        raise InvalidMessage(
            f"the licence is bound to the domain of account {domain.account_id.text} at revision "
            f"{domain.revision}, whose key the device does not have"
        )
    return key, "domain's"


def _open_chained(
    license_: xmr.License, content_key: ContentKey, opening: LicenseOpener, here: Roots
) -> bytes:
    """Return integrity key(16), content key(16) of a leaf licence."""
    uplink = _only(license_.find_all(UplinkKid), "uplink KID")
    root = here.get(uplink.root_kid) or opening.roots.get(uplink.root_kid)
    if root is None:
        raise InvalidMessage(
            f"the leaf licence for KID {content_key.kid.text} needs the root licence for KID "
            f"{uplink.root_kid.text}, which is not there"
        )
    if uplink.checksum_type != _CMAC_CHECKSUM:
        raise InvalidMessage(
            f"the uplink KID has checksum type {uplink.checksum_type}, expected {_CMAC_CHECKSUM}"
        )
    aes.verify_cmac(root, uplink.checksum, uplink.root_kid.raw)
    if len(content_key.value) != _CHAINED_LENGTH:
        raise InvalidMessage(
            f"the chained content key has {len(content_key.value)} bytes, expected "
            f"{_CHAINED_LENGTH}"
        )
    return aes.ecb_decrypt(root, content_key.value)


_OPENERS: Final[Mapping[int, Callable[[xmr.License, ContentKey, LicenseOpener, Roots], bytes]]] = {
    Cipher.ECC_256: _open_bound,
    Cipher.CHAINED: _open_chained,
}
"""The function that opens a licence, by the cipher of its content key."""


def response_key(signing_chain: bytes, opening: LicenseOpener, now: int) -> p256.PublicKey:
    """Return the key that signs a server's replies, its chain verified.

    Raises InvalidMessage, and DeviceCertificateRevoked for a certificate on a list of the device.
    """
    chain = parse_chain(signing_chain)
    opening.verifier.verify(chain, now, opening.held.digests)
    key = chain.leaf.key_with_usage(KeyUsage.SIGN_RESPONSE)
    if key is None:
        raise InvalidMessage("the reply's leaf certificate has no key that may sign responses")
    return key


def _only(found: Sequence[T], name: str) -> T:
    if len(found) != 1:
        raise InvalidMessage(f"the licence has {len(found)} objects of a {name}, expected one")
    return found[0]


def _check_level(license_: xmr.License, chain: Chain) -> None:
    level = license_.find(SecurityLevel)
    if level is not None and level.level > chain.leaf.security_level:
        raise InvalidMessage(
            f"the licence needs security level {level.level}, "
            f"the device has {chain.leaf.security_level}"
        )


def _check_nonce(
    response: LicenseResponse, licenses: Sequence[OpenedLicense], nonce: bytes
) -> None:
    transient = [license_ for license_ in licenses if not license_.persistent]
    for count, license_ in enumerate(transient):
        if license_.license.rights_id != xmr.rights_id_after(nonce, count):
            raise InvalidMessage(
                f"the rights id of the licence for KID {license_.kid.text} is not "
                f"the challenge's LicenseNonce plus {count}"
            )
    if len(transient) < len(licenses) and response.nonce != nonce:
        raise InvalidMessage("the reply to a persistent licence does not echo the LicenseNonce")


def _check_header(license_: OpenedLicense, header: wrmheader.Header) -> None:
    entry = next((entry for entry in header.kids if entry.kid == license_.kid), None)
    if entry is None:
        return
    try:
        wrmheader.verify_checksum(entry, license_.content_key)
    except InvalidMessage as refusal:
        raise InvalidMessage(
            f"{refusal.text}; the server has another key for this KID: store the content's key by "
            "rightsmanager content add, or give it in the URL as contentkey"
        ) from None
