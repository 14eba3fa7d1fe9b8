"""What a client verifies before it uses a reply and its licences.

reply     the signature verifies under the leaf of its chain, which ends in the known root and
          whose leaf may sign licences and responses
licence   it is bound to the device's key, its CMAC verifies under the integrity key,
          its rights id follows the nonce rule, its security level is not above the device's,
          its content key has the checksum of the header
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from rightsmanager.crypto import p256
from rightsmanager.device.identity import Device
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol import wrmheader, xmr
from rightsmanager.protocol.bcert import Chain, ChainVerifier, KeyUsage, parse_chain
from rightsmanager.protocol.envelope import Envelope
from rightsmanager.protocol.response import LicenseResponse, open_license_response
from rightsmanager.protocol.wire import Kid
from rightsmanager.protocol.xmr.objects import (
    Cipher,
    ContentKey,
    DeviceKey,
    RightsSettings,
    SecurityLevel,
)

_KEY_LENGTH: Final = 16
_CANNOT_PERSIST: Final = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OpenedLicense:
    """A licence that passed every check, and its content key."""

    license: xmr.License
    kid: Kid
    key_type: int
    persistent: bool
    content_key: bytes = field(repr=False)
    """16 bytes."""
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a device needs to open replies."""

    device: Device
    verifier: ChainVerifier
    """Trusts the server's root."""
    backend: p256.Backend


def open_reply(
    envelope: Envelope, opening: Opening, header: wrmheader.Header, nonce: bytes, now: int
) -> tuple[LicenseResponse, tuple[OpenedLicense, ...]]:
    """Return a reply and its licences, all of whose checks passed.

    `nonce` is the 16-byte LicenseNonce of the challenge, `now` is in Unix seconds.
    Raises InvalidMessage, which says the check that failed.
    """
    opened = open_license_response(envelope)
    response = opened.response
    if opened.signature is not None:
        opened.verify(_response_key(response, opening.verifier, now))
    licenses = tuple(open_license(raw, opening) for raw in response.licenses)
    if opened.signature is None and any(license_.persistent for license_ in licenses):
        raise InvalidMessage("the reply holds a persistent licence and is not signed")
    _check_nonce(response, licenses, nonce)
    for license_ in licenses:
        _check_header(license_, header)
    return response, licenses


def open_license(raw: bytes, opening: Opening) -> OpenedLicense:
    """Return a licence that is bound to the device, with its content key; raises InvalidMessage."""
    license_ = xmr.parse_license(raw)
    content_key = _only(license_.find_all(ContentKey), "content key")
    device_key = _only(license_.find_all(DeviceKey), "device key")
    if device_key.key != opening.device.encryption_key.public.raw:
        raise InvalidMessage("the licence is bound to another device's key")
    if content_key.cipher != Cipher.ECC_256:
        raise InvalidMessage(f"the content key has cipher {content_key.cipher}, expected 3")
    x = opening.backend.decrypt(opening.device.encryption_key, content_key.value)
    xmr.verify_signature(license_, x[:_KEY_LENGTH])
    _check_level(license_, opening.device.chain)
    settings = license_.find(RightsSettings)
    return OpenedLicense(
        license=license_,
        kid=content_key.kid,
        key_type=content_key.key_type,
        persistent=settings is None or not settings.settings & _CANNOT_PERSIST,
        content_key=x[_KEY_LENGTH:],
        raw=raw,
    )


def _response_key(response: LicenseResponse, verifier: ChainVerifier, now: int) -> p256.PublicKey:
    if response.signing_chain is None:
        raise InvalidMessage("the signed reply has no SigningCertificateChain")
    chain = parse_chain(response.signing_chain)
    verifier.verify(chain, now)
    if chain.leaf.key_with_usage(KeyUsage.SIGN_LICENSE) is None:
        raise InvalidMessage("the reply's leaf certificate has no key that may sign licences")
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
    if entry is not None:
        wrmheader.verify_checksum(entry, license_.content_key)
