"""WRMHEADER, the header that names the keys of content, in its four versions.

    WRMHEADER[@version]/DATA
      4.0.0.0   PROTECTINFO/{KEYLEN, ALGID}, KID, CHECKSUM
      4.1.0.0   PROTECTINFO/KID[@ALGID @CHECKSUM @VALUE]
      4.2.0.0   PROTECTINFO/KIDS/KID, several
      4.3.0.0   PROTECTINFO[@LICENSEREQUESTED]/KIDS/KID, where ALGID may be AESCBC or absent
      all       LA_URL, LUI_URL, DS_ID, CUSTOMATTRIBUTES, DECRYPTORSETUP, each optional
      from 4.1  DATA, PROTECTINFO, KIDS and KID are optional too: content with DECRYPTORSETUP
                ONDEMAND names its keys later

KIDs and DS_ID are base64 of 16 bytes in Microsoft's mixed order. Headers are written canonical:
namespace declarations first, attributes in alphabetical order, explicit end tags, no white space
between elements. Any other well-formed spelling is accepted: prefixes, other orders, white space,
empty elements for absent ones, unknown elements. A received text is kept and returned unchanged; a
changed header becomes canonical.

Source: the published PlayReady Header Specification.
"""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha1
from typing import Final
from xml.sax.saxutils import escape

from lxml import etree

from rightsmanager.crypto.aes import ecb_encrypt
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import (
    GUID_LENGTH,
    HEADER,
    Kid,
    ServiceId,
    decode_base64,
    encode_base64,
)
from rightsmanager.protocol.xml.elements import canonical, local_name
from rightsmanager.protocol.xml.parsing import parse_xml


class Algid(StrEnum):
    """Encryption algorithms of content."""

    AESCTR = "AESCTR"
    AESCBC = "AESCBC"
    COCKTAIL = "COCKTAIL"


class Version(StrEnum):
    """The supported versions."""

    V4_0 = "4.0.0.0"
    V4_1 = "4.1.0.0"
    V4_2 = "4.2.0.0"
    V4_3 = "4.3.0.0"


_CHECKSUM_LENGTHS: Final = {None: 8, Algid.AESCTR: 8, Algid.COCKTAIL: 7, Algid.AESCBC: 0}
"""In bytes. A key without ALGID has the checksum of AESCTR, if any."""
_COCKTAIL_BUFFER: Final = 21
_COCKTAIL_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class HeaderKid:
    """One key of a header."""

    kid: Kid
    algid: Algid | None = Algid.AESCTR
    checksum: bytes | None = None
    """8 bytes for AESCTR and 7 for COCKTAIL; other lengths are kept with a warning."""

    @property
    def warning(self) -> str | None:
        """The warning of a checksum of another length, which servers need not look at."""
        length = _CHECKSUM_LENGTHS[self.algid]
        if self.checksum is None or len(self.checksum) == length:
            return None
        return (
            f"WRMHEADER CHECKSUM of KID {self.kid} has {len(self.checksum)} bytes, expected "
            f"{length or 'none'} for ALGID {self.algid or Algid.AESCTR}"
        )


@dataclass(frozen=True, slots=True)
class Header:
    """A header with different keys, also none from version 4.1 on."""

    version: Version
    kids: tuple[HeaderKid, ...]
    la_url: str | None = None
    lui_url: str | None = None
    ds_id: ServiceId | None = None
    custom_attributes: str | None = None
    """The whole CUSTOMATTRIBUTES element as a canonical document."""
    decryptor_setup: str | None = None
    license_requested: bool = True
    others: tuple[str, ...] = ()
    """The unknown elements of DATA, each as a canonical document."""
    source: str | None = field(default=None, init=False, repr=False, compare=False)
    """The parsed text; `dataclasses.replace` drops it."""
    warnings: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The warnings of its keys."""

    def __post_init__(self) -> None:
        """Refuse keys that the version does not allow."""
        # Stored because each licence request reads it, and most headers come from a cache.
        warnings = tuple(key.warning for key in self.kids if key.warning is not None)
        object.__setattr__(self, "warnings", warnings)
        layout = _LAYOUTS[self.version]
        if not layout.min_kids <= len(self.kids) <= layout.max_kids:
            raise InvalidMessage(
                f"WRMHEADER {self.version} has {len(self.kids)} KIDs, expected "
                f"{'one' if layout.min_kids else 'at most one'}"
            )
        algids = sorted({key.algid for key in self.kids if key.algid})
        if len(algids) > 1 and self.version is Version.V4_3:
            raise InvalidMessage(
                f"WRMHEADER {self.version} has the ALGIDs {' and '.join(algids)}, "
                "expected the same for all KIDs"
            )
        if len({key.kid for key in self.kids}) < len(self.kids):
            raise InvalidMessage("WRMHEADER KIDS has a KID twice")
        for key in self.kids:
            if key.algid not in layout.algids:
                raise InvalidMessage(
                    f"WRMHEADER {self.version} has ALGID {key.algid or 'absent'}, expected "
                    + " or ".join(sorted(algid for algid in layout.algids if algid))
                )


def parse_header(text: str | bytes) -> Header:
    """Return the header of a text, which `build_header` returns unchanged.

    Bytes are UTF-16-LE or UTF-8, each with or without a byte order mark. Raises InvalidMessage
    for anything but a header of one of the four versions.
    """
    source = text if isinstance(text, str) else _decode(text)
    try:
        utf8 = source.removeprefix("\ufeff").encode()
    except UnicodeEncodeError:
        raise InvalidMessage("WRMHEADER has characters that are no Unicode text") from None
    header = parse_header_element(parse_xml(utf8, "WRMHEADER"))
    object.__setattr__(header, "source", source)
    return header


def parse_header_element(element: etree._Element) -> Header:
    """Return the header of a WRMHEADER element in any document."""
    if element.tag != f"{{{HEADER}}}WRMHEADER":
        raise InvalidMessage(f"{element.tag!s} found, expected WRMHEADER in namespace {HEADER}")
    version = _version(element)
    known, others = _known_and_others(_find(element, "DATA"))
    protect_info = known.get("PROTECTINFO")
    return Header(
        version=version,
        kids=_LAYOUTS[version].read(known, protect_info),
        la_url=_text(known.get("LA_URL")),
        lui_url=_text(known.get("LUI_URL")),
        ds_id=_ds_id(_text(known.get("DS_ID"))),
        custom_attributes=_canonical_document(known.get("CUSTOMATTRIBUTES")),
        decryptor_setup=_text(known.get("DECRYPTORSETUP")),
        license_requested=_license_requested(version, protect_info),
        others=tuple(filter(None, map(_canonical_document, others))),
    )


def build_header(header: Header) -> str:
    """Return the parsed text, or the canonical text of a header made here."""
    return canonical_header(header) if header.source is None else header.source


def canonical_header(header: Header) -> str:
    """Return the canonical text; a PlayReady Object has it in UTF-16-LE."""
    custom = header.custom_attributes
    pieces = (
        f'<WRMHEADER xmlns="{HEADER}" version="{header.version}"><DATA>',
        _LAYOUTS[header.version].write(header),
        _element("LA_URL", header.la_url),
        _element("LUI_URL", header.lui_url),
        _element("DS_ID", header.ds_id.base64 if header.ds_id else None),
        _inside_header(custom) if custom else "",
        _element("DECRYPTORSETUP", header.decryptor_setup),
        *map(_inside_header, header.others),
        "</DATA></WRMHEADER>",
    )
    return "".join(pieces)


def parse_custom_attributes(xml: str) -> str:
    """Return the CUSTOMATTRIBUTES element with this XML in it; raises InvalidMessage."""
    text = f'<CUSTOMATTRIBUTES xmlns="">{xml}</CUSTOMATTRIBUTES>'
    try:
        element = parse_xml(text.encode(), "CUSTOMATTRIBUTES")
    except UnicodeEncodeError:
        raise InvalidMessage("CUSTOMATTRIBUTES has characters that are no Unicode text") from None
    return _canonical_document(element) or ""


def checksum(algid: Algid | None, content_key: bytes, kid: Kid) -> bytes | None:
    """Return the CHECKSUM of a key of 16 bytes: 8 bytes, 7 for COCKTAIL, None for AESCBC."""
    match algid:
        case Algid.AESCTR:
            return ecb_encrypt(content_key, kid.raw)[: _CHECKSUM_LENGTHS[algid]]
        case Algid.COCKTAIL:
            buffer = content_key.ljust(_COCKTAIL_BUFFER, b"\0")
            for _ in range(_COCKTAIL_ROUNDS):
                buffer = sha1(buffer, usedforsecurity=False).digest()
            return buffer[: _CHECKSUM_LENGTHS[algid]]
        case _:
            return None


def verify_checksum(key: HeaderKid, content_key: bytes) -> None:
    """Verify the key's checksum, if any, against the content key; raises InvalidMessage."""
    if key.checksum is None or not _CHECKSUM_LENGTHS[key.algid]:
        return
    if key.warning is not None:
        raise InvalidMessage(key.warning)
    if key.checksum != checksum(key.algid or Algid.AESCTR, content_key, key.kid):
        raise InvalidMessage(
            f"WRMHEADER CHECKSUM of KID {key.kid} is {encode_base64(key.checksum)}, "
            "expected that of the content key"
        )


def _decode(data: bytes) -> str:
    utf16 = data.startswith(codecs.BOM_UTF16_LE) or data[1:2] == b"\0"
    try:
        return data.decode("utf-16-le" if utf16 else "utf-8")
    except UnicodeDecodeError:
        raise InvalidMessage("WRMHEADER is neither UTF-16-LE nor UTF-8") from None


def _version(element: etree._Element) -> Version:
    version = element.get("version", "")
    if version not in _LAYOUTS:
        raise InvalidMessage(
            f"WRMHEADER version is {version[:32]!r}, expected {' or '.join(_LAYOUTS)}"
        )
    return Version(version)


_KNOWN: Final = {
    f"{{{HEADER}}}{name}": name
    for name in (
        "PROTECTINFO",
        "KID",
        "CHECKSUM",
        "LA_URL",
        "LUI_URL",
        "DS_ID",
        "CUSTOMATTRIBUTES",
        "DECRYPTORSETUP",
    )
} | {"CUSTOMATTRIBUTES": "CUSTOMATTRIBUTES"}
"""The children of DATA; CUSTOMATTRIBUTES has the header's namespace or none."""


def _known_and_others(
    data: etree._Element | None,
) -> tuple[dict[str, etree._Element], list[etree._Element]]:
    known: dict[str, etree._Element] = {}
    others: list[etree._Element] = []
    for child in () if data is None else data.iterchildren(tag=etree.Element):
        name = _KNOWN.get(str(child.tag))
        if name is None:
            others.append(child)
        elif name in known:
            raise InvalidMessage(f"WRMHEADER DATA has two {name}")
        else:
            known[name] = child
    return known, others


def _find(parent: etree._Element | None, name: str) -> etree._Element | None:
    if parent is None:
        return None
    found = list(parent.iterchildren(tag=f"{{{HEADER}}}{name}"))
    if len(found) > 1:
        raise InvalidMessage(f"WRMHEADER has {len(found)} {name}, expected one")
    return found[0] if found else None


def _text(element: etree._Element | None) -> str | None:
    """Return an element's text; None if it is empty or missing."""
    if element is None:
        return None
    if len(element):
        name = local_name(element)
        raise InvalidMessage(f"WRMHEADER {name} has nodes in it, expected text")
    return (element.text or "").strip() or None


def _ds_id(text: str | None) -> ServiceId | None:
    return None if text is None else ServiceId(decode_base64(text, "WRMHEADER DS_ID", GUID_LENGTH))


def _license_requested(version: Version, protect_info: etree._Element | None) -> bool:
    if version < Version.V4_3 or protect_info is None:
        return True
    value = protect_info.get("LICENSEREQUESTED", "true")
    if value not in _BOOLEANS:
        raise InvalidMessage(
            f"WRMHEADER LICENSEREQUESTED is {value[:32]!r}, expected true or false"
        )
    return _BOOLEANS[value]


_BOOLEANS: Final = {"true": True, "false": False}


def _header_kid(value: str | None, algid: str | None, checksum: str | None) -> HeaderKid:
    if not value:
        raise InvalidMessage("WRMHEADER KID has no value")
    if algid and algid not in Algid.__members__:
        raise InvalidMessage(
            f"WRMHEADER ALGID is {algid[:32]!r}, expected {' or '.join(Algid.__members__)}"
        )
    return HeaderKid(
        kid=Kid(decode_base64(value, "WRMHEADER KID", GUID_LENGTH)),
        algid=Algid(algid) if algid else None,
        checksum=decode_base64(checksum, "WRMHEADER CHECKSUM") if checksum else None,
    )


_KEY_LENGTHS: Final = {Algid.AESCTR: 16, Algid.COCKTAIL: 7}
_KEY_LENGTHS_READ: Final = {Algid.AESCTR: ("16",), Algid.COCKTAIL: ("7", "8")}


def _read_kid_element(
    known: dict[str, etree._Element], protect_info: etree._Element | None
) -> tuple[HeaderKid, ...]:
    key = _header_kid(
        _text(known.get("KID")),
        _text(_find(protect_info, "ALGID")),
        _text(known.get("CHECKSUM")),
    )
    length = _text(_find(protect_info, "KEYLEN"))
    expected = _KEY_LENGTHS_READ.get(key.algid or Algid.AESCTR, ())
    if length is not None and expected and length not in expected:
        raise InvalidMessage(
            f"WRMHEADER KEYLEN is {length[:32]!r}, expected {' or '.join(expected)}"
        )
    return (key,)


def _write_kid_element(header: Header) -> str:
    (key,) = header.kids
    algid = key.algid or Algid.AESCTR
    return (
        f"<PROTECTINFO><KEYLEN>{_KEY_LENGTHS[algid]}</KEYLEN><ALGID>{algid}</ALGID></PROTECTINFO>"
        + _element("KID", key.kid.base64)
        + _element("CHECKSUM", encode_base64(key.checksum) if key.checksum else None)
    )


def _read_kid_attributes(
    _: dict[str, etree._Element], protect_info: etree._Element | None
) -> tuple[HeaderKid, ...]:
    return _read_kids_in(protect_info)


def _write_kid_attributes(header: Header) -> str:
    return f"<PROTECTINFO>{_kids_in(header)}</PROTECTINFO>" if header.kids else ""


def _read_kids(
    _: dict[str, etree._Element], protect_info: etree._Element | None
) -> tuple[HeaderKid, ...]:
    return _read_kids_in(_find(protect_info, "KIDS"))


def _write_kids(header: Header) -> str:
    requested = "" if header.license_requested else ' LICENSEREQUESTED="false"'
    kids = f"<KIDS>{_kids_in(header)}</KIDS>" if header.kids else ""
    return f"<PROTECTINFO{requested}>{kids}</PROTECTINFO>" if requested or kids else ""


def _read_kids_in(parent: etree._Element | None) -> tuple[HeaderKid, ...]:
    if parent is None:
        return ()
    return tuple(
        _header_kid(kid.get("VALUE"), kid.get("ALGID"), kid.get("CHECKSUM"))
        for kid in parent.iterchildren(tag=f"{{{HEADER}}}KID")
    )


def _kids_in(header: Header) -> str:
    return "".join(
        "<KID"
        + (f' ALGID="{key.algid}"' if key.algid else "")
        + (f' CHECKSUM="{encode_base64(key.checksum)}"' if key.checksum else "")
        + f' VALUE="{key.kid.base64}"></KID>'
        for key in header.kids
    )


def _element(name: str, text: str | None) -> str:
    return f"<{name}>{escape(text, {chr(13): '&#xD;'})}</{name}>" if text else ""


def _canonical_document(element: etree._Element | None) -> str | None:
    """Return an element as a canonical document."""
    return None if element is None else canonical(element).decode()


_DECLARES_HEADER: Final = re.compile(rf'^(<[^\s/>]+) xmlns="{re.escape(HEADER)}"')
_DECLARES_NO_DEFAULT: Final = re.compile(r'^<[^\s/>]+(?=[\s/>])(?! xmlns=")')


def _inside_header(xml: str) -> str:
    """Return a canonical document as an element under the header's default namespace."""
    inside, count = _DECLARES_HEADER.subn(r"\1", xml)
    # Elements without a namespace must not get the header's, so the default is always unset.
    return inside if count else _DECLARES_NO_DEFAULT.sub(r'\g<0> xmlns=""', xml)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The keys that a version allows, and their coding."""

    read: Callable[[dict[str, etree._Element], etree._Element | None], tuple[HeaderKid, ...]]
    write: Callable[[Header], str]
    min_kids: int
    max_kids: float
    algids: frozenset[Algid | None]


_OLD: Final = frozenset((Algid.AESCTR, Algid.COCKTAIL))
_ANY: Final = frozenset((*Algid, None))
_MANY: Final = float("inf")
_LAYOUTS: Final = {
    Version.V4_0: _Layout(_read_kid_element, _write_kid_element, 1, 1, _OLD),
    Version.V4_1: _Layout(_read_kid_attributes, _write_kid_attributes, 0, 1, _OLD),
    Version.V4_2: _Layout(_read_kids, _write_kids, 0, _MANY, _OLD),
    Version.V4_3: _Layout(_read_kids, _write_kids, 0, _MANY, _ANY),
}
