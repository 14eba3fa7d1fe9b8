"""AcknowledgeLicense: a client says which licences of a reply it could store.

    LicenseAcknowledgement                   TransactionID (GUID text)
    Data                                     StorageResults/License/{KID,Result}, one or more;
                                             KID in base64, Result an HRESULT, 0x00000000 for stored
    LicenseAcknowledgementResponse           TransactionID

Public is that a client posts, under the TransactionID of a LicenseResponse, what became of each
licence. The form is a profile of this project: see `exchange`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
    open_answer,
    open_asked,
    seal_answer,
    seal_asking,
)
from rightsmanager.protocol.wire import Kid, TransactionId
from rightsmanager.protocol.xml.elements import child, text_of
from rightsmanager.protocol.xml.envelope import Envelope

FORM: Final = MessageNames(
    "AcknowledgeLicense", "LicenseAcknowledgement", "LicenseAcknowledgementResponse"
)
STORED: Final = 0
"""The result of a licence that the client has stored."""

_RESULT: Final = re.compile(r"0x([0-9A-Fa-f]{8})")


@dataclass(frozen=True, slots=True)
class StorageResult:
    """What became of one licence at the client."""

    kid: Kid
    result: int
    """An HRESULT, 32 bits; 0 for stored."""


@dataclass(frozen=True, slots=True)
class AcknowledgementChallenge:
    """What an AcknowledgeLicense challenge says."""

    transaction_id: TransactionId
    results: tuple[StorageResult, ...]
    """One or more, each of another KID."""
    chains: tuple[Chain, ...]
    signer: Chain
    """The chain whose leaf signed the challenge: the device's."""


# --- the challenge ------------------------------------------------------------------------------


def open_acknowledgement(
    envelope: Envelope,
    keys: Sequence[p256.PrivateKey],
    backend: p256.Backend,
    parse_chain: Callable[[bytes], Chain],
) -> AcknowledgementChallenge:
    """Return what an AcknowledgeLicense challenge says.

    Raises InvalidMessage, and ProtocolVersionMismatch for another Version than 1.
    """
    asked = open_asked(envelope, FORM, server_keys(keys), backend, parse_chain)
    return AcknowledgementChallenge(
        transaction_id=TransactionId.from_text(asked.fields.text("TransactionID")),
        results=_results(asked.data),
        chains=asked.chains,
        signer=asked.signer,
    )


def seal_acknowledgement(
    transaction_id: TransactionId,
    results: Sequence[StorageResult],
    asking: ClientInfo,
    sealing: ChallengeKeys,
) -> bytes:
    """Return the SOAP 1.1 envelope of an AcknowledgeLicense challenge."""
    return seal_asking(
        FORM,
        _build_transaction_id(transaction_id),
        _build_results(results),
        asking,
        sealing,
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
    transaction_id: TransactionId, signing_chain: bytes, key: p256.PrivateKey
) -> bytes:
    """Return the Body's child: the signed reply to an acknowledgement."""
    return seal_answer(FORM, _build_transaction_id(transaction_id), signing_chain, key)


def open_acknowledgement_response(envelope: Envelope) -> tuple[TransactionId, OpenedReply]:
    """Return the reply to an acknowledgement, its signature not yet verified.

    Raises InvalidMessage.
    """
    answered = open_answer(envelope, FORM)
    return TransactionId.from_text(answered.fields.text("TransactionID")), answered


def _build_transaction_id(transaction_id: TransactionId) -> str:
    return f"<TransactionID>{transaction_id.text}</TransactionID>"
