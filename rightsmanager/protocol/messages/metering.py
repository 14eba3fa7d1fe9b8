"""GetMeteringCertificate and ProcessMeteringData: whose key reports are for, and what they say.

    MeteringCertificateRequest     MeteringID (base64 GUID)
    MeteringCertificateResponse    MeteringID, MeteringCertificate (base64 BCert chain)

    MeteringData                   MeteringID, TransactionID (GUID text), Partial (0 or 1, optional:
                                   1 when more follows under another TransactionID)
    Data                           MeteringRecords/Record, one or more: KID (base64), Action, one or
                                   more: Name (1 to 64 characters, no control characters),
                                   Value (decimal, 1 to 2^32 - 1)
    MeteringResponse               MeteringID, TransactionID, RecordsAccepted (decimal)

Public is that a challenge with what was played is encrypted to the metering certificate's key, what
that certificate holds, that a report is of one metering id and one transaction, and what a record
is. A KeyName that is the metering id in base64, and the form, are a profile of this project: see
`exchange`. Each Action of a KID stands in a report once.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lxml import etree

from rightsmanager.crypto import p256
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import CertificateType, Chain, KeyUsage
from rightsmanager.protocol.messages.challenge import escape_text, server_keys
from rightsmanager.protocol.messages.exchange import (
    ChallengeKeys,
    ClientInfo,
    KeysByName,
    MessageNames,
    OpenedChallenge,
    OpenedReply,
    open_answer,
    open_asked,
    seal_answer,
    seal_asking,
)
from rightsmanager.protocol.wire import Kid, Mid, TransactionId, decode_base64, encode_base64
from rightsmanager.protocol.xml.elements import Fields, child, text_of
from rightsmanager.protocol.xml.envelope import Envelope

CERTIFICATE_FORM: Final = MessageNames(
    "GetMeteringCertificate", "MeteringCertificateRequest", "MeteringCertificateResponse"
)
DATA_FORM: Final = MessageNames("ProcessMeteringData", "MeteringData", "MeteringResponse")

MAX_RECORDS: Final = 10_000
MAX_VALUE: Final = 2**32 - 1
MAX_NAME: Final = 64
"""Characters."""

_VALUE: Final = re.compile("[0-9]{1,10}", re.ASCII)

KeysByMid = Callable[[Mid], Sequence[p256.PrivateKey]]
"""Gives the private keys of a metering id; raises InvalidMessage for an unknown one."""


@dataclass(frozen=True, slots=True)
class MeteringCertificate:
    """A metering service as clients know it."""

    mid: Mid
    url: str | None
    """Where it takes reports; None where the certificate does not say it."""
    key: p256.PublicKey
    """What challenges for it are encrypted to."""
    chain: Chain


@dataclass(frozen=True, slots=True)
class Usage:
    """How often a device did something with a content key."""

    kid: Kid
    action: str
    """1 to 64 characters."""
    value: int
    """1 to 2^32 - 1."""


@dataclass(frozen=True, slots=True)
class MeteringReport:
    """What a device reports under one transaction id."""

    mid: Mid
    transaction_id: TransactionId
    usage: tuple[Usage, ...]
    """One or more, each of another KID or action."""
    partial: bool = False
    """Whether more follows under another transaction id."""


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """What a GetMeteringCertificate challenge asks."""

    mid: Mid
    chains: tuple[Chain, ...]
    signer: Chain
    """The chain whose leaf signed the challenge: the device's."""


@dataclass(frozen=True, slots=True)
class MeteringChallenge:
    """What a ProcessMeteringData challenge says."""

    report: MeteringReport
    records: int
    """How many Record elements the report has."""
    chains: tuple[Chain, ...]
    signer: Chain
    """The chain whose leaf signed the challenge: the device's."""


def read_metering_certificate(chain: Chain) -> MeteringCertificate:
    """Return what the leaf of a chain says of a metering service; the chain is not verified.

    Raises InvalidMessage for a leaf that is no metering certificate.
    """
    leaf = chain.leaf
    key = leaf.key_with_usage(KeyUsage.ENCRYPT_KEY)
    if leaf.type != CertificateType.METERING or leaf.metering is None or key is None:
        raise InvalidMessage(
            f"the leaf certificate is of type {leaf.type.name}, expected a metering certificate "
            "with a metering id and a key to encrypt to"
        )
    return MeteringCertificate(leaf.metering.metering_id, leaf.metering.url, key, chain)


# --- challenges to a metering certificate ---------------------------------------------------------


def metering_keys(find: KeysByMid) -> KeysByName:
    """Return the keys that a KeyName means which is a metering id, and refuse any other KeyName."""

    def by_name(name: str) -> Sequence[p256.PrivateKey]:
        try:
            mid = Mid.from_base64(name)
        except InvalidMessage:
            raise InvalidMessage(
                f"KeyName is {name[:64]!r}, expected a metering id in base64"
            ) from None
        return find(mid)

    return by_name


def open_for_mid(
    envelope: Envelope,
    form: MessageNames,
    keys: KeysByName,
    backend: p256.Backend,
    parse_chain: Callable[[bytes], Chain],
) -> tuple[Mid, OpenedChallenge]:
    """Return a challenge that is encrypted to a metering certificate, and the metering id.

    Raises InvalidMessage, also where KeyName and MeteringID are not the same id, and
    ProtocolVersionMismatch for another Version than 1.
    """
    asked = open_asked(envelope, form, keys, backend, parse_chain)
    mid = Mid.from_base64(asked.fields.text("MeteringID"))
    if mid != Mid.from_base64(asked.key_name):
        raise InvalidMessage(
            f"MeteringID is {mid.base64}, but the challenge is encrypted to the key of "
            f"{asked.key_name}"
        )
    return mid, asked


def seal_for_mid(  # noqa: PLR0913 -- what seal_asking takes, and whom it is for
    mid: Mid,
    form: MessageNames,
    elements: str,
    data_elements: str,
    *,
    asking: ClientInfo,
    sealing: ChallengeKeys,
) -> bytes:
    """Return the SOAP 1.1 envelope of a challenge encrypted to the key of a metering certificate.

    `elements` follow MeteringID in E, `data_elements` stand in Data, both canonical. The key of
    `sealing` is the metering certificate's, whatever its name.
    """
    named = replace(sealing, key_name=mid.base64)
    return seal_asking(form, build_mid(mid) + elements, data_elements, asking, named)


def build_mid(mid: Mid) -> str:
    """Return the MeteringID element, canonical."""
    return f"<MeteringID>{mid.base64}</MeteringID>"


# --- GetMeteringCertificate -----------------------------------------------------------------------


def open_certificate_request(
    envelope: Envelope,
    keys: Sequence[p256.PrivateKey],
    backend: p256.Backend,
    parse_chain: Callable[[bytes], Chain],
) -> CertificateRequest:
    """Return what a GetMeteringCertificate challenge asks.

    Raises InvalidMessage, and ProtocolVersionMismatch for another Version than 1.
    """
    asked = open_asked(envelope, CERTIFICATE_FORM, server_keys(keys), backend, parse_chain)
    mid = Mid.from_base64(asked.fields.text("MeteringID"))
    return CertificateRequest(mid, asked.chains, asked.signer)


def seal_certificate_request(mid: Mid, asking: ClientInfo, sealing: ChallengeKeys) -> bytes:
    """Return the SOAP 1.1 envelope of a GetMeteringCertificate challenge."""
    return seal_asking(CERTIFICATE_FORM, build_mid(mid), "", asking, sealing)


def seal_certificate_response(
    mid: Mid, certificate: bytes, signing_chain: bytes, key: p256.PrivateKey
) -> bytes:
    """Return the Body's child: the signed reply with a metering certificate's BCert chain."""
    elements = (
        f"{build_mid(mid)}<MeteringCertificate>{encode_base64(certificate)}</MeteringCertificate>"
    )
    return seal_answer(CERTIFICATE_FORM, elements, signing_chain, key)


def open_certificate_response(envelope: Envelope) -> tuple[Mid, bytes, OpenedReply]:
    """Return metering id and BCert chain of a reply, its signature not yet verified.

    Raises InvalidMessage.
    """
    answered = open_answer(envelope, CERTIFICATE_FORM)
    chain = decode_base64(answered.fields.text("MeteringCertificate"), "MeteringCertificate")
    return Mid.from_base64(answered.fields.text("MeteringID")), chain, answered


# --- ProcessMeteringData: the challenge -----------------------------------------------------------


def open_metering_data(
    envelope: Envelope,
    keys: KeysByName,
    backend: p256.Backend,
    parse_chain: Callable[[bytes], Chain],
    max_records: int = MAX_RECORDS,
) -> MeteringChallenge:
    """Return what a ProcessMeteringData challenge says.

    Raises InvalidMessage, and ProtocolVersionMismatch for another Version than 1.
    """
    mid, asked = open_for_mid(envelope, DATA_FORM, keys, backend, parse_chain)
    records = child(asked.data, "", "MeteringRecords").findall("Record")
    report = MeteringReport(
        mid=mid,
        transaction_id=TransactionId.from_text(asked.fields.text("TransactionID")),
        usage=_usage(records, max_records),
        partial=_partial(asked.fields.optional_text("Partial")),
    )
    return MeteringChallenge(report, len(records), asked.chains, asked.signer)


def seal_metering_data(report: MeteringReport, asking: ClientInfo, sealing: ChallengeKeys) -> bytes:
    """Return the SOAP 1.1 envelope of a ProcessMeteringData challenge.

    The key of `sealing` is the metering certificate's, whatever its name.
    """
    elements = (
        f"{_build_transaction_id(report.transaction_id)}<Partial>{int(report.partial)}</Partial>"
    )
    records = _build_records(report.usage)
    return seal_for_mid(report.mid, DATA_FORM, elements, records, asking=asking, sealing=sealing)


def _partial(text: str | None) -> bool:
    if text is None:
        return False
    if text not in {"0", "1"}:
        raise InvalidMessage(f"Partial is {text[:32]!r}, expected 0 or 1")
    return text == "1"


def _usage(records: Sequence[etree._Element], max_records: int) -> tuple[Usage, ...]:
    if not 1 <= len(records) <= max_records:
        raise InvalidMessage(
            f"MeteringRecords has {len(records)} Records, expected 1 to {max_records}"
        )
    usage = tuple(each for record in records for each in _usage_of(record))
    if len({(each.kid.raw, each.action) for each in usage}) < len(usage):
        raise InvalidMessage(f"{_twice(usage)} twice, expected each action of a KID once")
    return usage


def _usage_of(record: etree._Element) -> Iterator[Usage]:
    kid = Kid.from_base64(text_of(record, "", "KID"))
    action = None
    for action in record.iterchildren("Action"):
        fields = Fields(action, "")
        yield Usage(kid, _name(fields), _value(fields.text("Value")))
    if action is None:
        raise InvalidMessage(f"the Record of KID {kid.text} has no Action, expected one or more")


def _name(fields: Fields) -> str:
    fields.element("Name")
    name = fields.optional_text("Name") or ""
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidMessage(f"Name has {len(name)} characters, expected 1 to {MAX_NAME}")
    if not name.isprintable() and any(unicodedata.category(each) == "Cc" for each in name):
        raise InvalidMessage(f"Name is {name!r}, expected no control characters")
    return name


def _value(text: str) -> int:
    value = int(text) if _VALUE.fullmatch(text) else 0
    if not 1 <= value <= MAX_VALUE:
        raise InvalidMessage(
            f"Value is {text[:32]!r}, expected a decimal number from 1 to {MAX_VALUE}"
        )
    return value


def _twice(usage: Sequence[Usage]) -> str:
    seen: set[tuple[Kid, str]] = set()
    for each in usage:
        if (each.kid, each.action) in seen:
            return f"MeteringRecords has {each.action!r} of KID {each.kid.text}"
        seen.add((each.kid, each.action))
    return ""


def _build_records(usage: Sequence[Usage]) -> str:
    actions: dict[Kid, list[str]] = {}
    for each in usage:
        actions.setdefault(each.kid, []).append(
            f"<Action><Name>{escape_text(each.action)}</Name><Value>{each.value}</Value></Action>"
        )
    records = "".join(
        f"<Record><KID>{kid.base64}</KID>{''.join(each)}</Record>" for kid, each in actions.items()
    )
    return f"<MeteringRecords>{records}</MeteringRecords>"


def _build_transaction_id(transaction_id: TransactionId) -> str:
    return f"<TransactionID>{transaction_id.text}</TransactionID>"


# --- ProcessMeteringData: the reply ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MeteringAnswer:
    """What a reply says was counted."""

    mid: Mid
    transaction_id: TransactionId
    records: int


def seal_metering_response(
    answer: MeteringAnswer, signing_chain: bytes, key: p256.PrivateKey
) -> bytes:
    """Return the Body's child: the signed reply to a report."""
    elements = (
        f"{build_mid(answer.mid)}{_build_transaction_id(answer.transaction_id)}"
        f"<RecordsAccepted>{answer.records}</RecordsAccepted>"
    )
    return seal_answer(DATA_FORM, elements, signing_chain, key)


def open_metering_response(envelope: Envelope) -> tuple[MeteringAnswer, OpenedReply]:
    """Return the reply to a report, its signature not yet verified; raises InvalidMessage."""
    answered = open_answer(envelope, DATA_FORM)
    fields = answered.fields
    answer = MeteringAnswer(
        Mid.from_base64(fields.text("MeteringID")),
        TransactionId.from_text(fields.text("TransactionID")),
        fields.number("RecordsAccepted"),
    )
    return answer, answered
