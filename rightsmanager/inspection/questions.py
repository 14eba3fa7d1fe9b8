"""Input to explain: a URL, a query, CustomData, a content header or a challenge.

URL             its query is the request
query           cfg=(…), cfg64=…, Name=value&…, with or without its question mark
cfg's value     (name:value,…)
CustomData      json=[{…}], or the array alone
header          the KIDs of the first header, in any form that `input_forms` finds
challenge       the KIDs of its header, and its CustomData; also in a key message or initiator
"""

import re
from dataclasses import dataclass
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.policy.query import JSON_PREFIX, Spelling
from rightsmanager.protocol.formats.input_forms import (
    EXPECTED,
    HEADERS,
    Form,
    Found,
    decode_text,
    find_all,
)
from rightsmanager.protocol.formats.wrmheader import Header, HeaderKid, Version
from rightsmanager.protocol.wire import Kid
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


_BEFORE_A_QUERY: Final = re.compile(r"[^=(&\[{]*")
"""Matches input before any query, value or array."""


def find_question(data: bytes) -> Question:
    """Return the question in bytes of any kind.

    Raises InvalidMessage for a damaged header or challenge, for a document without a header, and
    for bytes that are not text.
    """
    text = decode_text(data)
    # A URL or query is never taken for base64, which has no brackets and no inner equals sign.
    if text is None or not _is_question(text.strip()):
        found = _find_content(data, text)
        if found is not None:
            return found
    if text is None:
        raise InvalidMessage(f"the request has nothing known, expected {EXPECTED}")
    return _find_in_text(text.strip())


def _is_question(text: str) -> bool:
    return text.startswith(("(", "[", "?", "http://", "https://", JSON_PREFIX)) or "=(" in text


def _find_content(data: bytes, text: str | None) -> Question | None:
    """Return the question that a header or challenge asks, None for other text."""
    try:
        found = find_all(data)
    except InvalidMessage:
        # A document or a box is not a query, whatever is wrong with it.
        if text is None or text.lstrip().startswith("<") or data[4:8] == b"pssh":
            raise
        return None
    header = next((each.header for each in found if each.form in HEADERS), None)
    if header is None:
        names = ", ".join(dict.fromkeys(each.form.value for each in found))
        raise InvalidMessage(f"no WRMHEADER is in it, only: {names}")
    return Question(header=header, custom_data=_find_custom_data(found))


def _find_custom_data(found: tuple[Found, ...]) -> str | None:
    for each in found:
        if each.form in {Form.MESSAGE, Form.INITIATOR}:
            root = Xml.parse(each.data, each.form.value)
            # SetCustomData of an initiator holds the CustomData of the next challenge.
            element = root.find("CustomData")
            return None if element is None else element.text
    return None


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


def header_of(kids: tuple[Kid, ...]) -> Header:
    """Return a header with these KIDs, each once, without ALGIDs."""
    return Header(Version.V4_3, tuple(HeaderKid(kid, None) for kid in dict.fromkeys(kids)))
