"""A list of content keys as CPIX, the XML of DASH-IF, with the keys in the clear.

    CPIX[@contentId]
      ContentKeyList/ContentKey[@kid @commonEncryptionScheme @explicitIV]
        Data/pskc:Secret/pskc:PlainValue                base64 of 16 bytes
      ContentKeyPeriodList/ContentKeyPeriod[@id @index]
      ContentKeyUsageRuleList/ContentKeyUsageRule[@kid @intendedTrackType]
        KeyPeriodFilter[@periodId]

    program   contentId, if the document has one key for the period; otherwise
              contentId#intendedTrackType, if that differs between the keys
    period    the index of the period in the key's rule; 0 without a period
    type      AES-CTR for the schemes cenc and cens, or none; AES-CBC for cbc1 and cbcs

Source: DASH-IF Implementation Guidelines, Content Protection Information Exchange Format.
"""

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from lxml import etree

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.keylists.cpix_import import cpix
from rightsmanager.protocol.formats.keylists.entry import SCHEMES, KeyEntry
from rightsmanager.protocol.wire import CONTENT_KEY_LENGTH, Kid, decode_base64, encode_base64
from rightsmanager.protocol.xml.parsing import FILE, parse_xml

_ROOT: Final = "{urn:dashif:org:cpix}CPIX"
_SCHEME: Final = "commonEncryptionScheme"
_USUAL_SCHEMES: Final = {"aesctr": "cenc", "aescbc": "cbcs"}
_WRONG: Final = (AttributeError, KeyError, TypeError, ValueError)
"""Raised by cpix for a document that it cannot read."""


def parse_document(data: bytes) -> tuple[KeyEntry, ...]:
    """Return the keys of a document; raises InvalidMessage.

    Refuses encrypted keys and KIDs without a key.
    """
    root = parse_xml(data, "the CPIX document", FILE)
    if root.tag != _ROOT:
        raise InvalidMessage(f"the root element is {str(root.tag)[:64]}, expected {_ROOT}")
    if next(root.iter("{*}EncryptedValue"), None) is not None:
        raise InvalidMessage("the CPIX document has encrypted keys, expected a PlainValue for each")
    etree.strip_tags(root, etree.Comment, etree.ProcessingInstruction)
    try:
        document = cpix.CPIX.parse(root)
    except _WRONG as error:
        raise InvalidMessage(f"the CPIX document cannot be read: {type(error).__name__}") from None
    said = {each.get("kid", "").lower() for each in root.iter("{*}ContentKey") if each.get(_SCHEME)}
    slots = _slots(document)
    return tuple(
        _entry(each, slots.get(each.kid), has_scheme=str(each.kid) in said)
        for each in document.content_keys
    )


def build_document(entries: Sequence[KeyEntry]) -> bytes:
    """Return the document of these keys; it names their program if they share one."""
    programs = {entry.program for entry in entries}
    (program,) = programs if len(programs) == 1 else (None,)
    document = cpix.CPIX(
        content_keys=cpix.ContentKeyList(*map(_content_key, entries)), content_id=program
    )
    if program is not None and {entry.period for entry in entries} != {0}:
        for entry in entries:
            name = f"period-{entry.period}"
            document.periods.append(cpix.Period(name, index=entry.period))
            document.usage_rules.append(
                cpix.UsageRule(_uuid(entry.kid), [cpix.KeyPeriodFilter(name)])
            )
    xml: bytes = document.pretty_print(xml_declaration=True)
    return xml


Slot = tuple[str, int]
"""Program and period."""


def _slots(document: Any) -> dict[Any, Slot]:  # noqa: ANN401 -- cpix has no types
    """Return the slot of each key by KID; keys without a clear one are left out."""
    if document.content_id is None:
        return {}
    periods = {key.kid: _period(document, key.kid) for key in document.content_keys}
    several = {period for period, count in Counter(periods.values()).items() if count > 1}
    slots = {
        kid: (_program(document, kid) if period in several else document.content_id, period)
        for kid, period in periods.items()
        if period is not None
    }
    counts = Counter(slots.values())
    return {
        kid: (program, period)
        for kid, (program, period) in slots.items()
        if program is not None and counts[program, period] == 1
    }


def _rules(document: Any, kid: Any) -> Iterator[Any]:  # noqa: ANN401 -- cpix has no types
    return (rule for rule in document.usage_rules if rule.kid == kid)


def _program(document: Any, kid: Any) -> str | None:  # noqa: ANN401 -- cpix has no types
    tracks = {rule.intended_track_type for rule in _rules(document, kid)} - {None}
    return f"{document.content_id}#{tracks.pop()}" if len(tracks) == 1 else None


def _period(document: Any, kid: Any) -> int | None:  # noqa: ANN401 -- cpix has no types
    """Return the number of a key's period, None if it has several or one without number."""
    named = {
        each.period_id
        for rule in _rules(document, kid)
        for each in rule
        if isinstance(each, cpix.KeyPeriodFilter)
    }
    if not named:
        return 0
    numbers = {period.index for period in document.periods if period.id in named}
    number: int | None = numbers.pop() if len(numbers) == 1 else None
    return number


def _entry(key: Any, slot: Slot | None, *, has_scheme: bool) -> KeyEntry:  # noqa: ANN401 -- cpix has no types
    kid, name = Kid(key.kid.bytes_le), f"the content key of KID {key.kid}"
    if key.cek is None:
        raise InvalidMessage(f"{name} is not there, expected a PlainValue")
    program, period = slot or (None, None)
    return KeyEntry(
        kid=kid,
        key=decode_base64(key.cek, name, CONTENT_KEY_LENGTH),
        key_type=SCHEMES[key.common_encryption_scheme],
        program=program,
        period=period,
        scheme=key.common_encryption_scheme if has_scheme else None,
        iv=None if key.explicit_iv is None else decode_base64(key.explicit_iv, f"the IV of {kid}"),
    )


def _content_key(entry: KeyEntry) -> Any:  # noqa: ANN401 -- cpix has no types
    return cpix.ContentKey(
        kid=_uuid(entry.kid),
        cek=encode_base64(entry.key),
        common_encryption_scheme=entry.scheme or _USUAL_SCHEMES[entry.key_type],
        explicit_iv=None if entry.iv is None else encode_base64(entry.iv),
    )


def _uuid(kid: Kid) -> uuid.UUID:
    return uuid.UUID(bytes_le=kid.raw)
