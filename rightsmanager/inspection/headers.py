"""WRMHEADERs, PlayReady Objects and PSSH boxes.

    form         the strict parser takes it
    checksum     a KID's is that of a content key that is known
    byte order   the store has the KID itself, not its byte-swapped form
    KIDs         a version 1 box names the KIDs of the header in it

Canonical form is a fact and not a check, since published headers are not canonical.
"""

import struct
import uuid
from typing import Final

from rightsmanager.crypto.keyseed import content_key
from rightsmanager.inspection.checks import (
    attempt,
    compared,
    not_possible,
    unless_refused,
    verified,
)
from rightsmanager.inspection.context import Context
from rightsmanager.inspection.description import Check, Description, Outcome
from rightsmanager.inspection.kids import order_checks
from rightsmanager.inspection.licenses import MAGIC as LICENSE_MAGIC
from rightsmanager.inspection.licenses import describe_license
from rightsmanager.inspection.values import binary, guid, kids
from rightsmanager.inspection.xmltree import describe_plain
from rightsmanager.protocol.formats import pssh, wrmheader
from rightsmanager.protocol.formats.wrmheader import Header, HeaderKid
from rightsmanager.protocol.wire import Kid
from rightsmanager.protocol.xml.xmlview import Xml

# --- WRMHEADER ------------------------------------------------------------------------------------


def describe_header(text: str | bytes, context: Context, *, as_written: bool = True) -> Description:
    """Return the description of a header.

    Other XML is described as XML. as_written: True if the text is the original, so that its
    canonical form can be checked.
    """
    name = "WRMHEADER"
    header, form = attempt("form", "it is well-formed", wrmheader.parse_header, text)
    if header is None:
        return Description(name, children=_as_it_stands(text), checks=(form,))
    return Description(
        name,
        meaning=f"version {header.version}",
        children=(
            *_spelling_facts(header, as_written=as_written),
            *(_describe_kid(key, context) for key in header.kids),
            *_header_facts(header),
        ),
        checks=(form,),
    )


def _spelling_facts(header: Header, *, as_written: bool) -> tuple[Description, ...]:
    if not as_written:
        return ()
    return (Description("canonical", wrmheader.canonical_header(header) == header.source),)


def _as_it_stands(text: str | bytes) -> tuple[Description, ...]:
    data = text.encode(errors="replace") if isinstance(text, str) else text
    if data[1:2] == b"\0":
        data = data.decode("utf-16-le", "replace").encode(errors="replace")
    root = unless_refused(Xml.parse, data, "WRMHEADER")
    if root is None:
        return (Description("text", data.decode(errors="replace")),)
    return tuple(map(describe_plain, root.children))


def _describe_kid(key: HeaderKid, context: Context) -> Description:
    facts = [Description("ALGID", None if key.algid is None else key.algid.value)]
    if key.checksum is not None:
        facts.append(binary("CHECKSUM", key.checksum))
    return Description(
        "KID",
        key.kid.text,
        key.kid.base64,
        tuple(facts),
        (_checksum_check(key, context), *order_checks(key.kid, context)),
    )


def _checksum_check(key: HeaderKid, context: Context) -> Check:
    name = "checksum"
    if key.checksum is None:
        return not_possible(name, "the KID has no checksum")
    known = context.content_keys.get(key.kid)
    if known is not None:
        return verified(
            name,
            "it is that of the KID's content key",
            wrmheader.verify_checksum,
            key,
            known,
        )
    for seed_name, seed in context.seeds.items():
        derived = content_key(seed, key.kid.raw)
        check = verified(name, f"matches {seed_name}", wrmheader.verify_checksum, key, derived)
        if check.outcome is Outcome.OK:
            return check
    seeds = " and ".join(context.seeds)
    return not_possible(name, f"does not match {seeds}, and no content key of the KID is given")


def _header_facts(header: Header) -> tuple[Description, ...]:
    texts = {
        "LA_URL": header.la_url,
        "LUI_URL": header.lui_url,
        "CUSTOMATTRIBUTES": header.custom_attributes,
        "DECRYPTORSETUP": header.decryptor_setup,
    }
    facts = [Description(name, text) for name, text in texts.items() if text is not None]
    if header.ds_id is not None:
        facts.append(guid("DS_ID", header.ds_id))
    if not header.license_requested:
        facts.append(Description("LICENSEREQUESTED", value=False))
    return (*facts, *(Description("unknown element", text) for text in header.others))


# --- PlayReady Object -----------------------------------------------------------------------------

_OBJECT: Final = struct.Struct("<IH")
_RECORD: Final = struct.Struct("<HH")
_RECORD_NAMES: Final = {
    pssh.WRMHEADER: "WRMHEADER",
    pssh.EMBEDDED_LICENSE_STORE: "embedded licence store",
}


def describe_object(data: bytes, context: Context, name: str = "PlayReady Object") -> Description:
    """Return the description of a PlayReady Object, damaged or not."""
    _, form = attempt("form", "it is well-formed", pssh.parse_object, data)
    return Description(
        name,
        children=(*_object_head(data), *_describe_records(data, context)),
        checks=(form,),
    )


def _object_head(data: bytes) -> tuple[Description, ...]:
    if len(data) < _OBJECT.size:
        return (binary("head", data),)
    length, count = _OBJECT.unpack_from(data)
    return Description("length", length), Description("record count", count)


def _describe_records(data: bytes, context: Context) -> tuple[Description, ...]:
    found = []
    start = _OBJECT.size
    while len(data) - start >= _RECORD.size:
        kind, length = _RECORD.unpack_from(data, start)
        start += _RECORD.size
        found.append(_describe_record(kind, data[start : start + length], context))
        start += length
    return tuple(found)


def _describe_record(kind: int, value: bytes, context: Context) -> Description:
    return Description(
        f"record {kind}",
        meaning=f"{_RECORD_NAMES.get(kind, 'unknown')}, {len(value)} bytes",
        children=(_record_value(kind, value, context),),
    )


def _record_value(kind: int, value: bytes, context: Context) -> Description:
    if kind == pssh.WRMHEADER:
        return describe_header(value, context)
    if value.startswith(LICENSE_MAGIC):
        return describe_license(value, context)
    return binary("value", value)


# --- PSSH -----------------------------------------------------------------------------------------

SYSTEMS: Final = {
    pssh.SYSTEM_ID: "PlayReady",
    uuid.UUID("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"): "Widevine",
    uuid.UUID("94ce86fb-07ff-4f43-adb8-93d2fa968ca2"): "FairPlay",
    uuid.UUID("1077efec-c0b2-4d02-ace3-3c1e52e2fb4b"): "common, of W3C",
    uuid.UUID("e2719d58-a985-b3c9-781a-b030af78d30e"): "Clear Key, of DASH-IF",
    uuid.UUID("5e629af5-38da-4063-8977-97ffbd9902d4"): "Marlin",
    uuid.UUID("3d5e6d35-9b9a-41e8-b843-dd3c6e72c42c"): "ChinaDRM",
    uuid.UUID("adb41c24-2dbf-4a6d-958b-4457c0d27b95"): "Nagra",
    uuid.UUID("80a6be7e-1448-4c37-9e70-d5aebe04c8d2"): "Irdeto",
    uuid.UUID("f239e769-efa3-4850-9c16-a903c6932efb"): "Adobe Primetime",
}
"""Names of systems by id, as DASH-IF publishes them; only the most frequent ones."""
_BOX: Final = struct.Struct(">I4sB3s16s")
_COUNT: Final = struct.Struct(">I")
_KID_LENGTH: Final = 16


def describe_pssh(data: bytes, context: Context) -> Description:
    """Return the description of a PSSH box of any system, damaged or not."""
    parsed, form = attempt("form", "it is well-formed", pssh.parse_pssh, data)
    if len(data) < _BOX.size:
        return Description("PSSH box", children=(binary("head", data),), checks=(form,))
    length, _, version, flags, system = _BOX.unpack_from(data)
    system_id = uuid.UUID(bytes=system)
    ours = system_id == pssh.SYSTEM_ID
    if not ours and length == len(data):
        form = not_possible("form", "the box is for another system, whose data is unknown")
    facts = (
        Description("length", length),
        Description("version", version),
        binary("flags", flags),
        Description("system id", str(system_id), SYSTEMS.get(system_id, "unknown")),
    )
    kids_found, body = _split(data, version)
    inner = describe_object(body, context) if ours else binary("data", body)
    shown = (kids(kids_found),) if version else ()
    return Description(
        "PSSH box", children=(*facts, *shown, inner), checks=(form, *_kid_checks(parsed))
    )


def _split(data: bytes, version: int) -> tuple[tuple[Kid, ...], bytes]:
    """Return the KIDs and data of a box; if the KIDs do not fit, everything is data."""
    start = _BOX.size
    found: tuple[Kid, ...] = ()
    if version:
        count = int.from_bytes(data[start : start + _COUNT.size])
        start += _COUNT.size
        if count > (len(data) - start) // _KID_LENGTH:
            return (), data[start:]
        found = tuple(
            _kid(data[at : at + _KID_LENGTH])
            for at in range(start, start + count * _KID_LENGTH, _KID_LENGTH)
        )
        start += count * _KID_LENGTH
    length = int.from_bytes(data[start : start + _COUNT.size])
    start += _COUNT.size
    return found, data[start : start + length]


def _kid(data: bytes) -> Kid:
    # In a box a KID's bytes are in the order of its text, unlike everywhere else.
    return Kid(uuid.UUID(bytes=data).bytes_le)


def _kid_checks(parsed: pssh.Pssh | None) -> tuple[Check, ...]:
    if parsed is None or not parsed.version:
        return ()
    name = "KIDs"
    header = unless_refused(getattr, parsed.object, "header")
    if header is None:
        return (not_possible(name, "there is no header to compare with"),)
    return (
        compared(
            name,
            holds=set(parsed.kids) == {key.kid for key in header.kids},
            text="the box names the KIDs of its header",
            otherwise="the box names other KIDs than its header",
        ),
    )
