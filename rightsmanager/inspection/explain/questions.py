"""Input to explain: a URL, a query, CustomData, a content header or a challenge.

URL             its query is the request
query           cfg=(…), cfg64=…, Name=value&…, with or without its question mark
cfg's value     (name:value,…)
CustomData      json=[{…}], or the array alone
header          WRMHEADER, PlayReady Object or PSSH box, in base64 or hexadecimal too: its KIDs
challenge       the KIDs of its header, and its CustomData
"""

import re
from dataclasses import dataclass
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection.encodings import decodings, xml_text
from rightsmanager.policy.query import JSON_PREFIX, Spelling
from rightsmanager.protocol.formats.pssh import parse_object, parse_pssh
from rightsmanager.protocol.formats.wrmheader import Header, parse_header
from rightsmanager.protocol.wire import HEADER
from rightsmanager.protocol.xml.xmlview import Xml


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request: URL, query, CustomData and content."""

    query: str = ""
    """Percent-encoded, without the question mark."""
    custom_data: str | None = None
    header: Header | None = None
    """None: unknown; the requested KIDs are assumed."""
    device_level: int | None = None
    """The assumed security level of the device, None for any."""


_LENGTH: Final = 4
_BEFORE_A_QUERY: Final = re.compile(r"[^=(&\[{]*")
"""Matches input before any query, value or array."""


def find_question(data: bytes) -> Question:
    """Return the request in any input.

    Raises InvalidMessage for a damaged header or challenge, and for bytes that are not text.
    """
    for decoding in decodings(data):
        found = _find_in_bytes(decoding.data)
        if found is not None:
            return found
    try:
        return _find_in_text(data.decode("utf-8-sig").strip())
    except UnicodeDecodeError:
        raise InvalidMessage(
            "it is not text, and not a WRMHEADER, PlayReady Object, PSSH box or challenge"
        ) from None


def _find_in_bytes(data: bytes) -> Question | None:
    if data[_LENGTH : 2 * _LENGTH] == b"pssh":
        return Question(header=parse_pssh(data).object.header)
    if data and int.from_bytes(data[:_LENGTH], "little") == len(data):
        return Question(header=parse_object(data).header)
    text = xml_text(data)
    return None if text is None else _find_in_xml(Xml.parse(text, "it"), text)


def _find_in_xml(root: Xml, text: bytes) -> Question:
    if (root.namespace, root.name) == (HEADER, "WRMHEADER"):
        return Question(header=parse_header(text))
    header, custom_data = root.find("WRMHEADER"), root.find("CustomData")
    if header is None:
        raise InvalidMessage(f"its root element is {root.name[:64]}, and no WRMHEADER is in it")
    return Question(
        header=parse_header(header.canonical()),
        custom_data=None if custom_data is None else custom_data.text,
    )


def _find_in_text(text: str) -> Question:
    if text.startswith("["):
        return Question(custom_data=JSON_PREFIX + text)
    if text[: len(JSON_PREFIX)].lower() == JSON_PREFIX:
        return Question(custom_data=text)
    if text.startswith("("):
        return Question(query=f"{Spelling.CFG}={text}")
    head, mark, tail = text.partition("?")
    if _BEFORE_A_QUERY.fullmatch(head) and (mark or "://" in head):
        return Question(query=tail.partition("#")[0])
    return Question(query=text)
