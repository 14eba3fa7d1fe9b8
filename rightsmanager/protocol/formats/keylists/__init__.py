"""Lists of content keys in the clear, for exchange with other systems: CPIX and CSV."""

import codecs

from rightsmanager.protocol.formats.keylists.document import build_document, parse_document
from rightsmanager.protocol.formats.keylists.entry import KEY_TYPES, KeyEntry
from rightsmanager.protocol.formats.keylists.table import build_table, parse_table
from rightsmanager.protocol.wire import parse_content_key

__all__ = [
    "KEY_TYPES",
    "KeyEntry",
    "build_document",
    "build_table",
    "parse_content_key",
    "parse_document",
    "parse_key_list",
    "parse_table",
]

_MARKS = codecs.BOM_UTF8 + codecs.BOM_UTF16_LE + b"\0"
"""Bytes of byte order marks, and the high bytes of ASCII in UTF-16."""


def parse_key_list(data: bytes) -> tuple[KeyEntry, ...]:
    """Return the keys of a CPIX document or a CSV table; raises InvalidMessage."""
    start = data[:64].translate(None, _MARKS).lstrip()
    return parse_document(data) if start.startswith(b"<") else parse_table(data)
