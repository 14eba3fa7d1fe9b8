"""A list of content keys as CPIX 2.4, the XML of DASH-IF, with the keys in the clear.

    CPIX[@contentId]
      ContentKeyList/ContentKey[@kid @commonEncryptionScheme @dependsOnKey @contentId @explicitIV]
        Data/pskc:Secret/pskc:PlainValue                base64 of 16 bytes
      ContentKeyPeriodList/ContentKeyPeriod[@id @index @label @start @end @startOffset @endOffset]
      ContentKeyUsageRuleList/ContentKeyUsageRule[@kid @intendedTrackType]
        KeyPeriodFilter[@periodId]

    program   the key's contentId, else the document's; #intendedTrackType is appended for several
              keys of one program and period, if it differs between them
    period    the index of the period in the key's rule, else its start in Unix seconds, else its
              startOffset in seconds; if no period has any of them, its place in the list; 0 for a
              key without period
    root      a key that others depend on is that of the program PROGRAM#root, in period 0
    track     the key's intendedTrackType, if its rules name one alone
    type      of commonEncryptionScheme, which may also be a method of HLS; a leaf key has that of
              the key that it depends on

A key keeps a note for each part of this that cannot be kept. The document is UTF-8, UTF-16, or has
the encoding in its XML declaration.

Source: DASH-IF Implementation Guidelines, Content Protection Information Exchange Format 2.4.
"""

import codecs
import re
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

from lxml import etree

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.durations import parse_duration
from rightsmanager.protocol.formats.keylists.cpix_import import cpix
from rightsmanager.protocol.formats.keylists.entry import (
    LAST_PERIOD,
    ROOT_SUFFIX,
    SCHEMES,
    KeyEntry,
)
from rightsmanager.protocol.wire import (
    CONTENT_KEY_LENGTH,
    Kid,
    decode_base64,
    encode_base64,
    find_track,
)
from rightsmanager.protocol.xml.parsing import FILE, parse_xml

_ROOT: Final = "{urn:dashif:org:cpix}CPIX"
_USUAL_SCHEMES: Final = {"aesctr": "cenc", "aescbc": "cbcs"}
_HLS_METHODS: Final[dict[str, tuple[str, str | None]]] = {
    "sample-aes": ("aescbc", "cbcs"),
    "sample-aes-cenc": ("aesctr", "cenc"),
    "sample-aes-ctr": ("aesctr", "cenc"),
    # Whole segments, not samples: no scheme of ISO/IEC 23001-7.
    "aes-128": ("aescbc", None),
}
_METHODS: Final = {scheme: (kind, scheme) for scheme, kind in SCHEMES.items()} | _HLS_METHODS
"""Key type and scheme by commonEncryptionScheme in lower case."""
_NUMBER: Final = re.compile("[0-9]{1,10}")
_DECLARED: Final = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"\']([A-Za-z0-9._-]{1,40})[\"\']")
_ENCODINGS: Final = frozenset(("utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252"))
_RULES: Final = "{*}ContentKeyUsageRuleList/{*}ContentKeyUsageRule"
_MAX_DEPENDENCIES: Final = 16


@dataclass(frozen=True, slots=True)
class DocumentSlot:
    """The use of a key: program and period, with notes of what is left out."""

    program: str | None
    period: int
    notes: tuple[str, ...] = ()


def parse_document(data: bytes) -> tuple[KeyEntry, ...]:
    """Return the keys of a document; raises InvalidMessage that names the element.

    Refuses encrypted keys and KIDs without a key.
    """
    root = parse_xml(to_utf8(data), "the CPIX document", FILE)
    if root.tag != _ROOT:
        raise InvalidMessage(f"the root element is {str(root.tag)[:64]}, expected {_ROOT}")
    if next(root.iter("{*}EncryptedValue"), None) is not None:
        raise InvalidMessage("the CPIX document has encrypted keys, expected a PlainValue for each")
    etree.strip_tags(root, etree.Comment, etree.ProcessingInstruction)
    elements = [
        (read_kid(each, "kid"), each) for each in root.iterfind("{*}ContentKeyList/{*}ContentKey")
    ]
    methods = _methods(dict(elements))
    slots, tracks = find_slots(root, elements), find_tracks(root)
    return tuple(
        replace(_entry(kid, each, methods[kid], slots.get(kid)), track=tracks.get(kid))
        for kid, each in elements
    )


def to_utf8(data: bytes) -> bytes:
    """Return the document in UTF-8 without its mark; raises InvalidMessage."""
    encoding = "utf-8-sig"
    declared = _DECLARED.match(data)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif declared is not None:
        name = declared[1].decode()
        try:
            encoding = codecs.lookup(name).name
        except LookupError:
            encoding = name
        if encoding not in _ENCODINGS:
            raise InvalidMessage(
                f"the CPIX document has the encoding {name}, expected UTF-8, UTF-16 or ISO-8859-1"
            )
    try:
        return data.decode(encoding).encode()
    except UnicodeDecodeError:
        raise InvalidMessage(f"the CPIX document is not {encoding.removesuffix('-sig')}") from None


def read_kid(element: etree._Element, attribute: str) -> Kid:
    """Return the KID in an attribute; raises InvalidMessage."""
    text = element.get(attribute)
    name = f"{etree.QName(element).localname} @{attribute}"
    if text is None:
        raise InvalidMessage(f"{name} is missing, expected a KID")
    try:
        return Kid.parse(text)
    except InvalidMessage as refusal:
        raise InvalidMessage(f"{name}: {refusal.text}") from None


# --- key types ------------------------------------------------------------------------------------


def _methods(elements: Mapping[Kid, etree._Element]) -> dict[Kid, tuple[str, str | None]]:
    return {kid: _method(kid, elements) for kid in elements}


def _method(kid: Kid, elements: Mapping[Kid, etree._Element]) -> tuple[str, str | None]:
    """Return key type and scheme of a key, those of its root for a leaf without."""
    seen = kid
    for _ in range(_MAX_DEPENDENCIES):
        element = elements[seen]
        text = (element.get("commonEncryptionScheme") or "").strip()
        if text:
            method = _METHODS.get(text.lower())
            if method is None:
                raise InvalidMessage(
                    f"commonEncryptionScheme of KID {seen.text} is {text[:32]!r}, expected one of "
                    + ", ".join((*SCHEMES, *(name.upper() for name in _HLS_METHODS)))
                )
            return method
        if element.get("dependsOnKey") is None:
            return "aesctr", None
        root = read_kid(element, "dependsOnKey")
        if root not in elements:
            raise InvalidMessage(
                f"dependsOnKey of KID {seen.text} is {root.text}, which is not in the document"
            )
        seen = root
    raise InvalidMessage(f"dependsOnKey of KID {kid.text} leads to no root key")


# --- programs and periods -------------------------------------------------------------------------


def find_slots(
    root: etree._Element, elements: Sequence[tuple[Kid, etree._Element]]
) -> dict[Kid, DocumentSlot]:
    """Return the use of each key; keys without a program are left out."""
    rules: dict[Kid, list[etree._Element]] = {}
    for rule in root.iterfind(_RULES):
        rules.setdefault(read_kid(rule, "kid"), []).append(rule)
    numbers = _period_numbers(root)
    slots: dict[Kid, DocumentSlot] = {}
    roots = set(find_roots(elements).values())
    for kid, element in elements:
        program = element.get("contentId", root.get("contentId"))
        if program is not None and kid in roots:
            slots[kid] = DocumentSlot(program + ROOT_SUFFIX, 0)
        elif program is not None:
            slots[kid] = _slot(kid, program, rules.get(kid, []), numbers)
    return _told_apart(slots, rules)


def find_roots(elements: Sequence[tuple[Kid, etree._Element]]) -> dict[Kid, Kid]:
    """Return the root of each key that depends on one."""
    return {
        kid: read_kid(element, "dependsOnKey")
        for kid, element in elements
        if element.get("dependsOnKey") is not None
    }


def find_tracks(root: etree._Element) -> dict[Kid, str]:
    """Return the track of each key whose rules name one alone."""
    named: dict[Kid, set[str]] = {}
    for rule in root.iterfind(_RULES):
        named.setdefault(read_kid(rule, "kid"), set()).add(rule.get("intendedTrackType", ""))
    tracks = {kid: find_track("".join(names)) for kid, names in named.items() if len(names) == 1}
    return {kid: track for kid, track in tracks.items() if track is not None}


def _slot(
    kid: Kid, program: str, rules: Sequence[etree._Element], numbers: Mapping[str, int | None]
) -> DocumentSlot:
    named = {
        each.get("periodId", "") for rule in rules for each in rule.iterfind("{*}KeyPeriodFilter")
    }
    for period in named:
        if period not in numbers:
            raise InvalidMessage(
                f"KeyPeriodFilter of KID {kid.text} has periodId {period[:64]!r}, which is not in "
                "ContentKeyPeriodList"
            )
    if len(named) > 1:
        return DocumentSlot(
            None, 0, (f"program {program} left out: the key has {len(named)} periods",)
        )
    number = numbers[named.pop()] if named else 0
    if number is None:
        return DocumentSlot(None, 0, (f"program {program} left out: its period has no number",))
    return DocumentSlot(program, number)


def _period_numbers(root: etree._Element) -> dict[str, int | None]:
    """Return the number of each period by its id."""
    periods = list(root.iterfind("{*}ContentKeyPeriodList/{*}ContentKeyPeriod"))
    numbers = [_number(each) for each in periods]
    if all(number is None for number in numbers):
        numbers = list(range(len(periods)))
    return {each.get("id", ""): number for each, number in zip(periods, numbers, strict=True)}


def _number(period: etree._Element) -> int | None:
    """Return the number by which a period is known, None without any."""
    start, end = (_time(period, name) for name in ("start", "end"))
    offset, end_offset = (_offset(period, name) for name in ("startOffset", "endOffset"))
    for first, last in ((start, end), (offset, end_offset)):
        if first is not None and last is not None and last <= first:
            raise InvalidMessage("ContentKeyPeriod ends before it starts")
    index = _index(period)
    found = next((each for each in (index, start, offset) if each is not None), None)
    # Packagers in several places name the same start, and get the same key.
    return None if found is None else int(found)


def _index(period: etree._Element) -> int | None:
    text = period.get("index")
    if text is None:
        return None
    if _NUMBER.fullmatch(text.strip()) is None or int(text) > LAST_PERIOD:
        raise InvalidMessage(
            f"ContentKeyPeriod @index is {text[:32]!r}, expected 0 to {LAST_PERIOD}"
        )
    return int(text)


def _time(period: etree._Element, name: str) -> float | None:
    """Return a time in Unix seconds; UTC if it names no zone."""
    text = period.get(name)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text.strip())
        seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        seconds = -1
    if not 0 <= seconds <= LAST_PERIOD:
        raise InvalidMessage(
            f"ContentKeyPeriod @{name} is {text[:32]!r}, expected a time from 1970 to 2106"
        )
    return seconds


def _offset(period: etree._Element, name: str) -> Fraction | None:
    text = period.get(name)
    if text is None:
        return None
    return parse_duration(text.strip(), f"ContentKeyPeriod @{name}").seconds


def _told_apart(
    slots: Mapping[Kid, DocumentSlot], rules: Mapping[Kid, Sequence[etree._Element]]
) -> dict[Kid, DocumentSlot]:
    """Return the slots with track types appended to programs that several keys have."""
    counts = Counter((slot.program, slot.period) for slot in slots.values())
    named = {
        kid: _with_track(slot, rules.get(kid, []))
        if slot.program is not None and counts[slot.program, slot.period] > 1
        else slot
        for kid, slot in slots.items()
    }
    counts = Counter((slot.program, slot.period) for slot in named.values())
    return {
        kid: DocumentSlot(None, 0, (f"program {slot.program} left out: other keys have it too",))
        if slot.program is not None and counts[slot.program, slot.period] > 1
        else slot
        for kid, slot in named.items()
    }


def _with_track(slot: DocumentSlot, rules: Sequence[etree._Element]) -> DocumentSlot:
    tracks = {rule.get("intendedTrackType") for rule in rules} - {None}
    if len(tracks) != 1:
        return DocumentSlot(
            None, 0, (f"program {slot.program} left out: the key has no single intendedTrackType",)
        )
    return DocumentSlot(f"{slot.program}#{tracks.pop()}", slot.period)


# --- entries --------------------------------------------------------------------------------------


def _entry(
    kid: Kid, element: etree._Element, method: tuple[str, str | None], slot: DocumentSlot | None
) -> KeyEntry:
    plain = element.find("{*}Data/{*}Secret/{*}PlainValue")
    if plain is None:
        raise InvalidMessage(
            f"the content key of KID {kid.text} is not there, expected a PlainValue"
        )
    key_type, scheme = method
    iv = element.get("explicitIV")
    program = None if slot is None else slot.program
    return KeyEntry(
        kid=kid,
        key=decode_base64(plain.text or "", f"PlainValue of KID {kid.text}", CONTENT_KEY_LENGTH),
        key_type=key_type,
        program=program,
        period=None if slot is None or program is None else slot.period,
        scheme=scheme,
        iv=None if iv is None else decode_base64(iv, f"explicitIV of KID {kid.text}"),
        notes=() if slot is None else slot.notes,
    )


def build_document(entries: Sequence[KeyEntry]) -> bytes:
    """Return the document of these keys; it names their program if they share one."""
    programs = {entry.program for entry in entries}
    (program,) = programs if len(programs) == 1 else (None,)
    document = cpix.CPIX(
        content_keys=cpix.ContentKeyList(*map(_content_key, entries)), content_id=program
    )
    has_periods = program is not None and {entry.period for entry in entries} != {0}
    for entry in entries:
        name = f"period-{entry.period}"
        if has_periods:
            document.periods.append(cpix.Period(name, index=entry.period))
        if has_periods or entry.track is not None:
            filters = [cpix.KeyPeriodFilter(name)] if has_periods else []
            document.usage_rules.append(cpix.UsageRule(_uuid(entry.kid), filters, entry.track))
    xml: bytes = document.pretty_print(xml_declaration=True)
    return xml


def _content_key(entry: KeyEntry) -> Any:  # noqa: ANN401 -- cpix has no types
    return cpix.ContentKey(
        kid=_uuid(entry.kid),
        cek=encode_base64(entry.key),
        common_encryption_scheme=entry.scheme or _USUAL_SCHEMES[entry.key_type],
        explicit_iv=None if entry.iv is None else encode_base64(entry.iv),
    )


def _uuid(kid: Kid) -> uuid.UUID:
    return uuid.UUID(bytes_le=kid.raw)
