"""Recognition of formats: a table of recognisers, tried in order on each decoding."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection.certificates import describe_certificate, describe_chain
from rightsmanager.inspection.context import Context
from rightsmanager.inspection.description import Description
from rightsmanager.inspection.encodings import Decoding, decodings, xml_text
from rightsmanager.inspection.headers import describe_object, describe_pssh
from rightsmanager.inspection.licenses import MAGIC as LICENSE_MAGIC
from rightsmanager.inspection.licenses import describe_license
from rightsmanager.inspection.messages import describe_xml, refuse_root
from rightsmanager.protocol.xml.xmlview import Xml


@dataclass(frozen=True, slots=True)
class Recogniser:
    """A format."""

    name: str
    refuse: Callable[[bytes], None]
    """Raises InvalidMessage with the reason why the bytes are not of this format."""
    describe: Callable[[bytes, Context], Description]
    """Describes bytes that were not refused, damaged or not."""


def _refuse_other_start(magic: bytes, offset: int = 0) -> Callable[[bytes], None]:
    def refuse(data: bytes) -> None:
        if data[offset : offset + len(magic)] != magic:
            raise InvalidMessage(f"its bytes at offset {offset} are not {magic.decode()!r}")

    return refuse


_OBJECT: Final = struct.Struct("<IHHH")
_HEADER_START: Final = "<WRM".encode("utf-16-le")


def _refuse_object(data: bytes) -> None:
    # Without a magic number, the length must fit or a header be in the right place.
    if len(data) < _OBJECT.size:
        raise InvalidMessage(f"its {len(data)} bytes are too few")
    length = _OBJECT.unpack_from(data)[0]
    begun = data[_OBJECT.size : _OBJECT.size + len(_HEADER_START)] == _HEADER_START
    if length != len(data) and not begun:
        raise InvalidMessage(f"its first four bytes say {length} bytes, it has {len(data)}")


def _refuse_xml(data: bytes) -> None:
    text = xml_text(data)
    if text is None:
        raise InvalidMessage("it does not begin with an element")
    refuse_root(Xml.parse(text, "it"))


def _describe_xml(data: bytes, context: Context) -> Description:
    return describe_xml(xml_text(data) or b"", context)


RECOGNISERS: Final = (
    Recogniser("XMR licence", _refuse_other_start(LICENSE_MAGIC), describe_license),
    Recogniser("BCert chain", _refuse_other_start(b"CHAI"), describe_chain),
    Recogniser("BCert certificate", _refuse_other_start(b"CERT"), describe_certificate),
    Recogniser("PSSH box", _refuse_other_start(b"pssh", offset=4), describe_pssh),
    Recogniser("challenge, reply or WRMHEADER", _refuse_xml, _describe_xml),
    Recogniser("PlayReady Object", _refuse_object, describe_object),
)
"""Formats with a magic number come first."""


def describe(data: bytes, context: Context) -> Description:
    """Return the description of any input, with every check that the context makes possible.

    data: the bytes, or their hexadecimal digits or base64 as text.

    Raises InvalidMessage, which lists the tried formats with reasons, if none is recognised; never
    raises anything else.
    """
    reasons = []
    for decoding in decodings(data):
        for recogniser in RECOGNISERS:
            try:
                recogniser.refuse(decoding.data)
            except InvalidMessage as refusal:
                reasons.append(f"  {recogniser.name}, {decoding.name}: {refusal.text}")
                continue
            return _named(recogniser.describe(decoding.data, context), decoding)
    raise InvalidMessage("\n".join(("it is nothing that is known", *reasons)))


def _named(description: Description, decoding: Decoding) -> Description:
    form = f"{decoding.name}, {len(decoding.data)} bytes"
    meaning = form if description.meaning is None else f"{description.meaning}; {form}"
    return replace(description, meaning=meaning)
