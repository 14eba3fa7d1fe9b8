"""Challenges, replies and faults, in their envelope or the inner element alone.

envelope    it is SOAP 1.1 or 1.2 with one operation
signed      one element is marked as the signed one
digest      DigestValue is that of the signed element
signature   SignatureValue verifies: in a challenge under the key it names, in a reply under the
            key of the chain's leaf that may sign responses
signer      the key that a challenge names is the signing key of a leaf certificate inside
version     LA's Version is the one for its header's
licences    a reply that holds a persistent licence is signed
"""

from collections.abc import Callable
from typing import Final

from rightsmanager.crypto.p256 import PublicKey
from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection.certificates import leaf_key, parse_chain
from rightsmanager.inspection.checks import (
    attempt,
    compared,
    not_possible,
    unless_refused,
    verified,
)
from rightsmanager.inspection.context import Context
from rightsmanager.inspection.description import Check, Description
from rightsmanager.inspection.elements import describe_message_element, open_encrypted
from rightsmanager.inspection.headers import describe_header
from rightsmanager.inspection.licenses import is_persistent, with_roots
from rightsmanager.protocol.formats.bcert import Chain, KeyUsage
from rightsmanager.protocol.messages.challenge import LICENSE_VERSIONS
from rightsmanager.protocol.wire import HEADER, MESSAGES, PROTOCOLS, decode_base64
from rightsmanager.protocol.xml.envelope import SoapVersion, parse_envelope
from rightsmanager.protocol.xml.xmlsec import Signature, verify_value
from rightsmanager.protocol.xml.xmlview import Xml, parse_signature, verify_digest

SIGNED_ELEMENTS: Final = {
    "AcquireLicense": ("LA", "LicenseResponse"),
    "AcknowledgeLicense": ("LicenseAcknowledgement", "LicenseAcknowledgementResponse"),
    "JoinDomain": ("DomainJoin", "DomainJoinResponse"),
    "LeaveDomain": ("DomainLeave", "DomainLeaveResponse"),
    "GetMeteringCertificate": ("MeteringCertificateRequest", "MeteringCertificateResponse"),
    "ProcessMeteringData": ("MeteringData", "MeteringResponse"),
    "ProcessSecureStopData": ("SecureStopData", "SecureStopResponse"),
    "ProcessDeleteLicenseData": ("DeleteLicenseData", "DeleteLicenseResponse"),
    "AcquirePackagingData": ("AcquirePackagingData", "AcquirePackagingDataResponse"),
}
"""The element of a challenge and of a reply, by operation."""

CHALLENGE: Final = "challenge"
REPLY: Final = "reply"
FAULT: Final = "fault"


def _kinds() -> dict[tuple[str, str], tuple[str, str]]:
    kinds = {(MESSAGES, "Challenge"): ("", CHALLENGE), (MESSAGES, "Response"): ("", REPLY)}
    for operation, (asked, answered) in SIGNED_ELEMENTS.items():
        for name in (operation, asked):
            kinds[PROTOCOLS, name] = (operation, CHALLENGE)
        for name in (f"{operation}Response", answered):
            kinds[PROTOCOLS, name] = (operation, REPLY)
    kinds |= {(version.namespace, "Fault"): ("", FAULT) for version in SoapVersion}
    return kinds


KINDS: Final = _kinds()
"""Operation and direction by namespace and local name."""

_ENVELOPES: Final = {
    version.namespace: f"SOAP {name}"
    for version, name in ((SoapVersion.SOAP11, "1.1"), (SoapVersion.SOAP12, "1.2"))
}


def refuse_root(root: Xml) -> None:
    """Raise InvalidMessage unless an element is the root of a known message."""
    place = (root.namespace, root.name)
    envelope = root.name == "Envelope" and root.namespace in _ENVELOPES
    if not (envelope or place == (HEADER, "WRMHEADER") or place in KINDS):
        raise InvalidMessage(
            f"its root element is {root.name[:64]} in namespace {root.namespace[:64]!r}, "
            "expected a SOAP Envelope, a challenge, a reply or a WRMHEADER"
        )


def describe_xml(text: bytes, context: Context) -> Description:
    """Return the description of a UTF-8 document.

    Raises InvalidMessage unless its root is known.
    """
    root = Xml.parse(text, "it")
    refuse_root(root)
    if root.namespace == HEADER:
        return describe_header(text, context)
    if root.name != "Envelope":
        return _describe_operation(root, text, context, "without its envelope", ())
    envelope, form = attempt("envelope", "it is well-formed", parse_envelope, text)
    operation = root if envelope is None else Xml.operation(envelope)
    # The envelope's parser has its own tree; elements must be looked up in that tree.
    return _describe_operation(operation, text, context, _ENVELOPES[root.namespace], (form,))


def _describe_operation(
    operation: Xml, document: bytes, context: Context, how: str, checks: tuple[Check, ...]
) -> Description:
    name, kind = KINDS.get((operation.namespace, operation.name), ("", "message"))
    if kind == REPLY:
        context = with_roots(_licenses(operation), context)
    shown = _shown(operation)
    return Description(
        f"{name} {kind}".strip(),
        meaning=how,
        children=tuple(describe_message_element(element, context) for element in shown),
        checks=(*checks, *_CHECKS.get(kind, _no_checks)(operation, document, context)),
    )


def _shown(operation: Xml) -> tuple[Xml, ...]:
    """Return the signed element and its signature, or everything if nothing is signed."""
    signed = operation.signed()
    if len(signed) != 1:
        return (operation,)
    signature = signed[0].signature()
    return signed if signature is None else (*signed, signature)


def _no_checks(_operation: Xml, _document: bytes, _context: Context) -> tuple[Check, ...]:
    return ()


# --- what challenges and replies share ------------------------------------------------------------

_SIGNATURE_CHECKS: Final = ("digest", "signature")


def _signed(operation: Xml) -> tuple[Xml | None, Check]:
    """Return the element that is marked as signed; without one, the operation's element."""
    name = "signed"
    found = operation.signed()
    if not found:
        return None, not_possible(name, "no element has the Id SignedData")
    return found[0], compared(
        name,
        holds=len(found) == 1,
        text=f"{found[0].name} is what the signature covers",
        otherwise=f"{len(found)} elements have the Id SignedData, expected one",
    )


def _signature(element: Xml | None) -> tuple[Signature | None, tuple[Check, ...]]:
    """Return the sibling of an element, or None with the checks that are not possible."""
    beside = None if element is None else element.signature()
    if beside is None:
        why = "there is no Signature next to the signed element"
        return None, tuple(not_possible(name, why) for name in _SIGNATURE_CHECKS)
    signature, form = attempt("signature", "", parse_signature, beside)
    return signature, () if signature else (form,)


def _protection(
    operation: Xml, document: bytes, key_of: Callable[[Signature], PublicKey], text: str
) -> tuple[Signature | None, tuple[Check, ...]]:
    element, signed = _signed(operation)
    signature, missing = _signature(element)
    if element is None or signature is None:
        return None, (signed, *missing)
    return signature, (
        signed,
        verified(
            "digest",
            f"DigestValue is the SHA-256 of {element.name}",
            verify_digest,
            element,
            signature,
            document,
        ),
        verified("signature", text, _verify_value, signature, key_of),
    )


def _verify_value(signature: Signature, key_of: Callable[[Signature], PublicKey]) -> None:
    verify_value(signature, key_of(signature))


# --- challenge ------------------------------------------------------------------------------------


def _check_challenge(operation: Xml, document: bytes, context: Context) -> tuple[Check, ...]:
    signature, checks = _protection(
        operation, document, _named_key, "verifies under the key that the challenge names"
    )
    return (
        *checks,
        *_signer_checks(operation, signature, context),
        *_version_checks(operation),
    )


def _named_key(signature: Signature) -> PublicKey:
    if signature.public_key is None:
        raise InvalidMessage("Signature has no KeyInfo, expected the signer's PublicKey")
    return PublicKey(signature.public_key)


def _signer_checks(
    operation: Xml, signature: Signature | None, context: Context
) -> tuple[Check, ...]:
    name = "signer"
    encrypted = operation.find("EncryptedData")
    if encrypted is None or signature is None:
        return ()
    plaintext = open_encrypted(encrypted, context)[0]
    if plaintext is None:
        return (not_possible(name, "EncryptedData did not open"),)
    chains = plaintext.find_all("CertificateChain")
    return (
        compared(
            name,
            holds=signature.public_key in {_signing_key(chain) for chain in chains},
            text="the key is the signing key of a leaf certificate in the challenge",
            otherwise="the key is not the signing key of a leaf certificate in the challenge",
        ),
    )


def _signing_key(element: Xml) -> bytes | str:
    """Return a leaf's signing key, or a text that equals no key."""
    key = unless_refused(lambda: leaf_key(_chain_in(element), KeyUsage.SIGN))
    return "none" if key is None else key.raw


def _chain_in(element: Xml) -> Chain | None:
    return parse_chain(decode_base64(element.text, element.name))


def _version_checks(operation: Xml) -> tuple[Check, ...]:
    element, header = operation.find("LA"), operation.find("WRMHEADER")
    version = None if element is None else element.find("Version")
    if header is None or version is None:
        return ()
    header_version = dict(header.attributes).get("version", "")
    expected = LICENSE_VERSIONS.get(header_version)
    if expected is None:
        return (not_possible("version", "the header's version is not known"),)
    return (
        compared(
            "version",
            holds=version.text.strip() == str(expected),
            text=f"{expected} is the one for header {header_version}",
            otherwise=f"{version.text.strip()[:32]!r}, expected {expected} for header "
            f"{header_version}",
        ),
    )


# --- reply ----------------------------------------------------------------------------------------


def _check_reply(operation: Xml, document: bytes, _context: Context) -> tuple[Check, ...]:
    chain = operation.find("SigningCertificateChain")
    signature, checks = _protection(
        operation,
        document,
        lambda _: _response_key(chain),
        "verifies under the key of the leaf certificate that may sign responses",
    )
    return (*checks, *_persistence_checks(operation, signature))


def _response_key(element: Xml | None) -> PublicKey:
    if element is None:
        raise InvalidMessage("the signed reply has no SigningCertificateChain")
    return leaf_key(_chain_in(element), KeyUsage.SIGN_RESPONSE)


def _persistence_checks(operation: Xml, signature: Signature | None) -> tuple[Check, ...]:
    licenses = _licenses(operation)
    if signature is not None or not licenses:
        return ()
    return (
        compared(
            "licences",
            holds=not any(map(is_persistent, licenses)),
            text="the reply is not signed and holds no persistent licence",
            otherwise="the reply is not signed and holds a persistent licence",
        ),
    )


def _licenses(operation: Xml) -> tuple[bytes, ...]:
    found = (
        unless_refused(decode_base64, each.text, "License")
        for each in operation.find_all("License")
        if not each.children
    )
    return tuple(data for data in found if data)


_CHECKS: Final[dict[str, Callable[[Xml, bytes, Context], tuple[Check, ...]]]] = {
    CHALLENGE: _check_challenge,
    REPLY: _check_reply,
}
"""A fault's only check is made where its status code is shown."""
