"""Challenges: what a client posts, opened by the server and sealed by the client.

    Envelope/Body/Operation[P]/challenge/Challenge[M]
      E[P Id="SignedData" xml:space="preserve"]      LA for AcquireLicense
        Version, …, EncryptedData[X]
      Signature[D]

The plaintext of EncryptedData is

    Data/CertificateChains/CertificateChain          base64 BCert chain, one or several
        /Features/Feature[@Name]                     optional
        /Features/REE/…                              optional

and LA holds Version (1 with header 4.0 and 4.1, 4 with 4.2, 5 with 4.3), ContentHeader/WRMHEADER,
CLIENTINFO/CLIENTVERSION, RevocationLists/RevListInfo/{ListID,Version} (optional), CustomData
(optional), LicenseNonce (base64, 16 bytes), ClientTime (Unix seconds), EncryptedData.

Source: published samples of messages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape

from lxml import etree

from rightsmanager.crypto import p256
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InvalidMessage, ProtocolVersionMismatch
from rightsmanager.protocol.formats import wrmheader
from rightsmanager.protocol.formats.bcert import Chain, KeyUsage
from rightsmanager.protocol.formats.bcert.lru import Lru
from rightsmanager.protocol.wire import (
    HEADER,
    MESSAGES,
    PROTOCOLS,
    XMLDSIG,
    Guid,
    decode_base64,
    encode_base64,
)
from rightsmanager.protocol.xml import xmlsec
from rightsmanager.protocol.xml.elements import (
    WHITE_SPACE,
    Fields,
    child,
    number_in,
    number_of,
    optional_child,
    plain_text,
    text_of,
    written,
)
from rightsmanager.protocol.xml.envelope import Envelope, SoapVersion, parse_xml
from rightsmanager.protocol.xml.fastpath import REVOCATION_LIST, CanonicalChallenge

SERVER_KEY_NAME: Final = "WMRMServer"
NONCE_LENGTH: Final = 16
CACHE_SIZE: Final = 1024
"""How many clients and headers a reader remembers."""
REMEMBERED_LENGTH: Final = 16384
"""What is longer is read each time: it may come from anybody, and would fill the memory."""
LICENSE_VERSIONS: Final = {
    "4.0.0.0": 1,
    "4.1.0.0": 1,
    "4.2.0.0": 4,
    "4.3.0.0": 5,
}
"""The Version of LA by the version of the header it holds."""
_LICENSE_VERSIONS_SERVED: Final = frozenset(LICENSE_VERSIONS.values())


@dataclass(frozen=True, slots=True)
class DecryptedChallenge:
    """A challenge whose digest is right and whose EncryptedData is decrypted."""

    element: etree._Element = field(repr=False)
    """E; only `rightsmanager.protocol` looks into it."""
    plain: bytes = field(repr=False)
    """E as it was written, if that has only tags and text, else nothing."""
    plaintext: bytes = field(repr=False)
    """The Data element in UTF-8."""
    signature: xmlsec.Signature
    key_name: str
    """Whose key EncryptedData was encrypted to, as KeyName says it."""


@dataclass(frozen=True, slots=True)
class ClientData:
    """What the encrypted part of a challenge says of its client."""

    chains: tuple[Chain, ...]
    features: tuple[str, ...]
    """The names in Features, as written."""
    ree_features: tuple[str, ...]
    """The names of the elements in Features/REE."""


@dataclass(frozen=True, slots=True)
class RevocationListInfo:
    """A revocation list that the client holds."""

    list_id: Guid
    version: int


@dataclass(frozen=True, slots=True)
class LicenseChallenge:
    """What an AcquireLicense challenge asks, as its LA says it."""

    version: int
    header: wrmheader.Header
    client_version: str
    revocation_lists: tuple[RevocationListInfo, ...]
    custom_data: str | None
    nonce: bytes
    """16 bytes."""
    client_time: int
    """Unix seconds by the client's clock."""
    client: ClientData
    signer: Chain
    """The chain whose leaf signed the challenge: the device's."""
    digest: bytes
    """SHA-256 of LA as it was signed, 32 bytes."""


# --- open: the server's side --------------------------------------------------------------------


class ChallengeReader:
    """Reads the parts that challenges have in common, and remembers what their bytes decide.

    A client encrypts the same plaintext each time, and many clients ask for the same content.
    Several threads may use it at once.
    """

    def __init__(self, parse_chain: Callable[[bytes], Chain], cache_size: int = CACHE_SIZE) -> None:
        self._parse_chain = parse_chain
        self._clients: Lru[bytes, ClientData] = Lru(cache_size)
        self._headers: Lru[bytes, wrmheader.Header] = Lru(cache_size)

    def client_data(self, plaintext: bytes) -> ClientData:
        """Return what a Data element says; raises InvalidMessage."""
        known = self._clients.find(plaintext)
        if known is None:
            known = _parse_client_data(plaintext, self._parse_chain)
            if len(plaintext) <= REMEMBERED_LENGTH:
                self._clients.record(plaintext, known)
        return known

    def header(self, element: etree._Element, plain: bytes) -> wrmheader.Header:
        """Return the header of a WRMHEADER element in a text; raises InvalidMessage."""
        text = written(element, plain)
        known = self._headers.find(text) if text else None
        if known is None:
            known = wrmheader.parse_header_element(element)
            if 0 < len(text) <= REMEMBERED_LENGTH:
                self._headers.record(text, known)
        return known

    def header_alone(self, text: bytes) -> wrmheader.Header:
        """Return the header of a text that is a WRMHEADER element; raises InvalidMessage."""
        return self._headers.find(text) or self.header(parse_xml(text, "WRMHEADER"), text)


def open_challenge(
    envelope: Envelope,
    name: str,
    keys: Callable[[str], Sequence[p256.PrivateKey]],
    backend: p256.Backend,
) -> DecryptedChallenge:
    """Return the challenge in an operation's element, decrypted, its signer not yet known.

    `name` is the local name of E. `keys` gives the private keys that a KeyName may mean.
    Raises InvalidMessage.
    """
    element, signature = signed_element(envelope, name)
    plain = xmlsec.verify_digest(element, signature, envelope.text, envelope.plain_text)
    encrypted = xmlsec.find_encrypted(element, plain)
    plaintext = xmlsec.decrypt(encrypted, keys(encrypted.key_name), backend)
    return DecryptedChallenge(element, plain, plaintext, signature, encrypted.key_name)


def signed_element(envelope: Envelope, name: str) -> tuple[etree._Element, xmlsec.Signature]:
    """Return E and its Signature, unverified; raises InvalidMessage."""
    wrapper = child(child(envelope.element, PROTOCOLS, "challenge"), MESSAGES, "Challenge")
    element = child(wrapper, PROTOCOLS, name)
    if element.get("Id") != xmlsec.SIGNED_ID:
        raise InvalidMessage(f"{name} has Id {element.get('Id')!r}, expected {xmlsec.SIGNED_ID!r}")
    signature = child(wrapper, XMLDSIG, "Signature")
    return element, xmlsec.parse_signature(signature, envelope.plain_text)


def open_license_challenge(
    envelope: Envelope,
    keys: Sequence[p256.PrivateKey],
    backend: p256.Backend,
    reader: ChallengeReader,
) -> LicenseChallenge:
    """Return what an AcquireLicense challenge asks.

    Raises InvalidMessage, and ProtocolVersionMismatch for a Version that is not served.
    """
    form = envelope.license_form
    if form is not None:
        signature = xmlsec.signature_of(form)
        if xmlsec.has_digest(form.la, signature):
            return _open_form(form, signature, server_keys(keys), backend, reader)
    opened = open_challenge(envelope, "LA", server_keys(keys), backend)
    client = reader.client_data(opened.plaintext)
    fields = Fields(opened.element, PROTOCOLS)
    return LicenseChallenge(
        version=served_version(fields.number("Version"), "LA", _LICENSE_VERSIONS_SERVED),
        header=reader.header(
            child(fields.element("ContentHeader"), HEADER, "WRMHEADER"), opened.plain
        ),
        client_version=text_of(fields.element("CLIENTINFO"), PROTOCOLS, "CLIENTVERSION"),
        revocation_lists=_revocation_lists(fields.optional("RevocationLists")),
        custom_data=fields.optional_text("CustomData"),
        nonce=decode_base64(fields.text("LicenseNonce"), "LicenseNonce", NONCE_LENGTH),
        client_time=fields.number("ClientTime"),
        client=client,
        signer=signer_of(client.chains, opened.signature),
        digest=opened.signature.digest,
    )


def _open_form(
    form: CanonicalChallenge,
    signature: xmlsec.Signature,
    keys: Callable[[str], Sequence[p256.PrivateKey]],
    backend: p256.Backend,
    reader: ChallengeReader,
) -> LicenseChallenge:
    """Return what a challenge in the usual form asks, whose LA has the promised digest."""
    encrypted = xmlsec.encrypted_of(form)
    client = reader.client_data(xmlsec.decrypt(encrypted, keys(encrypted.key_name), backend))
    return LicenseChallenge(
        version=served_version(_number(form.version, "Version"), "LA", _LICENSE_VERSIONS_SERVED),
        header=reader.header_alone(form.header),
        client_version=_stripped(form.client_version),
        revocation_lists=_written_lists(form.revocation_lists),
        custom_data=None if form.custom_data is None else form.custom_data.decode(),
        nonce=decode_base64(form.nonce, "LicenseNonce", NONCE_LENGTH),
        client_time=_number(form.client_time, "ClientTime"),
        client=client,
        signer=signer_of(client.chains, signature),
        digest=signature.digest,
    )


def _number(value: bytes, name: str) -> int:
    return number_in(_stripped(value), name)


def _stripped(value: bytes) -> str:
    return value.decode().strip(WHITE_SPACE)


def _written_lists(lists: bytes | None) -> tuple[RevocationListInfo, ...]:
    return tuple(
        RevocationListInfo(Guid.from_base64(_stripped(list_id)), _number(version, "Version"))
        for list_id, version in REVOCATION_LIST.findall(lists or b"")
    )


def server_keys(
    keys: Sequence[p256.PrivateKey],
) -> Callable[[str], Sequence[p256.PrivateKey]]:
    """Return the keys that a KeyName of the server's means, and refuse any other KeyName."""

    def by_name(name: str) -> Sequence[p256.PrivateKey]:
        if name != SERVER_KEY_NAME:
            raise InvalidMessage(f"KeyName is {name[:64]!r}, expected {SERVER_KEY_NAME!r}")
        return keys

    return by_name


def _parse_client_data(plaintext: bytes, parse_chain: Callable[[bytes], Chain]) -> ClientData:
    data = parse_xml(plaintext, "the plaintext of EncryptedData")
    chains = parse_chains(data, parse_chain)
    features = optional_child(data, "", "Features")
    if features is None:
        return ClientData(chains, (), ())
    return ClientData(chains, _feature_names(features), _ree_names(features))


def parse_chains(data: etree._Element, parse_chain: Callable[[bytes], Chain]) -> tuple[Chain, ...]:
    """Return the client's chains in a Data element, at least one; raises InvalidMessage."""
    if data.tag != "Data":
        raise InvalidMessage(f"EncryptedData holds an element {data.tag!r}, expected 'Data'")
    elements = child(data, "", "CertificateChains").findall("CertificateChain")
    if not elements:
        raise InvalidMessage("CertificateChains is empty, expected a CertificateChain")
    return tuple(
        parse_chain(decode_base64(plain_text(element), "CertificateChain")) for element in elements
    )


def signer_of(chains: tuple[Chain, ...], signature: xmlsec.Signature) -> Chain:
    """Return the chain whose leaf's signing key made the signature; raises InvalidMessage."""
    if signature.public_key is None:
        raise InvalidMessage("Signature has no KeyInfo, expected the signer's PublicKey")
    for chain in chains:
        key = chain.leaf.key_with_usage(KeyUsage.SIGN)
        if key is not None and key.raw == signature.public_key:
            xmlsec.verify_value(signature, key)
            return chain
    raise InvalidMessage(
        "Signature/PublicKey is not the signing key of the leaf certificate in the challenge"
    )


def served_version(version: int, name: str, served: frozenset[int]) -> int:
    """Return the version of E, called `name`; raises ProtocolVersionMismatch for others."""
    if version not in served:
        raise ProtocolVersionMismatch(
            f"{name} has Version {version}, served are {', '.join(map(str, sorted(served)))}"
        )
    return version


def _revocation_lists(lists: etree._Element | None) -> tuple[RevocationListInfo, ...]:
    if lists is None:
        return ()
    return tuple(
        RevocationListInfo(
            list_id=Guid.from_base64(text_of(info, PROTOCOLS, "ListID")),
            version=number_of(info, PROTOCOLS, "Version"),
        )
        for info in lists.findall(f"{{{PROTOCOLS}}}RevListInfo")
    )


def _feature_names(features: etree._Element) -> tuple[str, ...]:
    return tuple(feature.get("Name", "") for feature in features.findall("Feature"))


def _ree_names(features: etree._Element) -> tuple[str, ...]:
    ree = optional_child(features, "", "REE")
    return () if ree is None else tuple(str(name.tag) for name in ree.iterchildren(etree.Element))


# --- seal: the client's side --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LicenseRequest:
    """What a client wants to ask in an AcquireLicense challenge."""

    header: str
    """The WRMHEADER as text, canonical."""
    version: int
    nonce: bytes
    """16 bytes."""
    client_time: int
    client_version: str
    chain: bytes = field(repr=False)
    """The device's BCert chain."""
    custom_data: str | None = None
    features: tuple[str, ...] = ("AESCBC",)
    ree_features: tuple[str, ...] = ("AESCBCS",)
    revocation_lists: tuple[RevocationListInfo, ...] = ()
    domain_chains: tuple[bytes, ...] = field(default=(), repr=False)
    """BCert chains of the domains that the device is a member of."""


def seal_license_challenge(
    request: LicenseRequest,
    signing_key: p256.PrivateKey,
    server_key: p256.PublicKey,
    backend: p256.Backend,
    rng: Rng,
) -> bytes:
    """Return the SOAP 1.1 envelope of a signed and encrypted AcquireLicense challenge."""
    plaintext = _build_data(request).encode()
    encrypted = xmlsec.encrypt(plaintext, SERVER_KEY_NAME, server_key, backend, rng)
    element = (
        f'<LA xmlns="{PROTOCOLS}" Id="{xmlsec.SIGNED_ID}" xml:space="preserve">'
        f"<Version>{request.version}</Version>"
        f"<ContentHeader>{request.header}</ContentHeader>"
        f"<CLIENTINFO><CLIENTVERSION>{escape(request.client_version)}</CLIENTVERSION></CLIENTINFO>"
        f"{_build_revocation_lists(request.revocation_lists)}"
        f"{build_custom_data(request.custom_data)}"
        f"<LicenseNonce>{encode_base64(request.nonce)}</LicenseNonce>"
        f"<ClientTime>{request.client_time}</ClientTime>"
        f"{xmlsec.build_encrypted(encrypted)}</LA>"
    ).encode()
    return seal_challenge("AcquireLicense", element, signing_key)


def seal_challenge(operation: str, element: bytes, signing_key: p256.PrivateKey) -> bytes:
    """Return the SOAP 1.1 envelope of a challenge whose E is already serialised, signed."""
    signature = xmlsec.sign(element, signing_key, name_key=True)
    head = (
        '<?xml version="1.0" encoding="utf-8"?>'
        f'<soap:Envelope xmlns:soap="{SoapVersion.SOAP11.namespace}"><soap:Body>'
        f'<{operation} xmlns="{PROTOCOLS}"><challenge><Challenge xmlns="{MESSAGES}">'
    )
    tail = (
        f"{xmlsec.build_signature(signature)}</Challenge></challenge></{operation}>"
        "</soap:Body></soap:Envelope>"
    )
    return head.encode() + element + tail.encode()


def _build_data(request: LicenseRequest) -> str:
    features = "".join(f'<Feature Name="{name}"></Feature>' for name in request.features)
    ree = "".join(f"<{name}></{name}>" for name in request.ree_features)
    return (
        f"<Data>{build_chains((request.chain, *request.domain_chains))}"
        f"<Features>{features}<REE>{ree}</REE></Features></Data>"
    )


def build_chains(chains: Sequence[bytes]) -> str:
    """Return the CertificateChains element."""
    elements = "".join(
        f"<CertificateChain> {encode_base64(chain)} </CertificateChain>" for chain in chains
    )
    return f"<CertificateChains>{elements}</CertificateChains>"


def _build_revocation_lists(lists: tuple[RevocationListInfo, ...]) -> str:
    if not lists:
        return ""
    infos = "".join(
        f"<RevListInfo><ListID>{info.list_id.base64}</ListID>"
        f"<Version>{info.version}</Version></RevListInfo>"
        for info in lists
    )
    return f"<RevocationLists>{infos}</RevocationLists>"


def build_custom_data(custom_data: str | None) -> str:
    """Return the CustomData element, nothing for None."""
    return "" if custom_data is None else f"<CustomData>{escape_text(custom_data)}</CustomData>"


def escape_text(text: str) -> str:
    """Return the text as canonical XML writes it."""
    return escape(text, {"\r": "&#xD;"})
