"""What the operations beside AcquireLicense share: a challenge's E with its Data, a reply's R.

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

from collections.abc import Callable, Collection, Sequence
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
    build_chains,
    build_custom_data,
    open_challenge,
    parse_chains,
    seal_challenge,
    served_version,
    signer_of,
)
from rightsmanager.protocol.messages.response import response_wrapper, seal_response
from rightsmanager.protocol.wire import PROTOCOLS, XMLDSIG, decode_base64, encode_base64
from rightsmanager.protocol.xml import xmlsec
from rightsmanager.protocol.xml.elements import Fields, child
from rightsmanager.protocol.xml.envelope import Envelope, parse_xml

VERSION: Final = 1
_SERVED: Final = frozenset({VERSION})

KeysByName = Callable[[str], Sequence[p256.PrivateKey]]
"""Gives the private keys that a KeyName may mean; raises InvalidMessage for another name."""


@dataclass(frozen=True, slots=True)
class MessageNames:
    """The names of an operation and of its two elements."""

    operation: str
    challenge: str
    """E."""
    reply: str
    """R."""


# --- the challenge ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenedChallenge:
    """A challenge whose signature verified, with what is the operation's own still as XML."""

    fields: Fields = field(repr=False)
    """The children of E."""
    data: etree._Element = field(repr=False)
    """Data; only `rightsmanager.protocol` looks into it."""
    chains: tuple[Chain, ...]
    signer: Chain
    """The chain whose leaf signed the challenge: the device's."""
    digest: bytes
    """SHA-256 of E as it was signed, 32 bytes."""
    key_name: str
    """Whose key the challenge was encrypted to, as KeyName says it."""


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """Who asks, and what every challenge may say."""

    chains: tuple[bytes, ...] = field(repr=False)
    """BCert chains, the device's first."""
    client_time: int
    """Unix seconds."""
    client_version: str
    custom_data: str | None = None


@dataclass(frozen=True, slots=True)
class ChallengeKeys:
    """Keys that a challenge is signed with and encrypted to, and what does it."""

    signing_key: p256.PrivateKey = field(repr=False)
    server_key: p256.PublicKey
    backend: p256.Backend
    rng: Rng
    key_name: str = SERVER_KEY_NAME


def open_asked(
    envelope: Envelope,
    form: MessageNames,
    keys: KeysByName,
    backend: p256.Backend,
    parse_chain: Callable[[bytes], Chain],
) -> OpenedChallenge:
    """Return the challenge in an operation's element.

    Raises InvalidMessage, and ProtocolVersionMismatch for another Version than 1.
    """
    opened = open_challenge(envelope, form.challenge, keys, backend)
    fields = Fields(opened.element, PROTOCOLS)
    served_version(fields.number("Version"), form.challenge, _SERVED)
    data = parse_xml(opened.plaintext, "the plaintext of EncryptedData")
    chains = parse_chains(data, parse_chain)
    signer = signer_of(chains, opened.signature)
    return OpenedChallenge(fields, data, chains, signer, opened.signature.digest, opened.key_name)


def seal_asking(
    form: MessageNames,
    elements: str,
    data_elements: str,
    asking: ClientInfo,
    sealing: ChallengeKeys,
) -> bytes:
    """Return the SOAP 1.1 envelope of a challenge.

    `elements` are the operation's own in E, `data_elements` those in Data, both canonical.
    """
    plaintext = f"<Data>{build_chains(asking.chains)}{data_elements}</Data>".encode()
    encrypted = xmlsec.encrypt(
        plaintext, sealing.key_name, sealing.server_key, sealing.backend, sealing.rng
    )
    element = (
        f'<{form.challenge} xmlns="{PROTOCOLS}" Id="{xmlsec.SIGNED_ID}" xml:space="preserve">'
        f"<Version>{VERSION}</Version>{elements}"
        f"<CLIENTINFO><CLIENTVERSION>{escape(asking.client_version)}</CLIENTVERSION></CLIENTINFO>"
        f"{build_custom_data(asking.custom_data)}"
        f"<ClientTime>{asking.client_time}</ClientTime>"
        f"{xmlsec.build_encrypted(encrypted)}</{form.challenge}>"
    ).encode()
    return seal_challenge(form.operation, element, sealing.signing_key)


# --- the reply ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenedReply:
    """A reply as it was read, with what is needed to verify it."""

    fields: Fields = field(repr=False)
    """The children of R."""
    signing_chain: bytes = field(repr=False)
    """BCert chain."""
    custom_data: str | None
    signature: xmlsec.Signature
    element: etree._Element = field(repr=False)
    """R; only `rightsmanager.protocol` looks into it."""
    envelope: Envelope = field(repr=False)

    def verify(self, key: p256.PublicKey) -> None:
        """Return if the key signed R; raises InvalidMessage."""
        xmlsec.verify(self.element, self.signature, key, self.envelope)


def seal_answer(
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
    return seal_response(form.operation, element, key)


def seal_unsigned_answer(
    form: MessageNames, elements: str, *, custom_data: str | None = None
) -> bytes:
    """Return the Body's child: a reply that nobody signs, with the operation's own elements."""
    element = _build_reply(form, f"{elements}{build_custom_data(custom_data)}")
    return seal_response(form.operation, element, None)


def _build_reply(form: MessageNames, elements: str) -> bytes:
    return (
        f'<{form.reply} xmlns="{PROTOCOLS}" Id="{xmlsec.SIGNED_ID}"><Version>{VERSION}</Version>'
        f"{elements}</{form.reply}>"
    ).encode()


def open_answer(
    envelope: Envelope, form: MessageNames, *, repeated: Collection[str] = ()
) -> OpenedReply:
    """Return a signed reply, its signature not yet verified; raises InvalidMessage.

    `repeated` names the elements of R that may stand there more than once.
    """
    wrapper = response_wrapper(envelope, form.operation)
    element, fields = _read_reply(wrapper, form, repeated)
    return OpenedReply(
        fields=fields,
        signing_chain=decode_base64(
            fields.text("SigningCertificateChain"), "SigningCertificateChain"
        ),
        custom_data=fields.optional_text("CustomData"),
        signature=xmlsec.parse_signature(child(wrapper, XMLDSIG, "Signature"), envelope.plain_text),
        element=element,
        envelope=envelope,
    )


def open_unsigned_answer(envelope: Envelope, form: MessageNames) -> Fields:
    """Return the children of R of a reply that nobody signs; raises InvalidMessage."""
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
