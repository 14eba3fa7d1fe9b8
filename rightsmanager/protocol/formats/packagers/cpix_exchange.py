"""CPIX documents as requests for keys: a client sends one without keys, and gets it filled in.

    CPIX[@contentId @version]              SPEKE 1.0 has @id in place of @contentId
      DeliveryDataList/DeliveryData        a recipient; then all keys are encrypted
        DeliveryKey/X509Data/X509Certificate
        DocumentKey, MACMethod             filled in; a request may have none
      ContentKeyList/ContentKey[@kid @commonEncryptionScheme @explicitIV @dependsOnKey]
        Data/pskc:Secret                   filled in
      DRMSystemList/DRMSystem[@kid @systemId]   filled in: see `cpix_signaling`
      ContentKeyPeriodList, ContentKeyUsageRuleList   as in `keylists.document`

Systems other than PlayReady are left out of the reply, as are the request's signatures, which are
verified: see `cpix_signatures`.

    document key   32 bytes, RSA-OAEP to each recipient; likewise a MAC key of 64 bytes
    content key    AES-256-CBC under the document key, IV(16) first, padded
    ValueMAC       HMAC-SHA-512 of that under the MAC key

Source: DASH-IF Implementation Guidelines, CPIX 2.1 to 2.4; the AWS documents of SPEKE 1.0 and 2.0.
"""

import hmac
import uuid
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final

from lxml import etree

from rightsmanager.crypto import aes
from rightsmanager.crypto.random import Rng
from rightsmanager.crypto.recipients import OwnRecipient, Recipient, parse_recipient
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
from rightsmanager.protocol.formats.packagers.cpix_schema import refuse_invalid
from rightsmanager.protocol.formats.packagers.cpix_signaling import CPIX, fill_system, sort_system
from rightsmanager.protocol.formats.packagers.cpix_signatures import (
    sign_document,
    verify_document,
)
from rightsmanager.protocol.formats.packagers.protected_key import ProtectedKey
from rightsmanager.protocol.formats.pssh import SYSTEM_ID
from rightsmanager.protocol.wire import (
    CONTENT_KEY_LENGTH,
    XMLDSIG,
    XMLENC,
    Kid,
    decode_base64,
    encode_base64,
)
from rightsmanager.protocol.xml.parsing import parse_xml

VERSIONS: Final = ("2.1", "2.2", "2.3", "2.4")
WITH_SCHEME: Final = ("2.3", "2.4")
"""The versions whose documents name the scheme and their own version."""
MAX_RECIPIENTS: Final = 16

_PSKC: Final = "{urn:ietf:params:xml:ns:keyprov:pskc}"
_ENC: Final = f"{{{XMLENC}}}"
_OAEP: Final = f"{XMLENC}rsa-oaep-mgf1p"
_SYSTEM: Final = f"{CPIX}DRMSystem"
_WITH_KID: Final = ("ContentKey", "DRMSystem", "ContentKeyUsageRule")
"""The elements that name a KID."""
_SCHEME: Final = "commonEncryptionScheme"
_HLS_SCHEMES: Final = {"sample-aes": "cbcs", "sample-aes-cenc": "cenc", "sample-aes-ctr": "cenc"}
_SCHEMES: Final = {scheme: scheme for scheme in SCHEMES} | _HLS_SCHEMES
_DOCUMENT_KEY_LENGTH: Final = 32
_MAC_KEY_LENGTH: Final = 64
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
    encrypted: tuple[bytes, bytes] | None = None
    """The same as ciphertext and ValueMAC; see `open_request`."""
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
    deliveries: tuple[tuple[bytes, bytes], ...] = ()
    """The wrapped document key and MAC key of each recipient that has them."""
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
        _recipients(root),
        _deliveries(root),
        signers,
    )


def _parse(data: bytes) -> etree._Element:
    root = parse_xml(data, "the CPIX document")
    etree.strip_tags(root, etree.Comment, etree.ProcessingInstruction)
    if root.tag != f"{CPIX}CPIX":
        raise InvalidMessage(f"the root element is {str(root.tag)[:64]}, expected {CPIX}CPIX")
    for system in _items(root, "DRMSystem"):
        sort_system(system)
    deliveries = list(_items(root, "DeliveryData"))
    for delivery in deliveries:
        _add_document_key(delivery)
    # The ids of SPEKE may be no XML names, such as those that begin with a digit.
    ids = [(each, each.attrib.pop("id", None)) for each in (root, *deliveries)]
    refuse_invalid(root)
    for element, name in ids:
        if name is not None:
            element.set("id", name)
    return root


def _items(root: etree._Element, name: str) -> Iterator[etree._Element]:
    """Return the elements of a list, and none of that name elsewhere.

    The schema allows any element within some of XML Signature.
    """
    return root.iterfind(f"{CPIX}{name}List/{CPIX}{name}")


def _add_document_key(delivery: etree._Element) -> None:
    # The schema requires a DocumentKey; the published requests of SPEKE have none.
    recipient = delivery.find(f"{CPIX}DeliveryKey")
    if recipient is not None and delivery.find(f"{CPIX}DocumentKey") is None:
        recipient.addnext(etree.Element(f"{CPIX}DocumentKey"))


def _refuse_version(version: str | None) -> None:
    if version is not None and version not in VERSIONS:
        raise InvalidMessage(f"CPIX @version is {version[:32]!r}, expected {', '.join(VERSIONS)}")


def _refuse_systems(root: etree._Element) -> None:
    for system in _items(root, "DRMSystem"):
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
    found = _items(root, "ContentKey")
    elements = [(read_kid(each, "kid"), each) for each in found]
    if not elements:
        raise InvalidMessage("ContentKeyList has no ContentKey, expected one or more")
    kids: set[Kid] = set()
    for kid, _ in elements:
        if kid in kids:
            raise InvalidMessage(f"ContentKeyList has KID {kid.text} twice, expected each once")
        kids.add(kid)
    for name in _WITH_KID:
        for element in _items(root, name):
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
    plain = element.findtext(f".//{_PSKC}PlainValue") or ""
    name = f"PlainValue of KID {kid.text}"
    return RequestedKey(
        kid,
        slot,
        _scheme(kid, element.get(_SCHEME, "").strip()),
        _iv(kid, element.get("explicitIV", "").strip()),
        decode_base64(plain, name, CONTENT_KEY_LENGTH) if plain.strip() else None,
        _encrypted(kid, element),
    )


def _encrypted(kid: Kid, element: etree._Element) -> tuple[bytes, bytes] | None:
    value = element.find(f".//{_PSKC}EncryptedValue")
    if value is None:
        return None
    ciphertext = _ciphertext(value, f"{XMLENC}aes256-cbc", f"EncryptedValue of KID {kid.text}")
    mac = element.findtext(f".//{_PSKC}ValueMAC") or ""
    return ciphertext, decode_base64(mac.strip(), f"ValueMAC of KID {kid.text}")


def _ciphertext(parent: etree._Element, algorithm: str, name: str) -> bytes:
    """Return the CipherValue of an element with this EncryptionMethod."""
    method = parent.find(f".//{_ENC}EncryptionMethod")
    given = "" if method is None else method.get("Algorithm", "")
    if given != algorithm:
        raise InvalidMessage(f"the algorithm of {name} is {given[:100]!r}, expected {algorithm}")
    value = parent.findtext(f".//{_ENC}CipherValue") or ""
    return decode_base64("".join(value.split()), name)


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


def _recipients(root: etree._Element) -> tuple[bytes, ...]:
    found = list(_items(root, "DeliveryData"))
    if len(found) > MAX_RECIPIENTS:
        raise InvalidMessage(f"{len(found)} recipients, expected at most {MAX_RECIPIENTS}")
    return tuple(
        decode_base64(
            "".join((each.findtext(f".//{{{XMLDSIG}}}X509Certificate") or "").split()),
            "X509Certificate of a recipient",
        )
        for each in found
    )


def _deliveries(root: etree._Element) -> tuple[tuple[bytes, bytes], ...]:
    found = _items(root, "DeliveryData")
    pairs = [[each.find(CPIX + name) for name in ("DocumentKey", "MACMethod")] for each in found]
    return tuple(
        (_ciphertext(key, _OAEP, "DocumentKey"), _ciphertext(mac, _OAEP, "MACMethod"))
        for key, mac in pairs
        if key is not None and mac is not None and len(key) > 0
    )


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
    document_key, mac_key = _unwrap(request, own)
    keys = tuple(_open(key, document_key, mac_key) for key in request.keys)
    return replace(request, keys=keys)


def _unwrap(request: CpixRequest, own: OwnRecipient) -> tuple[bytes, bytes]:
    for document_key, mac_key in request.deliveries:
        try:
            opened = own.unwrap(document_key), own.unwrap(mac_key)
        except InvalidMessage:
            continue
        if len(opened[0]) == _DOCUMENT_KEY_LENGTH:
            return opened
    raise InvalidMessage("no DeliveryData has a document key for packaging.recipient_file")


def _open(key: RequestedKey, document_key: bytes, mac_key: bytes) -> RequestedKey:
    if key.encrypted is None:
        return key
    ciphertext, mac = key.encrypted
    if not hmac.compare_digest(hmac.digest(mac_key, ciphertext, "sha512"), mac):
        raise InvalidMessage(f"ValueMAC of KID {key.kid.text} is wrong")
    content_key = aes.cbc_decrypt(document_key, ciphertext[: aes.BLOCK], ciphertext[aes.BLOCK :])
    if len(content_key) != CONTENT_KEY_LENGTH:
        raise InvalidMessage(
            f"the key of KID {key.kid.text} has {len(content_key)} bytes, "
            f"expected {CONTENT_KEY_LENGTH}"
        )
    return replace(key, key=content_key, encrypted=None)


# --- replies --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DocumentKeys:
    """The keys of an encrypted document, and its recipients."""

    recipients: tuple[Recipient, ...]
    document_key: bytes = field(repr=False)
    mac_key: bytes = field(repr=False)


def draw_document_keys(request: CpixRequest, now: int, rng: Rng) -> DocumentKeys | None:
    """Return the keys of the reply, None for one in the clear.

    Raises InvalidMessage for a certificate that cannot be a recipient's at `now`.
    """
    if not request.recipients:
        return None
    recipients = tuple(parse_recipient(each, now) for each in request.recipients)
    return DocumentKeys(recipients, rng(_DOCUMENT_KEY_LENGTH), rng(_MAC_KEY_LENGTH))


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
    for element in _items(root, "ContentKey"):
        _fill_key(element, answers[read_kid(element, "kid")], encryption)
        _drop_scheme(element, request)
    _fill_systems(root, answers)
    for element in chain.from_iterable(_items(root, name) for name in _WITH_KID):
        kid = read_kid(element, "kid")
        # Another spelling of the same KID stays as it is.
        if answers[kid].kid != kid:
            element.set("kid", answers[kid].kid.text)
        if element.get("dependsOnKey") is not None:
            element.set("dependsOnKey", answers[read_kid(element, "dependsOnKey")].kid.text)
    if encryption is not None:
        _fill_recipients(root, encryption[0])
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
    secret = _secret(element)
    if encryption is None:
        etree.SubElement(secret, f"{_PSKC}PlainValue").text = encode_base64(key.key)
        return
    keys, rng = encryption
    iv = rng(aes.BLOCK)
    ciphertext = iv + aes.cbc_encrypt(keys.document_key, iv, key.key)
    _add_encrypted(secret, f"{_PSKC}EncryptedValue", f"{XMLENC}aes256-cbc", ciphertext)
    mac = hmac.digest(keys.mac_key, ciphertext, "sha512")
    etree.SubElement(secret, f"{_PSKC}ValueMAC").text = encode_base64(mac)


def _secret(element: etree._Element) -> etree._Element:
    """Return a new Secret in the Data of a ContentKey or a DocumentKey."""
    for data in element.findall(f"{CPIX}Data"):
        element.remove(data)
    data = etree.SubElement(element, f"{CPIX}Data")
    return etree.SubElement(data, f"{_PSKC}Secret")


def _add_encrypted(parent: etree._Element, tag: str, algorithm: str, value: bytes) -> None:
    encrypted = etree.SubElement(parent, tag)
    etree.SubElement(encrypted, f"{_ENC}EncryptionMethod", Algorithm=algorithm)
    data = etree.SubElement(encrypted, f"{_ENC}CipherData")
    etree.SubElement(data, f"{_ENC}CipherValue").text = encode_base64(value)


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


def _fill_recipients(root: etree._Element, keys: DocumentKeys) -> None:
    for delivery, recipient in zip(_items(root, "DeliveryData"), keys.recipients, strict=True):
        (document_key,) = delivery.findall(f"{CPIX}DocumentKey")
        secret = _secret(document_key)
        document_key.set("Algorithm", f"{XMLENC}aes256-cbc")
        wrapped = recipient.wrap(keys.document_key)
        _add_encrypted(secret, f"{_PSKC}EncryptedValue", _OAEP, wrapped)
        for method in delivery.findall(f"{CPIX}MACMethod"):
            delivery.remove(method)
        method = etree.Element(
            f"{CPIX}MACMethod", Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-sha512"
        )
        document_key.addnext(method)
        _add_encrypted(method, f"{CPIX}Key", _OAEP, recipient.wrap(keys.mac_key))


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
