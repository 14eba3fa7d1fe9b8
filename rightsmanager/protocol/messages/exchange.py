"""Challenges and replies of all operations but AcquireLicense: E with its Data, and R.

    E[P Id="SignedData" xml:space="preserve"]    Version (1), the operation's own elements,
                                                 CLIENTINFO/CLIENTVERSION, CustomData, ClientTime
                                                 (each optional), EncryptedData[X]
    Data, the plaintext of EncryptedData         CertificateChains/CertificateChain, the operation's
                                                 own elements
    R[P Id="SignedData"]                         Version (1), the operation's own elements,
                                                 CustomData (optional), SigningCertificateChain
                                                 (in signed replies)

Wrappers, encryption and signature are those of AcquireLicense. The elements and their order are a
profile of this project.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape

from lxml import etree

from rightsmanager.crypto import p256
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import Chain
from rightsmanager.protocol.messages.challenge import (
    SERVER_KEY_NAME,
    KeysByName,
    build_chains,
    build_custom_data,
    decrypt_challenge,
    find_signer,
    parse_chains,
    served_version,
    sign_challenge,
)
from rightsmanager.protocol.messages.response import response_wrapper, sign_response
from rightsmanager.protocol.wire import PROTOCOLS, XMLDSIG, decode_base64, encode_base64
from rightsmanager.protocol.xml import xmlsec
from rightsmanager.protocol.xml.elements import Fields, child, text_of
from rightsmanager.protocol.xml.envelope import Envelope
from rightsmanager.protocol.xml.parsing import RECORDS, parse_xml

VERSION: Final = 1
_SERVED: Final = frozenset({VERSION})


@dataclass(frozen=True, slots=True)
class MessageNames:
    """The name of an operation and of the elements E and R of its messages."""

    operation: str
    challenge: str
    """E."""
    reply: str
    """R."""


# --- the challenge ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenedChallenge:
    """A challenge with a verified signature, the operation's own elements still as XML."""

    fields: Fields = field(repr=False)
    """The children of E."""
    data: etree._Element = field(repr=False)
    """Data; only `rightsmanager.protocol` reads it."""
    chains: tuple[Chain, ...]
    signer: Chain
    """The chain of the device that signed the challenge."""
    digest: bytes
    """SHA-256 of E as it was signed, 32 bytes."""
    key_name: str
    """The name of the key that the challenge was encrypted to."""


@dataclass(frozen=True, slots=True)
class ClientStatement:
    """The optional elements by which a client describes itself in E."""

    client_version: str
    """Empty without the element."""
    client_time: int
    """The client's clock in Unix seconds; 0 without the element."""
    custom_data: str | None


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """The parts of a challenge that do not depend on the operation."""

    chains: tuple[bytes, ...] = field(repr=False)
    """BCert chains, the device's first."""
    client_time: int
    """Unix seconds."""
    client_version: str
    custom_data: str | None = None


@dataclass(frozen=True, slots=True)
class ChallengeKeys:
    """The keys to sign and encrypt a challenge with, and the means to do it."""

    signing_key: p256.PrivateKey = field(repr=False)
    server_key: p256.PublicKey
    backend: p256.Backend
    rng: Rng
    key_name: str = SERVER_KEY_NAME


def open_challenge(
    envelope: Envelope,
    form: MessageNames,
    keys: KeysByName,
    backend: p256.Backend,
    parse_chain: Callable[[bytes], Chain],
) -> OpenedChallenge:
    """Return the challenge in an operation's element, its signature verified.

    Raises InvalidMessage, and ProtocolVersionMismatch for another Version than 1.
    """
    decrypted = decrypt_challenge(envelope, form.challenge, keys, backend)
    fields = Fields(decrypted.element, PROTOCOLS)
    served_version(fields.number("Version"), form.challenge, _SERVED)
    data = parse_xml(decrypted.plaintext, "the plaintext of EncryptedData", RECORDS)
    chains = parse_chains(data, parse_chain)
    return OpenedChallenge(
        fields=fields,
        data=data,
        chains=chains,
        signer=find_signer(chains, decrypted.signature),
        digest=decrypted.signature.digest,
        key_name=decrypted.key_name,
    )


def read_client(elements: Fields) -> ClientStatement:
    """Return the client's description of itself in E; raises InvalidMessage."""
    info = elements.optional("CLIENTINFO")
    has_time = elements.optional("ClientTime") is not None
    return ClientStatement(
        client_version="" if info is None else text_of(info, PROTOCOLS, "CLIENTVERSION"),
        client_time=elements.number("ClientTime") if has_time else 0,
        custom_data=elements.optional_text("CustomData"),
    )


def seal_challenge(
    form: MessageNames,
    elements: str,
    data_elements: str,
    client: ClientInfo,
    keys: ChallengeKeys,
) -> bytes:
    """Return the SOAP 1.1 envelope of a challenge.

    `elements` are the operation's own children of E, `data_elements` those of Data; canonical.
    """
    plaintext = f"<Data>{build_chains(client.chains)}{data_elements}</Data>".encode()
    encrypted = xmlsec.encrypt(plaintext, keys.key_name, keys.server_key, keys.backend, keys.rng)
    element = (
        f'<{form.challenge} xmlns="{PROTOCOLS}" Id="{xmlsec.SIGNED_ID}" xml:space="preserve">'
        f"<Version>{VERSION}</Version>{elements}"
        f"<CLIENTINFO><CLIENTVERSION>{escape(client.client_version)}</CLIENTVERSION></CLIENTINFO>"
        f"{build_custom_data(client.custom_data)}"
        f"<ClientTime>{client.client_time}</ClientTime>"
        f"{xmlsec.build_encrypted(encrypted)}</{form.challenge}>"
    ).encode()
    return sign_challenge(form.operation, element, keys.signing_key)


# --- the reply ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenedReply:
    """A signed reply, its signature not yet verified."""

    fields: Fields = field(repr=False)
    """The children of R."""
    signing_chain: bytes = field(repr=False)
    """BCert chain."""
    custom_data: str | None
    signature: xmlsec.Signature
    element: etree._Element = field(repr=False)
    """R; only `rightsmanager.protocol` reads it."""
    envelope: Envelope = field(repr=False)

    def verify(self, key: p256.PublicKey) -> None:
        """Verify the key's signature over R; raises InvalidMessage."""
        xmlsec.verify(self.element, self.signature, key, self.envelope.text)


def seal_reply(
    form: MessageNames,
    elements: str,
    signing_chain: bytes,
    key: p256.PrivateKey,
    *,
    custom_data: str | None = None,
) -> bytes:
    """Return the Body's child: a signed reply with the operation's own elements, canonical."""
    chain = f"<SigningCertificateChain>{encode_base64(signing_chain)}</SigningCertificateChain>"
    element = _build_reply(form, f"{elements}{build_custom_data(custom_data)}{chain}")
    return sign_response(form.operation, element, key)


def seal_unsigned_reply(
    form: MessageNames, elements: str, *, custom_data: str | None = None
) -> bytes:
    """Return the Body's child: an unsigned reply with the operation's own elements, canonical."""
    element = _build_reply(form, f"{elements}{build_custom_data(custom_data)}")
    return sign_response(form.operation, element, None)


def _build_reply(form: MessageNames, elements: str) -> bytes:
    return (
        f'<{form.reply} xmlns="{PROTOCOLS}" Id="{xmlsec.SIGNED_ID}"><Version>{VERSION}</Version>'
        f"{elements}</{form.reply}>"
    ).encode()


def open_reply(
    envelope: Envelope, form: MessageNames, *, repeated: Collection[str] = ()
) -> OpenedReply:
    """Return a signed reply, its signature not yet verified; raises InvalidMessage.

    `repeated` names the elements of R that may be repeated.
    """
    wrapper = response_wrapper(envelope, form.operation)
    element, fields = _read_reply(wrapper, form, repeated)
    return OpenedReply(
        fields=fields,
        signing_chain=decode_base64(
            fields.text("SigningCertificateChain"), "SigningCertificateChain"
        ),
        custom_data=fields.optional_text("CustomData"),
        signature=xmlsec.parse_signature(child(wrapper, XMLDSIG, "Signature")),
        element=element,
        envelope=envelope,
    )


def open_unsigned_reply(envelope: Envelope, form: MessageNames) -> Fields:
    """Return the children of R of an unsigned reply; raises InvalidMessage."""
    _, fields = _read_reply(response_wrapper(envelope, form.operation), form)
    return fields


def _read_reply(
    wrapper: etree._Element, form: MessageNames, repeated: Collection[str] = ()
) -> tuple[etree._Element, Fields]:
    element = child(wrapper, PROTOCOLS, form.reply)
    fields = Fields(element, PROTOCOLS, repeated)
    version = fields.number("Version")
    if version != VERSION:
        raise InvalidMessage(f"{form.reply} has Version {version}, expected {VERSION}")
    return element, fields
