"""AcknowledgeLicense: a client reports which licences of a reply it could store.

    LicenseAcknowledgement                   TransactionID (GUID text)
    Data                                     StorageResults/License/{KID,Result}, one or more;
                                             KID in base64, Result an HRESULT, 0x00000000 for stored
    LicenseAcknowledgementResponse           TransactionID

It is public that a client posts a result for each licence under the TransactionID of a
LicenseResponse. The form is a profile of this project: see `exchange`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from rightsmanager.crypto import p256
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import Chain
from rightsmanager.protocol.messages.challenge import server_keys
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
from rightsmanager.protocol.wire import Kid, TransactionId
from rightsmanager.protocol.xml.elements import Fields, child, text_of
from rightsmanager.protocol.xml.envelope import Envelope

FORM: Final = MessageNames(
    "AcknowledgeLicense", "LicenseAcknowledgement", "LicenseAcknowledgementResponse"
)
STORED: Final = 0
"""The result for a licence that the client has stored."""

_RESULT: Final = re.compile(r"0x([0-9A-Fa-f]{8})")


@dataclass(frozen=True, slots=True)
class StorageResult:
    """The client's result for one licence."""

    kid: Kid
    result: int
    """An HRESULT, 32 bits; 0 for stored."""


@dataclass(frozen=True, slots=True)
class AcknowledgementChallenge:
    """An AcknowledgeLicense challenge."""

    transaction_id: TransactionId
    results: tuple[StorageResult, ...]
    """One or more, each of another KID."""
    chains: tuple[Chain, ...]
    signer: Chain
    """The chain of the device that signed the challenge."""
    elements: Fields = field(repr=False, compare=False)
    """The children of E, for `exchange.read_client`."""


# --- the challenge ------------------------------------------------------------------------------


def open_acknowledgement(
    envelope: Envelope,
    keys: Sequence[p256.PrivateKey],
    backend: p256.Backend,
    parse_chain: Callable[[bytes], Chain],
) -> AcknowledgementChallenge:
    """Return an AcknowledgeLicense challenge.

    Raises InvalidMessage, and ProtocolVersionMismatch for another Version than 1.
    """
    opened = open_challenge(envelope, FORM, server_keys(keys), backend, parse_chain)
    return AcknowledgementChallenge(
        transaction_id=TransactionId.from_text(opened.fields.text("TransactionID")),
        results=_results(opened.data),
        chains=opened.chains,
        signer=opened.signer,
        elements=opened.fields,
    )


def seal_acknowledgement(
    transaction_id: TransactionId,
    results: Sequence[StorageResult],
    client: ClientInfo,
    keys: ChallengeKeys,
) -> bytes:
    """Return the SOAP 1.1 envelope of an AcknowledgeLicense challenge."""
    return seal_challenge(
        FORM,
        _build_transaction_id(transaction_id),
        _build_results(results),
        client,
        keys,
    )


def _results(data: etree._Element) -> tuple[StorageResult, ...]:
    results = tuple(_each_result(child(data, "", "StorageResults")))
    if not results:
        raise InvalidMessage("StorageResults is empty, expected a License")
    if len({result.kid for result in results}) < len(results):
        raise InvalidMessage("StorageResults has a KID twice, expected each once")
    return results


def _each_result(results: etree._Element) -> Iterator[StorageResult]:
    for license_ in results.findall("License"):
        text = text_of(license_, "", "Result")
        match = _RESULT.fullmatch(text)
        if match is None:
            raise InvalidMessage(f"Result is {text[:32]!r}, expected 0x and 8 hexadecimal digits")
        yield StorageResult(Kid.from_base64(text_of(license_, "", "KID")), int(match[1], 16))


def _build_results(results: Sequence[StorageResult]) -> str:
    licenses = "".join(
        f"<License><KID>{each.kid.base64}</KID><Result>0x{each.result:08x}</Result></License>"
        for each in results
    )
    return f"<StorageResults>{licenses}</StorageResults>"


# --- the reply ----------------------------------------------------------------------------------


def seal_acknowledgement_response(
    transaction_id: TransactionId,
    signing_chain: bytes,
    key: p256.PrivateKey,
    *,
    custom_data: str | None = None,
) -> bytes:
    """Return the Body's child: the signed reply to an acknowledgement."""
    elements = _build_transaction_id(transaction_id)
    return seal_reply(FORM, elements, signing_chain, key, custom_data=custom_data)


def open_acknowledgement_response(envelope: Envelope) -> tuple[TransactionId, OpenedReply]:
    """Return the reply to an acknowledgement, its signature not yet verified.

    Raises InvalidMessage.
    """
    opened = open_reply(envelope, FORM)
    return TransactionId.from_text(opened.fields.text("TransactionID")), opened


def _build_transaction_id(transaction_id: TransactionId) -> str:
    return f"<TransactionID>{transaction_id.text}</TransactionID>"
