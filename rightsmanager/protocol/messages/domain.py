"""JoinDomain and LeaveDomain: a device joins or leaves the domain of an account.

    DomainJoin             DomainServiceID, AccountID (optional), FriendlyName (optional)
    DomainJoinResponse     DomainServiceID, AccountID, Revision, FriendlyName, DomainURL,
                           DomainCertificates/DomainCertificate[@Revision],
                           DomainKeys/DomainKey[@Revision]; all revisions, newest first
    DomainLeave            DomainServiceID, AccountID
    DomainLeaveResponse    DomainServiceID, AccountID, Revision

Ids are base64 of GUIDs. A DomainCertificate is a base64 BCert chain under the domain CA, a
DomainKey base64 of 168 bytes:

    EC ElGamal ciphertext 128   of a new random point, to the device's encryption key
    RFC 3394 wrap 40            of the revision's private key d(32), under the last 16 bytes of the
                                point's x

Domains, and that members receive their certificates, are public. The form is a profile of this
project: see `exchange`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from lxml import etree

from rightsmanager.crypto import aes, p256
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import Chain
from rightsmanager.protocol.messages.challenge import escape_text, server_keys
from rightsmanager.protocol.messages.exchange import (
    ChallengeKeys,
    ClientInfo,
    MessageNames,
    OpenedReply,
    open_challenge,
    open_reply,
    seal_challenge,
    seal_reply,
)
from rightsmanager.protocol.wire import (
    PROTOCOLS,
    AccountId,
    ServiceId,
    decode_base64,
    encode_base64,
)
from rightsmanager.protocol.xml.elements import Fields, plain_text
from rightsmanager.protocol.xml.envelope import Envelope

JOIN: Final = MessageNames("JoinDomain", "DomainJoin", "DomainJoinResponse")
LEAVE: Final = MessageNames("LeaveDomain", "DomainLeave", "DomainLeaveResponse")

_WRAPPED_LENGTH: Final = p256.FIELD_LENGTH + 8
DOMAIN_KEY_LENGTH: Final = p256.CIPHERTEXT_LENGTH + _WRAPPED_LENGTH
"""Bytes of a wrapped private key: 168."""
LAST_REVISION: Final = 2**32 - 1

ParseChain = Callable[[bytes], Chain]


@dataclass(frozen=True, slots=True)
class JoinChallenge:
    """A JoinDomain challenge."""

    service_id: ServiceId
    account_id: AccountId | None
    friendly_name: str | None
    custom_data: str | None
    chains: tuple[Chain, ...]
    signer: Chain
    """The chain of the device that signed the challenge."""
    digest: bytes
    """SHA-256 of DomainJoin as it was signed, 32 bytes."""
    elements: Fields = field(repr=False, compare=False)
    """The children of E, for `exchange.read_client`."""


@dataclass(frozen=True, slots=True)
class LeaveChallenge:
    """A LeaveDomain challenge."""

    service_id: ServiceId
    account_id: AccountId
    chains: tuple[Chain, ...]
    signer: Chain
    """The chain of the device that signed the challenge."""
    digest: bytes
    """SHA-256 of DomainLeave as it was signed, 32 bytes."""
    elements: Fields = field(repr=False, compare=False)
    """The children of E, for `exchange.read_client`."""


@dataclass(frozen=True, slots=True)
class DomainRevision:
    """The certificate and key of one revision of a domain."""

    revision: int
    """1 to 2^32 - 1."""
    chain: bytes = field(repr=False)
    """BCert chain of the domain's certificate."""
    wrapped_key: bytes = field(repr=False)
    """168 bytes, see `unwrap_domain_key`."""


@dataclass(frozen=True, slots=True)
class JoinResponse:
    """The reply to JoinDomain."""

    service_id: ServiceId
    account_id: AccountId
    friendly_name: str
    domain_url: str
    revisions: tuple[DomainRevision, ...]
    """All revisions, newest first; at least one."""

    @property
    def revision(self) -> int:
        """The newest revision."""
        return self.revisions[0].revision


@dataclass(frozen=True, slots=True)
class LeaveResponse:
    """The reply to LeaveDomain."""

    service_id: ServiceId
    account_id: AccountId
    revision: int
    """The newest revision of the domain."""


# --- the domain's private key -------------------------------------------------------------------


def wrap_domain_key(
    domain_key: p256.PrivateKey, device_key: p256.PublicKey, backend: p256.Backend, rng: Rng
) -> bytes:
    """Return a domain's private key wrapped for the device with that key, 168 bytes."""
    x = p256.random_point_x(rng)
    return backend.encrypt(device_key, x, rng) + aes.wrap_key(_wrapping_key(x), domain_key.raw)


def unwrap_domain_key(
    wrapped: bytes, device_key: p256.PrivateKey, backend: p256.Backend
) -> p256.PrivateKey:
    """Return a domain's private key from the 168 bytes that `wrap_domain_key` makes.

    Raises InvalidMessage for another length, another device's key, and an invalid private key.
    """
    if len(wrapped) != DOMAIN_KEY_LENGTH:
        raise InvalidMessage(f"DomainKey has {len(wrapped)} bytes, expected {DOMAIN_KEY_LENGTH}")
    x = backend.decrypt(device_key, wrapped[: p256.CIPHERTEXT_LENGTH])
    wrapped_key = wrapped[p256.CIPHERTEXT_LENGTH :]
    return p256.PrivateKey(aes.unwrap_key(_wrapping_key(x), wrapped_key))


def _wrapping_key(x: bytes) -> bytes:
    return x[p256.HALF_LENGTH :]


# --- the challenges -----------------------------------------------------------------------------


def open_join(
    envelope: Envelope,
    keys: Sequence[p256.PrivateKey],
    backend: p256.Backend,
    parse_chain: ParseChain,
) -> JoinChallenge:
    """Return a JoinDomain challenge.

    Raises InvalidMessage, and ProtocolVersionMismatch for another Version than 1.
    """
    opened = open_challenge(envelope, JOIN, server_keys(keys), backend, parse_chain)
    account_id = opened.fields.optional("AccountID")
    return JoinChallenge(
        service_id=_service_id(opened.fields),
        account_id=None if account_id is None else AccountId.from_base64(plain_text(account_id)),
        friendly_name=opened.fields.optional_text("FriendlyName"),
        custom_data=opened.fields.optional_text("CustomData"),
        chains=opened.chains,
        signer=opened.signer,
        digest=opened.digest,
        elements=opened.fields,
    )


def seal_join(
    service_id: ServiceId,
    account_id: AccountId | None,
    friendly_name: str | None,
    client: ClientInfo,
    keys: ChallengeKeys,
) -> bytes:
    """Return the SOAP 1.1 envelope of a JoinDomain challenge."""
    name = "" if friendly_name is None else _build("FriendlyName", escape_text(friendly_name))
    return seal_challenge(JOIN, _build_ids(service_id, account_id) + name, "", client, keys)


def open_leave(
    envelope: Envelope,
    keys: Sequence[p256.PrivateKey],
    backend: p256.Backend,
    parse_chain: ParseChain,
) -> LeaveChallenge:
    """Return a LeaveDomain challenge.

    Raises InvalidMessage, and ProtocolVersionMismatch for another Version than 1.
    """
    opened = open_challenge(envelope, LEAVE, server_keys(keys), backend, parse_chain)
    return LeaveChallenge(
        service_id=_service_id(opened.fields),
        account_id=_account_id(opened.fields),
        chains=opened.chains,
        signer=opened.signer,
        digest=opened.digest,
        elements=opened.fields,
    )


def seal_leave(
    service_id: ServiceId, account_id: AccountId, client: ClientInfo, keys: ChallengeKeys
) -> bytes:
    """Return the SOAP 1.1 envelope of a LeaveDomain challenge."""
    return seal_challenge(LEAVE, _build_ids(service_id, account_id), "", client, keys)


# --- the replies --------------------------------------------------------------------------------


def seal_join_response(
    response: JoinResponse,
    signing_chain: bytes,
    key: p256.PrivateKey,
    *,
    custom_data: str | None = None,
) -> bytes:
    """Return the Body's child: the signed reply to JoinDomain."""
    elements = (
        _build_ids(response.service_id, response.account_id),
        _build("Revision", str(response.revision)),
        _build("FriendlyName", escape_text(response.friendly_name)),
        _build("DomainURL", escape_text(response.domain_url)),
        _build_each("DomainCertificate", [(e.revision, e.chain) for e in response.revisions]),
        _build_each("DomainKey", [(e.revision, e.wrapped_key) for e in response.revisions]),
    )
    return seal_reply(JOIN, "".join(elements), signing_chain, key, custom_data=custom_data)


def open_join_response(envelope: Envelope) -> tuple[JoinResponse, OpenedReply]:
    """Return the reply to JoinDomain, its signature and certificates not yet verified.

    Raises InvalidMessage, also where certificates and keys differ in their revisions.
    """
    opened = open_reply(envelope, JOIN)
    fields = opened.fields
    response = JoinResponse(
        service_id=_service_id(fields),
        account_id=_account_id(fields),
        friendly_name=fields.optional_text("FriendlyName") or "",
        domain_url=fields.optional_text("DomainURL") or "",
        revisions=_revisions(fields),
    )
    _refuse_other_revision(_revision(fields), response.revision)
    return response, opened


def seal_leave_response(
    response: LeaveResponse,
    signing_chain: bytes,
    key: p256.PrivateKey,
    *,
    custom_data: str | None = None,
) -> bytes:
    """Return the Body's child: the signed reply to LeaveDomain."""
    elements = _build_ids(response.service_id, response.account_id) + _build(
        "Revision", str(response.revision)
    )
    return seal_reply(LEAVE, elements, signing_chain, key, custom_data=custom_data)


def open_leave_response(envelope: Envelope) -> tuple[LeaveResponse, OpenedReply]:
    """Return the reply to LeaveDomain, its signature not yet verified; raises InvalidMessage."""
    opened = open_reply(envelope, LEAVE)
    fields = opened.fields
    response = LeaveResponse(_service_id(fields), _account_id(fields), _revision(fields))
    return response, opened


# --- their elements -----------------------------------------------------------------------------


def _service_id(fields: Fields) -> ServiceId:
    return ServiceId.from_base64(fields.text("DomainServiceID"))


def _account_id(fields: Fields) -> AccountId:
    return AccountId.from_base64(fields.text("AccountID"))


def _revision(fields: Fields) -> int:
    return _as_revision(fields.text("Revision"))


def _as_revision(text: str) -> int:
    digits = len(str(LAST_REVISION))
    is_number = text.isascii() and text.isdigit() and len(text) <= digits
    if not (is_number and 1 <= int(text) <= LAST_REVISION):
        raise InvalidMessage(f"Revision is {text[:32]!r}, expected 1 to {LAST_REVISION}")
    return int(text)


def _revisions(fields: Fields) -> tuple[DomainRevision, ...]:
    chains = list(_each(fields, "DomainCertificate"))
    keys = list(_each(fields, "DomainKey"))
    if not chains or [revision for revision, _ in chains] != [revision for revision, _ in keys]:
        raise InvalidMessage(
            "DomainCertificates and DomainKeys are not of the same revisions, at least one"
        )
    if any(newer <= older for (newer, _), (older, _) in pairwise(chains)):
        raise InvalidMessage("DomainCertificates are not in the order of revisions, newest first")
    return tuple(
        DomainRevision(revision, chain, key)
        for (revision, chain), (_, key) in zip(chains, keys, strict=True)
    )


def _each(fields: Fields, name: str) -> Iterator[tuple[int, bytes]]:
    for element in fields.element(f"{name}s").findall(f"{{{PROTOCOLS}}}{name}"):
        yield _as_revision(element.get("Revision", "")), _bytes(element, name)


def _bytes(element: etree._Element, name: str) -> bytes:
    length = DOMAIN_KEY_LENGTH if name == "DomainKey" else None
    return decode_base64(plain_text(element), name, length)


def _refuse_other_revision(said: int, newest: int) -> None:
    if said != newest:
        raise InvalidMessage(f"Revision is {said}, the newest DomainCertificate's is {newest}")


def _build_ids(service_id: ServiceId, account_id: AccountId | None) -> str:
    account = "" if account_id is None else _build("AccountID", account_id.base64)
    return _build("DomainServiceID", service_id.base64) + account


def _build_each(name: str, values: Sequence[tuple[int, bytes]]) -> str:
    elements = "".join(
        f'<{name} Revision="{revision}">{encode_base64(data)}</{name}>' for revision, data in values
    )
    return _build(f"{name}s", elements)


def _build(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>"
