"""Finds headers and messages in all the forms in which people have them.

    bytes       WRMHEADER in UTF-8 or UTF-16, PlayReady Object, PSSH boxes in any order, one without
                its length and name, MP4
    text        base64, standard or URL-safe, with or without padding; hexadecimal; output of xxd;
                data: URI; HLS playlist (#EXT-X-KEY, #EXT-X-SESSION-KEY)
    XML         WRMHEADER at any place; cenc:pssh, mspr:pro, ProtectionHeader and the like with
                base64 (DASH, Smooth Streaming, CPIX); PlayReadyKeyMessage; PlayReadyInitiator; SOAP

The forms may be nested, such as a playlist with a data: URI with base64 of a PlayReady Object.
Nothing is verified here: a thing is found by its beginning and its length, and may be damaged.
"""

import binascii
import codecs
import re
import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Final
from urllib.parse import unquote_to_bytes

from lxml import etree

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.pssh import SYSTEM_ID, parse_object, parse_pssh
from rightsmanager.protocol.formats.wrmheader import Header, parse_header
from rightsmanager.protocol.wire import HEADER
from rightsmanager.protocol.xml.elements import local_name, split_tag
from rightsmanager.protocol.xml.envelope import SoapVersion
from rightsmanager.protocol.xml.parsing import Bounds, parse_xml


class Form(Enum):
    """The kinds of things that are found."""

    HEADER = "WRMHEADER"
    OBJECT = "PlayReady Object"
    PSSH = "PSSH box"
    OTHER_PSSH = "PSSH box of another system"
    CUT_PSSH = "PSSH box that is cut off"
    MESSAGE = "SOAP message"
    INITIATOR = "PlayReadyInitiator"


@dataclass(frozen=True, slots=True)
class Found:
    """A thing and the way to it."""

    form: Form
    data: bytes = field(repr=False)
    """XML in UTF-8 without byte order mark, or the bytes of an object or a box."""
    path: tuple[str, ...] = ()
    """The forms around it, outermost first, such as ("base64", "PSSH box 2")."""
    error: str = ""
    """The reason that a box is cut off, empty for all others."""

    @property
    def place(self) -> str:
        """The path as text, "" for a thing that stands alone."""
        return ", ".join(self.path)

    @property
    def header(self) -> Header:
        """The header; raises InvalidMessage if the thing has none or is damaged."""
        match self.form:
            case Form.HEADER:
                return parse_header(self.data)
            case Form.OBJECT:
                return parse_object(self.data).header
            case Form.PSSH:
                return parse_pssh(self.data).object.header
            case _:
                raise InvalidMessage(f"a {self.form.value} has no WRMHEADER of its own")

    @property
    def system_id(self) -> uuid.UUID | None:
        """The system of a box, None for other things."""
        if self.form not in {Form.PSSH, Form.OTHER_PSSH}:
            return None
        return uuid.UUID(bytes=self.data[_SYSTEM_AT : _SYSTEM_AT + 16])


MAX_FOUND: Final = 1000
MAX_TRIED: Final = 4096
"""Elements of a document and lines of a playlist that are looked into."""
MAX_NESTING: Final = 12
"""Forms around a thing; a manifest in a playlist needs seven."""
EXPECTED: Final = (
    "a WRMHEADER, PlayReady Object, PSSH box, MP4, playlist, manifest, key message, initiator or "
    "SOAP message, as bytes, text, base64, hexadecimal or data: URI"
)

_START: Final = 512
"""Bytes in which the root element's name is expected."""
HEADERS: Final = frozenset((Form.HEADER, Form.OBJECT, Form.PSSH))
"""The forms of content headers."""
# Nothing here is canonicalised but a single header, which is parsed within its own bounds.
_BOUNDS: Final = Bounds(tags=2**19, declarations=2**12, all_attributes=2**19)
# A header is copied with all namespaces in its scope, each compared with all others, and with the
# headers in it: without bounds, 200 kB took 40 s.
_MAX_NAMESPACES: Final = 64
"""Namespaces in the scope of one header."""
_MAX_COPIED: Final = 1 << 18
"""Bytes of the headers of a document together, in addition to its length."""
_WRMHEADER: Final = f"{{{HEADER}}}WRMHEADER"
_HEADER_START: Final = "<WRM".encode("utf-16-le")
_OBJECT_HEAD: Final = struct.Struct("<IHHH")
_SYSTEM_AT: Final = 12
_BOX_HEAD: Final = struct.Struct(">I4s")
_LARGE: Final = struct.Struct(">Q")
_CONTAINERS: Final = frozenset((b"moov", b"moof", b"meta"))
_BOXES: Final = _CONTAINERS | frozenset(
    (b"ftyp", b"styp", b"pssh", b"free", b"skip", b"sidx", b"emsg", b"prft", b"mdat", b"uuid")
)
"""The boxes with which MP4 files and segments begin."""
_CARRIERS: Final = frozenset(
    (
        *("pssh", "PSSH", "pro", "ProtectionHeader", "ContentProtectionData", "HLSSignalingData"),
        *("SmoothStreamingProtectionHeaderData", "PlayReadyHeader", "Challenge"),
    )
)
"""Local names of elements with base64 of a header or message in them."""
_CARRIER_TAGS: Final = tuple(f"{{*}}{name}" for name in sorted(_CARRIERS))

_DATA_URI: Final = re.compile(r"data:([^,]*),(.*)", re.DOTALL | re.IGNORECASE)
_KEY_LINE: Final = re.compile(r"#EXT-X-(?:SESSION-)?KEY:")
_URI: Final = re.compile(r'URI="([^"]*)"')
_HEX: Final = re.compile(r"(?:0[xX])?((?:[0-9A-Fa-f]{2})+)")
_XXD: Final = re.compile(r"[0-9a-fA-F]{6,16}+: ((?:[0-9a-fA-F]{2,4}+ ?+)++)(?: .*)?")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{4,}={0,2}")
_TO_STANDARD: Final = str.maketrans("-_", "+/")


def find_all(data: bytes) -> tuple[Found, ...]:
    """Return everything that is found, in its order.

    Raises InvalidMessage if nothing is found but boxes that are cut off.
    """
    found = tuple(each for _, each in zip(range(MAX_FOUND), _find(data, ()), strict=False))
    if not found:
        raise InvalidMessage(f"nothing known is in it, expected {EXPECTED}")
    # One bad box must not hide the good ones of a manifest.
    if all(each.error for each in found):
        raise InvalidMessage(found[0].error)
    return found


def find_headers(data: bytes) -> tuple[Header, ...]:
    """Return each header that is found; raises InvalidMessage without any, or for a damaged one."""
    found = find_all(data)
    headers = tuple(each.header for each in found if each.form in HEADERS)
    if not headers:
        names = ", ".join(dict.fromkeys(each.form.value for each in found))
        raise InvalidMessage(f"no WRMHEADER is in it, only: {names}")
    return headers


def find_header(data: bytes) -> Header:
    """Return the first header that is found; raises InvalidMessage."""
    return find_headers(data)[0]


def find_message(data: bytes) -> Found | None:
    """Return the SOAP message in a PlayReadyKeyMessage or in base64, None without one."""
    start = data[:_START].replace(b"\0", b"").lstrip(codecs.BOM_UTF8 + codecs.BOM_UTF16_LE)
    # Other XML was refused already, and within closer bounds.
    if start.lstrip().startswith(b"<") and b"PlayReadyKeyMessage" not in start:
        return None
    try:
        found = find_all(data)
    except InvalidMessage:
        return None
    return next((each for each in found if each.form is Form.MESSAGE), None)


# --- bytes ----------------------------------------------------------------------------------------


def _find(data: bytes, path: tuple[str, ...]) -> Iterator[Found]:
    if len(path) > MAX_NESTING:
        return
    if data[4:8] in _BOXES:
        yield from _find_in_boxes(data, path)
    elif data[4:20] == SYSTEM_ID.bytes and data[:1] in {b"\0", b"\1"}:
        head = _BOX_HEAD.pack(_BOX_HEAD.size + len(data), b"pssh")
        yield Found(Form.PSSH, head + data, (*path, "PSSH box without its length and name"))
    elif _is_object(data):
        yield Found(Form.OBJECT, data, path)
    else:
        text = decode_text(data)
        if text is not None:
            yield from _find_in_text(text.strip("\ufeff\0 \t\r\n"), path)


def _is_object(data: bytes) -> bool:
    # An object has no magic: its length must fit, or a header must begin in the first record.
    if len(data) < _OBJECT_HEAD.size:
        return False
    length, count, _, record = _OBJECT_HEAD.unpack_from(data)
    start = data[_OBJECT_HEAD.size : _OBJECT_HEAD.size + len(_HEADER_START)]
    return start == _HEADER_START or (length == len(data) and count > 0 and record <= length)


def _find_in_boxes(data: bytes, path: tuple[str, ...]) -> Iterator[Found]:
    for count, (box, error) in enumerate(_pssh_boxes(data, 0, len(data), 0), start=1):
        is_ours = box[_SYSTEM_AT : _SYSTEM_AT + 16] == SYSTEM_ID.bytes
        place = path if len(box) == len(data) else (*path, f"PSSH box {count}")
        form = Form.PSSH if is_ours else Form.OTHER_PSSH
        yield Found(Form.CUT_PSSH if error else form, box, place, error)


def _pssh_boxes(data: bytes, start: int, end: int, depth: int) -> Iterator[tuple[bytes, str]]:
    """Yield each PSSH box between two offsets, also in containers.

    The text is the reason that the box is cut off, empty for whole boxes.
    """
    while end - start >= _BOX_HEAD.size:
        length, name = _BOX_HEAD.unpack_from(data, start)
        head = _BOX_HEAD.size
        if length == 1 and end - start >= head + _LARGE.size:
            length, head = _LARGE.unpack_from(data, start + head)[0], head + _LARGE.size
        elif length == 0:
            length = end - start
        if name == b"pssh" and not _SYSTEM_AT + 20 <= length <= end - start:
            error = f"PSSH box at offset {start} says {length} bytes, {end - start} are there"
            yield data[start:end], error
            return
        if length < head:
            return
        if name == b"pssh":
            yield data[start : start + length], ""
        elif name in _CONTAINERS and depth < MAX_NESTING:
            skipped = 4 if name == b"meta" else 0
            yield from _pssh_boxes(
                data, start + head + skipped, min(start + length, end), depth + 1
            )
        start += length


# --- text -----------------------------------------------------------------------------------------


def decode_text(data: bytes) -> str | None:
    """Return UTF-8 or UTF-16 as text, each with or without byte order mark; None for others."""
    encoding = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif data[1:2] == b"\0":
        encoding = "utf-16-le"
    elif data[:1] == b"\0":
        encoding = "utf-16-be"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _find_in_text(text: str, path: tuple[str, ...]) -> Iterator[Found]:
    if text.startswith("<"):
        yield from _find_in_xml(text, path)
    elif _KEY_LINE.search(text):
        yield from _find_in_playlist(text, path)
    elif (uri := _DATA_URI.fullmatch(text)) is not None:
        yield from _find_in_data_uri(uri[1], uri[2], path)
    else:
        for name, data in decode_encodings(text):
            found = list(_find(data, (*path, name)))
            if found:
                yield from found
                return


def decode_encodings(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes that a text may encode, the most specific encoding first."""
    lines = [_XXD.fullmatch(line.rstrip()) for line in text.splitlines()]
    if lines and all(lines):
        digits = "".join(line[1] for line in lines if line).replace(" ", "")
        if len(digits) % 2 == 0:
            yield "output of xxd", bytes.fromhex(digits)
    compact = "".join(text.strip("\"'").split())
    hexadecimal = _HEX.fullmatch(compact)
    if hexadecimal is not None:
        yield "hexadecimal", bytes.fromhex(hexadecimal[1])
    if _BASE64.fullmatch(compact):
        bare = compact.rstrip("=")
        padded = bare.translate(_TO_STANDARD) + "=" * (-len(bare) % 4)
        try:
            decoded = binascii.a2b_base64(padded, strict_mode=True)
        except ValueError:
            return
        yield (
            "base64" if bare.isalnum() or not set(bare) & set("-_") else "URL-safe base64",
            decoded,
        )


def _find_in_data_uri(kind: str, content: str, path: tuple[str, ...]) -> Iterator[Found]:
    inner = (*path, "data: URI")
    if kind.lower().endswith(";base64"):
        yield from _find_in_text(
            "".join(unquote_to_bytes(content).decode("latin-1").split()), inner
        )
    else:
        yield from _find(unquote_to_bytes(content), inner)


def _find_in_playlist(text: str, path: tuple[str, ...]) -> Iterator[Found]:
    tried = 0
    for number, line in enumerate(text.splitlines(), start=1):
        key, uri = _KEY_LINE.match(line), _URI.search(line)
        tried += key is not None
        if tried > MAX_TRIED:
            return
        if key is not None and uri is not None and uri[1].lower().startswith("data:"):
            yield from _find_in_text(uri[1], (*path, f"line {number}, {key[0].rstrip(':')}"))


# --- XML ------------------------------------------------------------------------------------------


def _find_in_xml(text: str, path: tuple[str, ...]) -> Iterator[Found]:
    data = text.encode()
    root = parse_xml(data, "the XML", _BOUNDS)
    namespace, name = split_tag(str(root.tag))
    inside = path
    if name == "Envelope" and namespace in {version.namespace for version in SoapVersion}:
        yield Found(Form.MESSAGE, data, path)
        inside = (*path, "SOAP message")
    elif name == "PlayReadyInitiator":
        yield Found(Form.INITIATOR, data, path)
        inside = (*path, name)
    elif root.tag != _WRMHEADER:
        inside = (*path, name)
    left = len(data) + _MAX_COPIED
    # Matched by lxml: a loop over all elements would take longer than the parser.
    for element in islice(root.iter(_WRMHEADER, *_CARRIER_TAGS), MAX_TRIED):
        if element is root and element.tag == _WRMHEADER:
            yield Found(Form.HEADER, data, path)
        elif element.tag == _WRMHEADER:
            header = _copy_header(element)
            left -= len(header)
            if left < 0:
                raise InvalidMessage("the XML has headers within headers, expected each by itself")
            yield Found(Form.HEADER, header, inside)
        elif len(element) == 0 and element.text:
            around = path if element is root else inside
            yield from _find_in_text(element.text.strip(), (*around, local_name(element)))


def _copy_header(element: etree._Element) -> bytes:
    """Return a header's XML; raises InvalidMessage if too many namespaces are in its scope."""
    count = len(element.nsmap)
    if count > _MAX_NAMESPACES:
        raise InvalidMessage(
            f"{count} namespaces are declared for a WRMHEADER, expected at most {_MAX_NAMESPACES}"
        )
    return etree.tostring(element, encoding="utf-8", with_tail=False)
