"""Recognises a thing, or the things in a file, and describes them.

Things with a magic are recognised in each encoding. Headers and messages are found in all the
forms that `protocol.formats.input_forms` reads, such as a manifest, and the place is shown.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection.certificates import describe_certificate, describe_chain
from rightsmanager.inspection.checks import unless_refused
from rightsmanager.inspection.context import Context
from rightsmanager.inspection.description import Description
from rightsmanager.inspection.headers import describe_header, describe_object, describe_pssh
from rightsmanager.inspection.keyfiles import (
    describe_private_key,
    describe_public_key,
    describe_revocation_list,
    refuse_private_key,
    refuse_public_key,
)
from rightsmanager.inspection.licenses import MAGIC as LICENSE_MAGIC
from rightsmanager.inspection.licenses import describe_license
from rightsmanager.inspection.messages import describe_xml, refuse_root
from rightsmanager.inspection.xmltree import describe_plain
from rightsmanager.protocol.formats.input_forms import (
    Form,
    Found,
    decode_encodings,
    decode_text,
    find_all,
)
from rightsmanager.protocol.xml.xmlview import Xml

RAW: Final = ("raw",)


@dataclass(frozen=True, slots=True)
class Recogniser:
    """One kind of thing that `input_forms` does not find."""

    name: str
    refuse: Callable[[bytes], None]
    """Raises InvalidMessage for bytes of another kind."""
    describe: Callable[[bytes, Context], Description]
    """Describes bytes that were not refused, damaged or not."""


def _refuse_other_start(magic: bytes, offset: int = 0) -> Callable[[bytes], None]:
    def refuse(data: bytes) -> None:
        if data[offset : offset + len(magic)] != magic:
            raise InvalidMessage(f"its bytes at offset {offset} are not {magic.decode()!r}")

    return refuse


def _document(data: bytes) -> bytes | None:
    """Return an XML document in UTF-8 without byte order mark, or None for other bytes."""
    text = decode_text(data)
    if text is None or not text.lstrip().startswith("<"):
        return None
    return text.strip("\ufeff\0 \t\r\n").encode()


def _refuse_xml(data: bytes) -> None:
    document = _document(data)
    if document is None:
        raise InvalidMessage("it does not begin with an element")
    refuse_root(Xml.parse(document, "it"))


def _describe_xml(data: bytes, context: Context) -> Description:
    return describe_xml(_document(data) or b"", context)


RECOGNISERS: Final = (
    Recogniser("XMR licence", _refuse_other_start(LICENSE_MAGIC), describe_license),
    Recogniser("BCert chain", _refuse_other_start(b"CHAI"), describe_chain),
    Recogniser("BCert certificate", _refuse_other_start(b"CERT"), describe_certificate),
    Recogniser("revocation list", _refuse_other_start(b"RMRL"), describe_revocation_list),
    Recogniser("private key", refuse_private_key, describe_private_key),
    Recogniser("public key", refuse_public_key, describe_public_key),
    # Also an element without its envelope, which `input_forms` does not find.
    Recogniser("message or WRMHEADER", _refuse_xml, _describe_xml),
)
DAMAGED: Final = (Recogniser("PSSH box", _refuse_other_start(b"pssh", offset=4), describe_pssh),)
"""Things that `input_forms` refuses if they are damaged."""


def describe(data: bytes, context: Context) -> Description:
    """Return the description of each thing in a file, with every check that is possible.

    Raises InvalidMessage if nothing is recognised, and nothing else, damaged or not.
    """
    return _recognise(data, context, RECOGNISERS) or _describe_found(data, context)


def _recognise(
    data: bytes, context: Context, recognisers: tuple[Recogniser, ...]
) -> Description | None:
    for path, decoded in _decodings(data):
        for recogniser in recognisers:
            try:
                recogniser.refuse(decoded)
            except InvalidMessage:
                continue
            return _add_place(recogniser.describe(decoded, context), (path,), len(decoded))
    return None


def _decodings(data: bytes) -> Iterator[tuple[tuple[str, ...], bytes]]:
    yield RAW, data
    text = decode_text(data)
    if text is not None:
        yield from (((name,), decoded) for name, decoded in decode_encodings(text.strip("\ufeff")))


def _describe_found(data: bytes, context: Context) -> Description:
    try:
        groups = _group(find_all(data))
    except InvalidMessage as refusal:
        damaged = _recognise(data, context, DAMAGED)
        if damaged is not None:
            return damaged
        raise InvalidMessage(_why_unknown(data, refusal)) from None
    things = tuple(_describe_group(group, context) for group in groups)
    return things[0] if len(things) == 1 else Description("found", len(things), children=things)


def _group(found: tuple[Found, ...]) -> list[list[Found]]:
    """Return the things in groups of the same bytes, without those inside a message."""
    messages = [each.path for each in found if each.form is Form.MESSAGE]
    groups: dict[tuple[Form, bytes], list[Found]] = {}
    for each in found:
        inside = any(
            len(each.path) > len(path) and each.path[: len(path)] == path for path in messages
        )
        if each.form is Form.MESSAGE or not inside:
            groups.setdefault((each.form, each.data), []).append(each)
    return list(groups.values())


def _describe_group(group: list[Found], context: Context) -> Description:
    first = group[0]
    description = _describe_thing(first, context)
    return _add_place(description, tuple(each.path for each in group), len(first.data))


def _describe_thing(found: Found, context: Context) -> Description:
    match found.form:
        case Form.HEADER:
            return describe_header(found.data, context, as_written=False)
        case Form.OBJECT:
            return describe_object(found.data, context)
        case Form.MESSAGE:
            return describe_xml(found.data, context)
        case Form.INITIATOR:
            return describe_plain(Xml.parse(found.data, found.form.value))
        case _:
            return describe_pssh(found.data, context)


def _add_place(
    description: Description, paths: tuple[tuple[str, ...], ...], length: int
) -> Description:
    place = ", ".join(paths[0] or RAW)
    more = f"; found {len(paths)} times" if len(paths) > 1 else ""
    form = f"{place}, {length} bytes{more}"
    meaning = form if description.meaning is None else f"{description.meaning}; {form}"
    return replace(description, meaning=meaning)


def _why_unknown(data: bytes, refusal: InvalidMessage) -> str:
    names = ", ".join(each.name for each in RECOGNISERS)
    reason = f"{refusal.text}; or one of: {names}"
    document = _document(data)
    if document is not None:
        root = unless_refused(Xml.parse, document, "it")
        # The root says what was given; the refusal may be of a damaged box in it.
        reason = refusal.text if root is None else f"{_why_other_root(root)}; {refusal.text}"
    return f"it is not recognised: {reason}"


def _why_other_root(root: Xml) -> str:
    try:
        refuse_root(root)
    except InvalidMessage as refusal:
        return refusal.text
    return f"its root element is {root.name}"
