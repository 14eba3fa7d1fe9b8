"""The elements of messages with their own descriptions: a table by local name.

EncryptedData is decrypted if a server key is given, and its content is shown in its place.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.errors import InvalidMessage, StatusCode
from rightsmanager.inspection.certificates import describe_chain
from rightsmanager.inspection.checks import attempt, compared, not_possible, unless_refused
from rightsmanager.inspection.context import Context
from rightsmanager.inspection.description import Check, Description
from rightsmanager.inspection.headers import describe_header, describe_object
from rightsmanager.inspection.licenses import describe_license
from rightsmanager.inspection.values import date, guid, public_key
from rightsmanager.inspection.xmltree import PLAIN, Readers, attributes_of, describe_element
from rightsmanager.policy.masking import mask_custom_data
from rightsmanager.protocol.messages.domain import DOMAIN_KEY_LENGTH, unwrap_domain_key
from rightsmanager.protocol.wire import Guid, decode_base64, fingerprint
from rightsmanager.protocol.xml.xmlsec import Encrypted, decrypt
from rightsmanager.protocol.xml.xmlview import Xml, parse_encrypted

_POINT_LENGTH: Final = 64
_DIGITS: Final = 20
"""The digits of the largest number of 64 bits."""


def describe_message_element(element: Xml, context: Context) -> Description:
    """Return the description of an element and its parts."""
    return describe_element(element, Readers(_NAMES, lambda each: _known(each, context)))


def _known(element: Xml, context: Context) -> Description | None:
    name = element.name
    whole = _WHOLE.get(name)
    if whole is not None:
        return whole(element, context)
    read = _TEXTS.get(name)
    # Most elements have no reader: a report has 100,000 of them.
    if read is None or element.children:
        return None
    text = element.text.strip()
    if not text:
        return None
    found, check = attempt("form", "", read, name, text, context)
    described = found or Description(name, text, checks=(check,))
    return replace(described, children=(*attributes_of(element), *described.children))


# --- elements with children -----------------------------------------------------------


def _header(element: Xml, context: Context) -> Description:
    canonical, check = attempt("form", "", element.canonical)
    if canonical is None:
        return Description(element.name, checks=(check,))
    return describe_header(canonical, context, as_written=False)


def open_encrypted(element: Xml, context: Context) -> tuple[Xml | None, Check]:
    """Return the root of the plaintext, or None, and the check with the reason."""
    name = "decryption"
    encrypted, form = attempt(name, "", parse_encrypted, element)
    if encrypted is None:
        return None, form
    if not context.server_keys:
        return None, not_possible(name, f"no server key is given; it is for {encrypted.key_name}")
    return _open_with_any(encrypted, context)


def _open_with_any(encrypted: Encrypted, context: Context) -> tuple[Xml | None, Check]:
    found: tuple[Xml | None, Check] | None = None
    for key in context.server_keys:
        found = attempt(
            "decryption",
            f"opens with the key {fingerprint(key.public.raw)}, whose IV is the ciphertext's",
            _open,
            encrypted,
            key,
            context,
        )
        if found[0] is not None:
            return found
    return found or (None, not_possible("decryption", "no server key is given"))


def _open(encrypted: Encrypted, key: PrivateKey, context: Context) -> Xml:
    return Xml.parse(decrypt(encrypted, (key,), context.backend), "the plaintext")


def _encrypted(element: Xml, context: Context) -> Description:
    parsed = unless_refused(parse_encrypted, element)
    if parsed is None:
        return describe_element(element, PLAIN)
    plaintext, check = open_encrypted(element, context)
    inside = () if plaintext is None else (describe_message_element(plaintext, context),)
    return Description(
        element.name,
        children=(
            Description("KeyName", parsed.key_name),
            Description("encrypted key", f"{len(parsed.wrapped_key)} bytes", "EC ElGamal"),
            Description(
                "ciphertext", f"{len(parsed.ciphertext)} bytes", "AES-128-CBC, the IV before it"
            ),
            *inside,
        ),
        checks=(check,),
    )


_WHOLE: Final[dict[str, Callable[[Xml, Context], Description]]] = {
    "WRMHEADER": _header,
    "EncryptedData": _encrypted,
}


# --- elements by their text -----------------------------------------------------------------------


def _guid(name: str, text: str, _: Context) -> Description:
    return guid(name, Guid.parse(text))


def _date(name: str, text: str, _: Context) -> Description:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise InvalidMessage(f"{name} is not a decimal number of seconds")
    return date(name, int(text))


def _chain(name: str, text: str, context: Context) -> Description:
    return describe_chain(decode_base64(text, name), context, name)


def _license(name: str, text: str, context: Context) -> Description:
    return describe_license(decode_base64(text, name), context, name)


def _point(name: str, text: str, _: Context) -> Description:
    return public_key(name, decode_base64(text, name, _POINT_LENGTH))


def _content_key(name: str, text: str, context: Context) -> Description:
    return Description(name, text if context.show_keys else "not shown", "a content key")


def _domain_key(name: str, text: str, context: Context) -> Description:
    data = decode_base64(text, name, DOMAIN_KEY_LENGTH)
    if not context.device_keys:
        check = not_possible("domain key", "no device is given")
        return Description(name, text, f"{len(data)} bytes", checks=(check,))
    key, check = attempt(
        "domain key",
        "opens with the device's key",
        unwrap_domain_key,
        data,
        context.device_keys[0],
        context.backend,
    )
    inside = () if key is None else (public_key("of the public key", key.public.raw),)
    return Description(name, text, f"{len(data)} bytes", inside, (check,))


def _custom_data(name: str, text: str, context: Context) -> Description:
    # This may contain the test server's parameters, including content keys.
    shown = text if context.show_keys else mask_custom_data(text)
    return Description(name, shown)


def _packaging_data(name: str, text: str, context: Context) -> Description:
    return describe_object(decode_base64(text, name), context, name)


def _status_code(name: str, text: str, _: Context) -> Description:
    try:
        code = StatusCode(int(text, 16))
    except ValueError:
        code = None
    meaning = None if code is None else code.name.lower().replace("_", " ")
    check = compared(
        "status code",
        holds=code is not None,
        text="it is a published code",
        otherwise="it is not a published code",
    )
    return Description(name, text, meaning, checks=(check,))


_TEXTS: Final[dict[str, Callable[[str, str, Context], Description]]] = {
    "License": _license,
    **dict.fromkeys(
        ("CertificateChain", "SigningCertificateChain", "DomainCertificate", "MeteringCertificate"),
        _chain,
    ),
    **dict.fromkeys(
        (
            "KID",
            "KeyId",
            "ListID",
            "MeteringID",
            "AccountID",
            "DomainServiceID",
            "SessionID",
            "SecureStop2VerifiedSession",
            "TransactionID",
        ),
        _guid,
    ),
    **dict.fromkeys(("ClientTime", "StartTime", "UpdateTime"), _date),
    "PublicKey": _point,
    "DomainKey": _domain_key,
    "CustomData": _custom_data,
    "KeyData": _content_key,
    "Data": _packaging_data,
    "StatusCode": _status_code,
}
_NAMES: Final = frozenset((*_WHOLE, *_TEXTS))
"""The reader of an element's text; it raises InvalidMessage."""
