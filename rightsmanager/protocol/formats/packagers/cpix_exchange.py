"""CPIX documents as requests for keys: a client sends one without keys, and gets it filled in.

    CPIX[@contentId @version]              SPEKE 1.0 has @id in place of @contentId
      DeliveryDataList/DeliveryData        a recipient; see `cpix_encryption`
      ContentKeyList/ContentKey[@kid @commonEncryptionScheme @explicitIV @dependsOnKey]
        Data/pskc:Secret                   filled in
      DRMSystemList/DRMSystem[@kid @systemId]   filled in: see `cpix_signaling`
      ContentKeyPeriodList, ContentKeyUsageRuleList   as in `keylists.document`

Systems other than PlayReady are left out of the reply, as are the request's signatures, which are
verified: see `cpix_signatures`.

Source: DASH-IF Implementation Guidelines, CPIX 2.1 to 2.4; the AWS documents of SPEKE 1.0 and 2.0.
"""

import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final

from lxml import etree

from rightsmanager.crypto.random import Rng
from rightsmanager.crypto.recipients import OwnRecipient
from rightsmanager.crypto.rsa_signatures import RsaSigner
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.keylists.cpix_import import cpix
from rightsmanager.protocol.formats.keylists.document import (
    DocumentSlot,
    find_roots,
    find_slots,
    find_tracks,
    read_kid,
    to_utf8,
)
from rightsmanager.protocol.formats.keylists.entry import SCHEMES
from rightsmanager.protocol.formats.packagers.cpix_encryption import (
    DocumentKeys,
    EncryptedKey,
    WrappedKeys,
    decrypt,
    items,
    read_encrypted,
    read_plain,
    read_recipients,
    read_wrapped_keys,
    unwrap,
    write_encrypted,
    write_plain,
    write_recipients,
)
from rightsmanager.protocol.formats.packagers.cpix_schema import refuse_invalid
from rightsmanager.protocol.formats.packagers.cpix_signaling import CPIX, fill_system, sort_system
from rightsmanager.protocol.formats.packagers.cpix_signatures import (
    sign_document,
    verify_document,
)
from rightsmanager.protocol.formats.packagers.protected_key import ProtectedKey
from rightsmanager.protocol.formats.pssh import SYSTEM_ID
from rightsmanager.protocol.wire import (
    XMLDSIG,
    Kid,
    decode_base64,
)
from rightsmanager.protocol.xml.parsing import parse_xml

VERSIONS: Final = ("2.1", "2.2", "2.3", "2.4")
WITH_SCHEME: Final = ("2.3", "2.4")
"""The versions whose documents name the scheme and their own version."""

_SYSTEM: Final = f"{CPIX}DRMSystem"
_WITH_KID: Final = ("ContentKey", "DRMSystem", "ContentKeyUsageRule")
"""The elements that name a KID."""
_SCHEME: Final = "commonEncryptionScheme"
_HLS_SCHEMES: Final = {"sample-aes": "cbcs", "sample-aes-cenc": "cenc", "sample-aes-ctr": "cenc"}
_SCHEMES: Final = {scheme: scheme for scheme in SCHEMES} | _HLS_SCHEMES
_IV_LENGTHS: Final = (8, 16)


@dataclass(frozen=True, slots=True)
class RequestedKey:
    """A ContentKey of a request."""

    kid: Kid
    slot: DocumentSlot | None
    """Program and period; without a program the key has its KID alone."""
    scheme: str | None = None
    """One of SCHEMES; None if the request names none."""
    iv: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    """The key that the client brings, 16 bytes."""
    encrypted: EncryptedKey | None = None
    """The same; see `open_request`."""
    track: str | None = None
    """The kind of streams that it encrypts, if its rules name one alone."""
    root: Kid | None = None
    """The key of the request that it depends on."""


@dataclass(frozen=True, slots=True)
class CpixRequest:
    """A request document."""

    raw: bytes = field(repr=False)
    """The document in UTF-8."""
    content_id: str | None
    version: str | None
    keys: tuple[RequestedKey, ...]
    recipients: tuple[bytes, ...] = ()
    """Certificates in DER."""
    deliveries: tuple[WrappedKeys, ...] = ()
    """Those of each recipient that has them."""
    signers: tuple[bytes, ...] = ()
    """The certificates, in DER, of valid signatures of the whole document."""


def parse_request(data: bytes, program: str | None = None) -> CpixRequest:
    """Return the request; raises InvalidMessage that names the element.

    program: the name of the program in place of the document's.
    """
    text = to_utf8(data)
    root = _parse(text)
    signers = verify_document(parse_xml(text, "the CPIX document"))
    _refuse_version(root.get("version"))
    content_id = program or root.get("contentId", root.get("id"))
    if content_id is not None:
        root.set("contentId", content_id)
    _refuse_systems(root)
    return CpixRequest(
        etree.tostring(root),
        content_id,
        root.get("version"),
        _keys(root),
        read_recipients(root),
        read_wrapped_keys(root),
        signers,
    )


def _parse(data: bytes) -> etree._Element:
    root = parse_xml(data, "the CPIX document")
    etree.strip_tags(root, etree.Comment, etree.ProcessingInstruction)
    if root.tag != f"{CPIX}CPIX":
        raise InvalidMessage(f"the root element is {str(root.tag)[:64]}, expected {CPIX}CPIX")
    for system in items(root, "DRMSystem"):
        sort_system(system)
    deliveries = list(items(root, "DeliveryData"))
    for delivery in deliveries:
        _add_document_key(delivery)
    # The ids of SPEKE may be no XML names, such as those that begin with a digit.
    ids = [(each, each.attrib.pop("id", None)) for each in (root, *deliveries)]
    refuse_invalid(root)
    for element, name in ids:
        if name is not None:
            element.set("id", name)
    return root


def _add_document_key(delivery: etree._Element) -> None:
    # The schema requires a DocumentKey; the published requests of SPEKE have none.
    recipient = delivery.find(f"{CPIX}DeliveryKey")
    if recipient is not None and delivery.find(f"{CPIX}DocumentKey") is None:
        recipient.addnext(etree.Element(f"{CPIX}DocumentKey"))


def _refuse_version(version: str | None) -> None:
    if version is not None and version not in VERSIONS:
        raise InvalidMessage(f"CPIX @version is {version[:32]!r}, expected {', '.join(VERSIONS)}")


def _refuse_systems(root: etree._Element) -> None:
    for system in items(root, "DRMSystem"):
        if _system_id(system) not in cpix.VALID_SYSTEM_IDS:
            raise InvalidMessage(
                f"DRMSystem @systemId is {system.get('systemId', '')[:64]!r}, expected {SYSTEM_ID} "
                "(PlayReady) or another system that DASH-IF has registered"
            )


def _system_id(system: etree._Element) -> uuid.UUID | None:
    try:
        return uuid.UUID(system.get("systemId", "").strip())
    except ValueError:
        return None


def _keys(root: etree._Element) -> tuple[RequestedKey, ...]:
    found = items(root, "ContentKey")
    elements = [(read_kid(each, "kid"), each) for each in found]
    if not elements:
        raise InvalidMessage("ContentKeyList has no ContentKey, expected one or more")
    kids: set[Kid] = set()
    for kid, _ in elements:
        if kid in kids:
            raise InvalidMessage(f"ContentKeyList has KID {kid.text} twice, expected each once")
        kids.add(kid)
    for name in _WITH_KID:
        for element in items(root, name):
            if (kid := read_kid(element, "kid")) not in kids:
                raise InvalidMessage(f"{name} has KID {kid.text}, expected that of a ContentKey")
    roots = find_roots(elements)
    _refuse_roots(roots, kids)
    slots, tracks = find_slots(root, elements), find_tracks(root)
    return tuple(
        replace(_key(kid, each, slots.get(kid)), track=tracks.get(kid), root=roots.get(kid))
        for kid, each in elements
    )


def _refuse_roots(roots: Mapping[Kid, Kid], kids: AbstractSet[Kid]) -> None:
    for kid, root in roots.items():
        if root not in kids:
            raise InvalidMessage(
                f"dependsOnKey of KID {kid.text} is {root.text}, which is not in the document"
            )
        if root in roots:
            raise InvalidMessage(
                f"dependsOnKey of KID {kid.text} is {root.text}, which depends on a key itself"
            )


def _key(kid: Kid, element: etree._Element, slot: DocumentSlot | None) -> RequestedKey:
    return RequestedKey(
        kid,
        slot,
        _scheme(kid, element.get(_SCHEME, "").strip()),
        _iv(kid, element.get("explicitIV", "").strip()),
        read_plain(kid, element),
        read_encrypted(kid, element),
    )


def _scheme(kid: Kid, text: str) -> str | None:
    scheme = _SCHEMES.get(text.lower())
    if text and scheme is None:
        raise InvalidMessage(
            f"{_SCHEME} of KID {kid.text} is {text[:32]!r}, expected one of {', '.join(SCHEMES)}"
        )
    return scheme


def _iv(kid: Kid, text: str) -> bytes | None:
    iv = decode_base64(text, f"explicitIV of KID {kid.text}") if text else None
    if iv is not None and len(iv) not in _IV_LENGTHS:
        raise InvalidMessage(f"explicitIV of KID {kid.text} has {len(iv)} bytes, expected 8 or 16")
    return iv


def open_request(request: CpixRequest, own: OwnRecipient | None) -> CpixRequest:
    """Return the request with its encrypted keys in the clear; raises InvalidMessage.

    own: the server's key; None to refuse encrypted keys.
    """
    if all(key.encrypted is None for key in request.keys):
        return request
    if own is None:
        raise InvalidMessage(
            "the keys of the document are encrypted, and packaging.recipient_file is not set"
        )
    unwrapped = unwrap(request.deliveries, own)
    return replace(
        request,
        keys=tuple(
            key
            if key.encrypted is None
            else replace(key, key=decrypt(key.kid, key.encrypted, unwrapped), encrypted=None)
            for key in request.keys
        ),
    )


# --- replies --------------------------------------------------------------------------------------


def fill_request(
    request: CpixRequest,
    keys: Sequence[ProtectedKey],
    encryption: tuple[DocumentKeys, Rng] | None = None,
    signer: RsaSigner | None = None,
) -> bytes:
    """Return the document with these keys, in the order of the request's.

    encryption: the keys of an encrypted document, and the source of IVs. signer: for a signed one.
    """
    root = _parse(request.raw)
    for signature in root.findall(f"{{{XMLDSIG}}}Signature"):
        root.remove(signature)
    answers = {asked.kid: key for asked, key in zip(request.keys, keys, strict=True)}
    for element in items(root, "ContentKey"):
        _fill_key(element, answers[read_kid(element, "kid")], encryption)
        _drop_scheme(element, request)
    _fill_systems(root, answers)
    for element in chain.from_iterable(items(root, name) for name in _WITH_KID):
        kid = read_kid(element, "kid")
        # Another spelling of the same KID stays as it is.
        if answers[kid].kid != kid:
            element.set("kid", answers[kid].kid.text)
        if element.get("dependsOnKey") is not None:
            element.set("dependsOnKey", answers[read_kid(element, "dependsOnKey")].kid.text)
    if encryption is not None:
        write_recipients(root, encryption[0])
    if signer is not None:
        sign_document(root, signer)
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")


def _drop_scheme(element: etree._Element, request: CpixRequest) -> None:
    # Older documents have no such attribute.
    if request.version is not None and request.version not in WITH_SCHEME:
        del element.attrib[_SCHEME]


def _fill_key(
    element: etree._Element, key: ProtectedKey, encryption: tuple[DocumentKeys, Rng] | None
) -> None:
    if not element.get(_SCHEME, "").strip():
        element.set(_SCHEME, key.scheme)
    if encryption is None:
        write_plain(element, key.key)
    else:
        write_encrypted(element, key.key, *encryption)


def _fill_systems(root: etree._Element, answers: Mapping[Kid, ProtectedKey]) -> None:
    systems = root.find(f"{CPIX}DRMSystemList")
    if systems is None:
        systems = etree.Element(f"{CPIX}DRMSystemList")
        root.findall(f"{CPIX}ContentKeyList")[0].addnext(systems)
        for kid in answers:
            etree.SubElement(systems, _SYSTEM, kid=kid.text, systemId=str(SYSTEM_ID))
    for system in systems.findall(_SYSTEM):
        if _system_id(system) == SYSTEM_ID:
            fill_system(system, answers[read_kid(system, "kid")])
        else:
            systems.remove(system)


def build_request(content_id: str, keys: Sequence[ProtectedKey], version: str) -> bytes:
    """Return a request document for keys of a program, in the library's form."""
    document = cpix.CPIX(content_id=content_id)
    if version in WITH_SCHEME:
        document.version = version
    for key in keys:
        document.content_keys.append(_requested(key))
        document.drm_systems.append(cpix.DRMSystem(key.uuid, str(SYSTEM_ID)))
        filters = [cpix.KeyPeriodFilter(f"period-{key.period}")] if key.period is not None else []
        if filters or key.track:
            rule = cpix.UsageRule(key.uuid, filters, key.track or None)
            document.usage_rules.append(rule)
    for period in sorted({key.period for key in keys if key.period is not None}):
        document.periods.append(cpix.Period(f"period-{period}", index=period))
    xml: bytes = document.pretty_print(xml_declaration=True)
    return xml


def _requested(key: ProtectedKey) -> Any:  # noqa: ANN401 -- cpix has no types
    return cpix.ContentKey(kid=key.uuid, common_encryption_scheme=key.scheme)
