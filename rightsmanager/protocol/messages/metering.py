"""GetMeteringCertificate and ProcessMeteringData: certificates of metering services, and reports.

    MeteringCertificateRequest     MeteringID (base64 GUID)
    MeteringCertificateResponse    MeteringID, MeteringCertificate (base64 BCert chain)

    MeteringData                   MeteringID, TransactionID (GUID text), Partial (0 or 1, optional:
                                   1 when more follows under another TransactionID)
    Data                           MeteringRecords/Record, one or more: KID (base64), Action, one or
                                   more: Name (1 to 64 characters, no control characters),
                                   Value (decimal, 1 to 2^32 - 1)
    MeteringResponse               MeteringID, TransactionID, RecordsAccepted (decimal)

It is public that a report is encrypted to the key of the metering certificate, that it has one
metering id and one transaction, and the content of a certificate and of a record. The metering id
in base64 as KeyName, and the form, are a profile of this project: see `exchange`. A report has
each Action of a KID once.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

from lxml import etree

from rightsmanager.crypto import p256
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import CertificateType, Chain, KeyUsage
from rightsmanager.protocol.messages.challenge import KeysByName, escape_text, server_keys
from rightsmanager.protocol.messages.exchange import (
    ChallengeKeys,
    ClientInfo,
    MessageNames,
    OpenedChallenge,
    OpenedReply,
    open_challenge,
    open_reply,
    seal_challenge,
    seal_reply,
)
from rightsmanager.protocol.wire import Kid, Mid, TransactionId, decode_base64, encode_base64
from rightsmanager.protocol.xml.elements import WHITE_SPACE, Fields, child, text_in
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
"""Returns the private keys of a metering id; raises InvalidMessage for an unknown one."""


@dataclass(frozen=True, slots=True)
class MeteringCertificate:
    """The certificate of a metering service."""

    mid: Mid
    url: str | None
    """The address for reports; None in a certificate without one."""
    key: p256.PublicKey
    """The key that challenges are encrypted to."""
    chain: Chain


@dataclass(frozen=True, slots=True)
class Usage:
    """A counted action of a device with a content key."""

    kid: Kid
    action: str
    """1 to 64 characters."""
    value: int
    """1 to 2^32 - 1."""


@dataclass(frozen=True, slots=True)
class MeteringReport:
    """A report of usage under one transaction id."""

    mid: Mid
    transaction_id: TransactionId
    usage: tuple[Usage, ...]
    """One or more, all different in KID or action."""
    partial: bool = False
    """Whether more follows under another transaction id."""


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A GetMeteringCertificate challenge."""

    mid: Mid
    chains: tuple[Chain, ...]
    signer: Chain
    """The chain of the device that signed the challenge."""
    elements: Fields = field(repr=False, compare=False)
    """The children of E, for `exchange.read_client`."""


@dataclass(frozen=True, slots=True)
class MeteringChallenge:
    """A ProcessMeteringData challenge."""

    report: MeteringReport
    records: int
    """The number of Record elements."""
    chains: tuple[Chain, ...]
    signer: Chain
    """The chain of the device that signed the challenge."""
    elements: Fields = field(repr=False, compare=False)
    """The children of E, for `exchange.read_client`."""


def read_metering_certificate(chain: Chain) -> MeteringCertificate:
    """Return the metering certificate at the leaf of a chain; the chain is not verified.

    Raises InvalidMessage for a leaf of another type.
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
    """Return a look-up of keys by a KeyName that is a metering id in base64."""

    def by_name(name: str) -> Sequence[p256.PrivateKey]:
        try:
            mid = Mid.from_base64(name)
        except InvalidMessage:
            raise InvalidMessage(
                f"KeyName is {name[:64]!r}, expected a metering id in base64"
            ) from None
        return find(mid)

    return by_name


def open_mid_challenge(
    envelope: Envelope,
    form: MessageNames,
    keys: KeysByName,
    backend: p256.Backend,
    parse_chain: Callable[[bytes], Chain],
) -> tuple[Mid, OpenedChallenge]:
    """Return a challenge that is encrypted to a metering certificate, and the metering id.

    Raises InvalidMessage, also where KeyName and MeteringID differ, and
    ProtocolVersionMismatch for another Version than 1.
    """
    opened = open_challenge(envelope, form, keys, backend, parse_chain)
    text = opened.fields.text("MeteringID")
    mid = Mid.from_base64(text)
    # Nearly always the same text, which spares parsing it twice.
    if text != opened.key_name and mid != Mid.from_base64(opened.key_name):
        raise InvalidMessage(
            f"MeteringID is {mid.base64}, but the challenge is encrypted to the key of "
            f"{opened.key_name}"
        )
    return mid, opened


def seal_mid_challenge(  # noqa: PLR0913 -- the arguments of seal_challenge and the metering id
    mid: Mid,
    form: MessageNames,
    elements: str,
    data_elements: str,
    *,
    client: ClientInfo,
    keys: ChallengeKeys,
) -> bytes:
    """Return the SOAP 1.1 envelope of a challenge encrypted to the key of a metering certificate.

    `elements` follow MeteringID in E, `data_elements` are those of Data; canonical.
    `keys` has the key of the metering certificate as its server key; its name is ignored.
    """
    named = replace(keys, key_name=mid.base64)
    return seal_challenge(form, build_mid(mid) + elements, data_elements, client, named)


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
    """Return a GetMeteringCertificate challenge.

    Raises InvalidMessage, and ProtocolVersionMismatch for another Version than 1.
    """
    opened = open_challenge(envelope, CERTIFICATE_FORM, server_keys(keys), backend, parse_chain)
    mid = Mid.from_base64(opened.fields.text("MeteringID"))
    return CertificateRequest(mid, opened.chains, opened.signer, opened.fields)


def seal_certificate_request(mid: Mid, client: ClientInfo, keys: ChallengeKeys) -> bytes:
    """Return the SOAP 1.1 envelope of a GetMeteringCertificate challenge."""
    return seal_challenge(CERTIFICATE_FORM, build_mid(mid), "", client, keys)


def seal_certificate_response(
    mid: Mid,
    certificate: bytes,
    signing_chain: bytes,
    key: p256.PrivateKey,
    *,
    custom_data: str | None = None,
) -> bytes:
    """Return the Body's child: the signed reply with a metering certificate's BCert chain."""
    elements = (
        f"{build_mid(mid)}<MeteringCertificate>{encode_base64(certificate)}</MeteringCertificate>"
    )
    return seal_reply(CERTIFICATE_FORM, elements, signing_chain, key, custom_data=custom_data)


def open_certificate_response(envelope: Envelope) -> tuple[Mid, bytes, OpenedReply]:
    """Return metering id and BCert chain of a reply, its signature not yet verified.

    Raises InvalidMessage.
    """
    opened = open_reply(envelope, CERTIFICATE_FORM)
    chain = decode_base64(opened.fields.text("MeteringCertificate"), "MeteringCertificate")
    return Mid.from_base64(opened.fields.text("MeteringID")), chain, opened


# --- ProcessMeteringData: the challenge -----------------------------------------------------------


def open_metering_data(
    envelope: Envelope,
    keys: KeysByName,
    backend: p256.Backend,
    parse_chain: Callable[[bytes], Chain],
    max_records: int = MAX_RECORDS,
) -> MeteringChallenge:
    """Return a ProcessMeteringData challenge.

    Raises InvalidMessage, and ProtocolVersionMismatch for another Version than 1.
    """
    mid, opened = open_mid_challenge(envelope, DATA_FORM, keys, backend, parse_chain)
    records = child(opened.data, "", "MeteringRecords").findall("Record")
    report = MeteringReport(
        mid=mid,
        transaction_id=TransactionId.from_text(opened.fields.text("TransactionID")),
        usage=_usage(records, max_records),
        partial=_partial(opened.fields.optional_text("Partial")),
    )
    return MeteringChallenge(report, len(records), opened.chains, opened.signer, opened.fields)


def seal_metering_data(report: MeteringReport, client: ClientInfo, keys: ChallengeKeys) -> bytes:
    """Return the SOAP 1.1 envelope of a ProcessMeteringData challenge.

    `keys` has the key of the metering certificate as its server key; its name is ignored.
    """
    elements = (
        f"{_build_transaction_id(report.transaction_id)}<Partial>{int(report.partial)}</Partial>"
    )
    records = _build_records(report.usage)
    return seal_mid_challenge(report.mid, DATA_FORM, elements, records, client=client, keys=keys)


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
    usage = tuple(chain.from_iterable(map(_usage_of, records)))
    if len({(each.kid.raw, each.action) for each in usage}) < len(usage):
        ((kid, action), _), *_ = Counter((each.kid, each.action) for each in usage).most_common(1)
        raise InvalidMessage(
            f"MeteringRecords has {action!r} of KID {kid.text} twice, "
            "expected each action of a KID once"
        )
    return usage


def _usage_of(record: etree._Element) -> list[Usage]:
    kid = Kid.from_base64(text_in(child(record, "", "KID")))
    usage = []
    for action in record.iterchildren("Action"):
        fields = Fields(action, "")
        name, value = text_in(fields.element("Name")), text_in(fields.element("Value"))
        if not (name.isprintable() and 1 <= len(name) <= MAX_NAME):
            _refuse_name(name)
        usage.append(Usage(kid, name, _parse_value(value.strip(WHITE_SPACE))))
    if not usage:
        raise InvalidMessage(f"the Record of KID {kid.text} has no Action, expected one or more")
    return usage


def _refuse_name(name: str) -> None:
    """Raise InvalidMessage unless the name is allowed; a printable one of its length is."""
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidMessage(f"Name has {len(name)} characters, expected 1 to {MAX_NAME}")
    if any(unicodedata.category(each) == "Cc" for each in name):
        raise InvalidMessage(f"Name is {name!r}, expected no control characters")


def _parse_value(text: str) -> int:
    value = int(text) if _VALUE.fullmatch(text) else 0
    if not 1 <= value <= MAX_VALUE:
        raise InvalidMessage(
            f"Value is {text[:32]!r}, expected a decimal number from 1 to {MAX_VALUE}"
        )
    return value


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
    """The content of a reply: the number of accepted records."""

    mid: Mid
    transaction_id: TransactionId
    records: int


def seal_metering_response(
    answer: MeteringAnswer,
    signing_chain: bytes,
    key: p256.PrivateKey,
    *,
    custom_data: str | None = None,
) -> bytes:
    """Return the Body's child: the signed reply to a report."""
    elements = (
        f"{build_mid(answer.mid)}{_build_transaction_id(answer.transaction_id)}"
        f"<RecordsAccepted>{answer.records}</RecordsAccepted>"
    )
    return seal_reply(DATA_FORM, elements, signing_chain, key, custom_data=custom_data)


def open_metering_response(envelope: Envelope) -> tuple[MeteringAnswer, OpenedReply]:
    """Return the reply to a report, its signature not yet verified; raises InvalidMessage."""
    opened = open_reply(envelope, DATA_FORM)
    fields = opened.fields
    answer = MeteringAnswer(
        Mid.from_base64(fields.text("MeteringID")),
        TransactionId.from_text(fields.text("TransactionID")),
        fields.number("RecordsAccepted"),
    )
    return answer, opened
