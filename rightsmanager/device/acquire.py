"""AcquireLicense and AcknowledgeLicense on the client's side: a header in, content keys out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.device.client import CLIENT_VERSION, ServerClient
from rightsmanager.device.opening import OpenedLicense, open_reply
from rightsmanager.device.revocation import NO_LISTS, HeldLists, refuse_outdated, take_lists
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.wrmheader import (
    Algid,
    Header,
    HeaderKid,
    Version,
    canonical_header,
)
from rightsmanager.protocol.messages.acknowledgement import (
    FORM,
    STORED,
    StorageResult,
    open_acknowledgement_response,
    seal_acknowledgement,
)
from rightsmanager.protocol.messages.challenge import (
    LICENSE_VERSIONS,
    NONCE_LENGTH,
    LicenseRequest,
    seal_license_challenge,
)
from rightsmanager.protocol.messages.response import LicenseResponse
from rightsmanager.protocol.wire import Kid, TransactionId
from rightsmanager.protocol.xml.envelope import Envelope

OPERATION: Final = "AcquireLicense"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The content that licences are requested for, and the options of the challenge."""

    header: Header
    custom_data: str | None = None
    client_version: str = CLIENT_VERSION
    domain_chains: tuple[bytes, ...] = field(default=(), repr=False)
    """BCert chains of the domain that the licences are to be bound to."""


@dataclass(frozen=True, slots=True)
class Acquired:
    """A reply that passed every check."""

    response: LicenseResponse
    licenses: tuple[OpenedLicense, ...]
    held: HeldLists = NO_LISTS
    """The revocation lists that the device holds after it."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The results of storing a reply's persistent licences, for the server."""

    transaction_id: TransactionId
    results: tuple[StorageResult, ...]


def header_of_kids(
    kids: Sequence[Kid], algid: Algid = Algid.AESCTR, version: Version | None = None
) -> Header:
    """Return a header for KIDs, of the oldest version that can say it unless one is given."""
    if version is None:
        ctr = Version.V4_0 if len(kids) == 1 else Version.V4_2
        version = ctr if algid is Algid.AESCTR else Version.V4_3
    return Header(version, tuple(HeaderKid(kid, algid) for kid in kids))


# --- licences -----------------------------------------------------------------------------------


def acquire(url: str, wanted: Wanted, client: ServerClient) -> Acquired:
    """Return the licences for a header from the server at a URL.

    Raises the Refusal of a fault, and InvalidMessage for a reply that fails a check.
    """
    nonce = client.rng(NONCE_LENGTH)
    body = license_challenge(wanted, nonce, client)
    return accept_licenses(client.call(url, OPERATION, body), wanted.header, nonce, client)


def license_challenge(wanted: Wanted, nonce: bytes, client: ServerClient) -> bytes:
    """Return the SOAP 1.1 envelope of an AcquireLicense challenge with a nonce of 16 bytes."""
    opening = client.opening
    request = LicenseRequest(
        header=canonical_header(wanted.header),
        version=LICENSE_VERSIONS[wanted.header.version],
        nonce=nonce,
        client_time=client.now,
        client_version=wanted.client_version,
        chain=opening.device.chain.raw,
        custom_data=wanted.custom_data,
        revocation_lists=opening.held.infos(),
        domain_chains=wanted.domain_chains,
    )
    return seal_license_challenge(
        request, opening.device.signing_key, client.server.wmrmserver, opening.backend, client.rng
    )


def accept_licenses(
    envelope: Envelope, header: Header, nonce: bytes, client: ServerClient
) -> Acquired:
    """Return the licences of a reply to the challenge with the header and the nonce.

    Raises InvalidMessage for a reply that fails a check.
    """
    opening = client.opening
    response, licenses = open_reply(envelope, opening, header, nonce, client.now)
    held = take_lists(opening.held, response.revocation_lists, opening.verifier, client.now)
    for license_ in licenses:
        refuse_outdated(license_.license, held)
    client.on_custom_data(response.custom_data)
    return Acquired(response, licenses, held)


# --- acknowledgements ---------------------------------------------------------------------------


_NO_FAILURES: Mapping[Kid, int] = {}


def acknowledge(
    url: str, acquired: Acquired, client: ServerClient, failures: Mapping[Kid, int] = _NO_FAILURES
) -> Acknowledgement | None:
    """Acknowledge a reply's persistent licences if the reply asks for it; None if not.

    failures: the HRESULT of each licence that could not be stored.

    Raises the Refusal of a fault, and InvalidMessage for a reply that fails a check.
    """
    acknowledgement = acknowledgement_of(acquired, failures)
    if acknowledgement is None:
        return None
    body = acknowledgement_challenge(acknowledgement, client)
    answered = accept_acknowledgement(client.call(url, FORM.operation, body), client)
    if answered != acknowledgement.transaction_id:
        raise InvalidMessage(
            f"the reply is to TransactionID {answered.text}, expected "
            f"{acknowledgement.transaction_id.text}"
        )
    return acknowledgement


def acknowledgement_of(
    acquired: Acquired, failures: Mapping[Kid, int] = _NO_FAILURES
) -> Acknowledgement | None:
    """Return the acknowledgement that a reply asks for; None if it asks for none.

    failures: the HRESULT of each licence that could not be stored.
    """
    transaction_id = acquired.response.transaction_id
    # A root and a leaf may have one KID, which the message names once.
    kids = dict.fromkeys(license_.kid for license_ in acquired.licenses if license_.persistent)
    if transaction_id is None or not kids:
        return None
    results = tuple(StorageResult(kid, failures.get(kid, STORED)) for kid in kids)
    return Acknowledgement(transaction_id, results)


def acknowledgement_challenge(acknowledgement: Acknowledgement, client: ServerClient) -> bytes:
    """Return the SOAP 1.1 envelope of an AcknowledgeLicense challenge."""
    return seal_acknowledgement(
        acknowledgement.transaction_id,
        acknowledgement.results,
        client.client_info(),
        client.challenge_keys(),
    )


def accept_acknowledgement(envelope: Envelope, client: ServerClient) -> TransactionId:
    """Return the transaction of a reply; raises InvalidMessage for one that fails a check."""
    transaction_id, reply = open_acknowledgement_response(envelope)
    client.verify(reply)
    return transaction_id
