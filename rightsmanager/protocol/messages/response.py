"""Replies: sealed by the server, opened by the client.

    AcquireLicenseResponse[P]/AcquireLicenseResult/Response[M]
      LicenseResponse[P Id="SignedData"]
        Version
        Licenses/License                              base64 XMR, one or more
        RevInfo/Revocation/{ListID,ListData}          lists that are newer than the client's
        Acknowledgement/TransactionID                 requests an acknowledgement
        LicenseNonce                                  when a licence is persistent
        ResponseID                                    base64, 32 bytes
        CustomData                                    optional
        SigningCertificateChain                       base64 BCert chain; in signed replies
      Signature[D]                                    SignedInfo, SignatureValue; in signed replies

Elements have no prefixes and explicit end tags: the text as written is also its canonical form.
It is serialised once and then only spliced.

A fault is HTTP 500 with Fault/detail/Exception/{StatusCode,CustomData,RedirectUrl},
and DomainServiceID, AccountID, FriendlyName and DomainURL in a fault about a domain.

Source: published samples of messages.
"""

from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from rightsmanager.crypto import p256
from rightsmanager.errors import DomainFacts, InvalidMessage
from rightsmanager.protocol.messages.challenge import build_custom_data
from rightsmanager.protocol.wire import (
    MESSAGES,
    PROTOCOLS,
    XMLDSIG,
    Guid,
    TransactionId,
    decode_base64,
    encode_base64,
)
from rightsmanager.protocol.xml import xmlsec
from rightsmanager.protocol.xml.elements import (
    child,
    number_of,
    optional_child,
    optional_text,
    plain_text,
    text_of,
)
from rightsmanager.protocol.xml.envelope import Envelope, SoapVersion

RESPONSE_VERSION: Final = 1
RESPONSE_ID_LENGTH: Final = 32
_NO_LICENSES: Final = "<Licenses></Licenses>"


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A revocation list in a reply."""

    list_id: Guid
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LicenseResponse:
    """The reply to AcquireLicense."""

    licenses: tuple[bytes, ...] = field(repr=False)
    """XMR licences."""
    response_id: bytes
    """32 bytes."""
    revocation_lists: tuple[RevocationList, ...] = ()
    transaction_id: TransactionId | None = None
    nonce: bytes | None = None
    """16 bytes; None if no licence is persistent."""
    custom_data: str | None = None
    signing_chain: bytes | None = field(default=None, repr=False)
    """BCert chain; None in an unsigned reply."""
    version: int = RESPONSE_VERSION


@dataclass(frozen=True, slots=True)
class OpenedResponse:
    """A reply to AcquireLicense, its signature not yet verified."""

    response: LicenseResponse
    signature: xmlsec.Signature | None
    element: etree._Element = field(repr=False)
    """LicenseResponse; only `rightsmanager.protocol` reads it."""
    envelope: Envelope = field(repr=False)

    def verify(self, key: p256.PublicKey) -> None:
        """Verify the key's signature over LicenseResponse; raises InvalidMessage."""
        if self.signature is None:
            raise InvalidMessage("the reply has no Signature")
        xmlsec.verify(self.element, self.signature, key, self.envelope.text)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault."""

    status: int
    """The status code; 0 in a fault without one."""
    text: str
    custom_data: str | None
    redirect_url: str | None
    domain: DomainFacts | None = None
    """The domain of a fault about one."""


# --- seal: the server's side --------------------------------------------------------------------


def seal_license_response(response: LicenseResponse, key: p256.PrivateKey | None) -> bytes:
    """Return the Body's child: the reply, signed if there is a `key`."""
    licenses = "</License><License>".join(map(encode_base64, response.licenses))
    optional = ""
    if response.revocation_lists:
        optional += _build_revocation_lists(response.revocation_lists)
    if response.transaction_id is not None:
        optional += _build_acknowledgement(response.transaction_id)
    if response.nonce is not None:
        optional += f"<LicenseNonce>{encode_base64(response.nonce)}</LicenseNonce>"
    element = "".join(
        (
            f'<LicenseResponse xmlns="{PROTOCOLS}" Id="{xmlsec.SIGNED_ID}">',
            f"<Version>{response.version}</Version>",
            f"<Licenses><License>{licenses}</License></Licenses>"
            if response.licenses
            else _NO_LICENSES,
            optional,
            f"<ResponseID>{encode_base64(response.response_id)}</ResponseID>",
            build_custom_data(response.custom_data),
            _build_chain(response.signing_chain),
            "</LicenseResponse>",
        )
    ).encode()
    return sign_response("AcquireLicense", element, key)


def sign_response(operation: str, element: bytes, key: p256.PrivateKey | None) -> bytes:
    """Return the Body's child around a reply's serialised element, signed if there is a `key`."""
    signature = (
        b""
        if key is None
        else xmlsec.build_signature(xmlsec.sign(element, key, name_key=False)).encode()
    )
    return (
        f'<{operation}Response xmlns="{PROTOCOLS}"><{operation}Result>'
        f'<Response xmlns="{MESSAGES}">'.encode()
        + element
        + signature
        + f"</Response></{operation}Result></{operation}Response>".encode()
    )


def _build_chain(chain: bytes | None) -> str:
    if chain is None:
        return ""
    return f"<SigningCertificateChain>{encode_base64(chain)}</SigningCertificateChain>"


def _build_revocation_lists(lists: tuple[RevocationList, ...]) -> str:
    elements = "".join(
        f"<Revocation><ListID>{entry.list_id.base64}</ListID>"
        f"<ListData>{encode_base64(entry.data)}</ListData></Revocation>"
        for entry in lists
    )
    return f"<RevInfo>{elements}</RevInfo>"


def _build_acknowledgement(transaction_id: TransactionId) -> str:
    return (
        f"<Acknowledgement><TransactionID>{transaction_id.text}</TransactionID></Acknowledgement>"
    )


# --- open: the client's side --------------------------------------------------------------------


def open_license_response(envelope: Envelope) -> OpenedResponse:
    """Return a reply to AcquireLicense, its signature not yet verified.

    Raises InvalidMessage.
    """
    wrapper = response_wrapper(envelope, "AcquireLicense")
    element = child(wrapper, PROTOCOLS, "LicenseResponse")
    chain = optional_text(element, PROTOCOLS, "SigningCertificateChain")
    nonce = optional_text(element, PROTOCOLS, "LicenseNonce")
    response = LicenseResponse(
        version=number_of(element, PROTOCOLS, "Version"),
        licenses=_licenses(element),
        revocation_lists=_revocation_lists(element),
        transaction_id=_transaction_id(element),
        nonce=None if nonce is None else decode_base64(nonce, "LicenseNonce", 16),
        response_id=decode_base64(
            text_of(element, PROTOCOLS, "ResponseID"), "ResponseID", RESPONSE_ID_LENGTH
        ),
        custom_data=optional_text(element, PROTOCOLS, "CustomData"),
        signing_chain=None if chain is None else decode_base64(chain, "SigningCertificateChain"),
    )
    signature = optional_child(wrapper, XMLDSIG, "Signature")
    return OpenedResponse(
        response=response,
        signature=None if signature is None else xmlsec.parse_signature(signature),
        element=element,
        envelope=envelope,
    )


def response_wrapper(envelope: Envelope, operation: str) -> etree._Element:
    """Return the Response element of an operation's reply; raises InvalidMessage."""
    if (envelope.namespace, envelope.operation) != (PROTOCOLS, f"{operation}Response"):
        raise InvalidMessage(f"the Body holds {envelope.operation!r}, expected {operation}Response")
    result = child(envelope.element, PROTOCOLS, f"{operation}Result")
    return child(result, MESSAGES, "Response")


def _licenses(element: etree._Element) -> tuple[bytes, ...]:
    licenses = child(element, PROTOCOLS, "Licenses").findall(f"{{{PROTOCOLS}}}License")
    return tuple(decode_base64(plain_text(text), "License") for text in licenses)


def _revocation_lists(element: etree._Element) -> tuple[RevocationList, ...]:
    info = optional_child(element, PROTOCOLS, "RevInfo")
    if info is None:
        return ()
    return tuple(
        RevocationList(
            list_id=Guid.from_base64(text_of(entry, PROTOCOLS, "ListID")),
            data=decode_base64(text_of(entry, PROTOCOLS, "ListData"), "ListData"),
        )
        for entry in info.findall(f"{{{PROTOCOLS}}}Revocation")
    )


def _transaction_id(element: etree._Element) -> TransactionId | None:
    acknowledgement = optional_child(element, PROTOCOLS, "Acknowledgement")
    if acknowledgement is None:
        return None
    return TransactionId.from_text(text_of(acknowledgement, PROTOCOLS, "TransactionID"))


def parse_fault(envelope: Envelope) -> Fault | None:
    """Return the fault in an envelope, None for another element."""
    if envelope.operation != "Fault" or envelope.namespace != envelope.version.namespace:
        return None
    text, detail = _FAULT_READERS[envelope.version](envelope.element)
    exception = None if detail is None else detail.find("{*}Exception")

    def fact(name: str) -> str | None:
        return None if exception is None else exception.findtext(f"{{*}}{name}")

    status = fact("StatusCode") or "0"
    try:
        code = int(status, 16)
    except ValueError:
        raise InvalidMessage(f"StatusCode is {status[:32]!r}, expected 0x8004c…") from None
    domain = DomainFacts(*map(fact, _DOMAIN_FACTS))
    return Fault(
        code,
        text or "",
        fact("CustomData"),
        fact("RedirectUrl"),
        None if domain == DomainFacts() else domain,
    )


def _soap11_fault(fault: etree._Element) -> tuple[str | None, etree._Element | None]:
    return fault.findtext("faultstring"), fault.find("detail")


def _soap12_fault(fault: etree._Element) -> tuple[str | None, etree._Element | None]:
    namespace = f"{{{SoapVersion.SOAP12.namespace}}}"
    reason = fault.findtext(f"{namespace}Reason/{namespace}Text")
    return reason, fault.find(f"{namespace}Detail")


_DOMAIN_FACTS: Final = ("DomainServiceID", "AccountID", "FriendlyName", "DomainURL")
_FAULT_READERS: Final = {
    SoapVersion.SOAP11: _soap11_fault,
    SoapVersion.SOAP12: _soap12_fault,
}
