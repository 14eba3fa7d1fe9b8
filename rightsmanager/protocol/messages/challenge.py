"""Challenges: posted by a client, opened by the server and sealed by the simulated client.

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
from functools import lru_cache, partial
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from lxml import etree

from rightsmanager.crypto import p256
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InvalidMessage, ProtocolVersionMismatch
from rightsmanager.protocol.formats import wrmheader
from rightsmanager.protocol.formats.bcert import Chain, KeyUsage
from rightsmanager.protocol.wire import (
    HEADER,
    MESSAGES,
    PROTOCOLS,
    XMLDSIG,
    XMLENC,
    Guid,
    decode_base64,
    encode_base64,
)
from rightsmanager.protocol.xml import xmlsec
from rightsmanager.protocol.xml.elements import (
    WHITE_SPACE,
    Fields,
    child,
    descend,
    number_of,
    optional_child,
    plain_text,
    text_of,
)
from rightsmanager.protocol.xml.envelope import Envelope, SoapVersion
from rightsmanager.protocol.xml.fastpath import REVOCATION_LIST, CanonicalChallenge
from rightsmanager.protocol.xml.parsing import RECORDS, parse_xml

SERVER_KEY_NAME: Final = "WMRMServer"
_SERVER_KEY_HINT: Final = "; give the client public/wmrmserver.pub of this server's data folder"
NONCE_LENGTH: Final = 16
MAX_CHAINS: Final = 256
"""The device's chain and those of its domains."""
CACHE_SIZE: Final = 1024
"""Clients and headers in the cache of a reader, each."""
MAX_CACHED_LENGTH: Final = 16384
"""Longer texts are not cached: anybody may send them, and they would fill the memory."""
LICENSE_VERSIONS: Final = {
    "4.0.0.0": 1,
    "4.1.0.0": 1,
    "4.2.0.0": 4,
    "4.3.0.0": 5,
}
"""The Version of LA by the version of the header in it."""
_LICENSE_VERSIONS_SERVED: Final = frozenset(LICENSE_VERSIONS.values())

KeysByName = Callable[[str], Sequence[p256.PrivateKey]]
"""Returns the private keys of a KeyName; raises InvalidMessage for an unknown name."""


@dataclass(frozen=True, slots=True)
class DecryptedChallenge:
    """A challenge with a verified digest and decrypted EncryptedData; its signer is unverified."""

    element: etree._Element = field(repr=False)
    """E; only `rightsmanager.protocol` reads it."""
    plaintext: bytes = field(repr=False)
    """The Data element in UTF-8."""
    signature: xmlsec.Signature
    key_name: str
    """The name of the key that EncryptedData was encrypted to."""


@dataclass(frozen=True, slots=True)
class ClientData:
    """The encrypted part of a challenge: the client's certificates and features."""

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
    """An AcquireLicense challenge."""

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
    """The chain of the device that signed the challenge."""
    digest: bytes
    """SHA-256 of LA as it was signed, 32 bytes."""


class _LicenseElements(NamedTuple):
    """LA and its Signature with a verified digest, decoded but not decrypted."""

    version: int
    header: wrmheader.Header
    client_version: str
    revocation_lists: tuple[RevocationListInfo, ...]
    custom_data: str | None
    nonce: bytes
    client_time: int
    encrypted: xmlsec.Encrypted
    signature: xmlsec.Signature


# --- open: the server's side --------------------------------------------------------------------


class ChallengeReader:
    """Parses the parts that many challenges share and caches them by their bytes.

    A client encrypts the same plaintext each time, and many clients request the same content.
    Several threads may use it at once.
    """

    def __init__(self, parse_chain: Callable[[bytes], Chain], cache_size: int = CACHE_SIZE) -> None:
        self._clients = lru_cache(cache_size)(partial(_parse_client_data, parse_chain=parse_chain))
        self._headers = lru_cache(cache_size)(_parse_header_element)

    def count_clients(self) -> tuple[int, int]:
        """Return the hits and misses of the cache of clients."""
        return self._clients.cache_info()[:2]

    def count_headers(self) -> tuple[int, int]:
        """Return the hits and misses of the cache of headers."""
        return self._headers.cache_info()[:2]

    def client_data(self, plaintext: bytes) -> ClientData:
        """Return the content of a Data element; raises InvalidMessage."""
        cached = self._clients
        parse = cached if len(plaintext) <= MAX_CACHED_LENGTH else cached.__wrapped__
        return parse(plaintext)

    def header(self, text: bytes) -> wrmheader.Header:
        """Return the header of a WRMHEADER element's text; raises InvalidMessage."""
        cached = self._headers
        parse = cached if len(text) <= MAX_CACHED_LENGTH else cached.__wrapped__
        return parse(text)


def decrypt_challenge(
    envelope: Envelope, name: str, keys: KeysByName, backend: p256.Backend
) -> DecryptedChallenge:
    """Return the challenge in an operation's element, its signer not yet verified.

    `name` is the local name of E. Raises InvalidMessage.
    """
    element, signature = _signed_element(envelope, name)
    encrypted = xmlsec.parse_encrypted(child(element, XMLENC, "EncryptedData"))
    hint = _SERVER_KEY_HINT if encrypted.key_name == SERVER_KEY_NAME else ""
    plaintext = xmlsec.decrypt(encrypted, keys(encrypted.key_name), backend, hint)
    return DecryptedChallenge(element, plaintext, signature, encrypted.key_name)


def open_license_challenge(
    envelope: Envelope,
    keys: Sequence[p256.PrivateKey],
    backend: p256.Backend,
    reader: ChallengeReader,
) -> LicenseChallenge:
    """Return an AcquireLicense challenge with its signature verified.

    Raises InvalidMessage, and ProtocolVersionMismatch for a Version that is not served.
    """
    challenge = envelope.canonical_challenge
    elements = None if challenge is None else _convert_canonical(challenge, reader)
    if elements is None:
        elements = _walk_elements(envelope)
    encrypted, signature = elements.encrypted, elements.signature
    if encrypted.key_name != SERVER_KEY_NAME:
        raise _other_key_name(encrypted.key_name)
    plaintext = xmlsec.decrypt(encrypted, keys, backend, _SERVER_KEY_HINT)
    client = reader.client_data(plaintext)
    return LicenseChallenge(
        version=elements.version,
        header=elements.header,
        client_version=elements.client_version,
        revocation_lists=elements.revocation_lists,
        custom_data=elements.custom_data,
        nonce=elements.nonce,
        client_time=elements.client_time,
        client=client,
        signer=find_signer(client.chains, signature),
        digest=signature.digest,
    )


def _walk_elements(envelope: Envelope) -> _LicenseElements:
    element, signature = _signed_element(envelope, "LA")
    fields = Fields(element, PROTOCOLS)
    return _LicenseElements(
        version=served_version(fields.number("Version"), "LA", _LICENSE_VERSIONS_SERVED),
        header=wrmheader.parse_header_element(
            child(fields.element("ContentHeader"), HEADER, "WRMHEADER")
        ),
        client_version=text_of(fields.element("CLIENTINFO"), PROTOCOLS, "CLIENTVERSION"),
        revocation_lists=_revocation_lists(fields.optional("RevocationLists")),
        custom_data=fields.optional_text("CustomData"),
        nonce=decode_base64(fields.text("LicenseNonce"), "LicenseNonce", NONCE_LENGTH),
        client_time=fields.number("ClientTime"),
        encrypted=xmlsec.parse_encrypted(child(element, XMLENC, "EncryptedData")),
        signature=signature,
    )


def _convert_canonical(
    challenge: CanonicalChallenge, reader: ChallengeReader
) -> _LicenseElements | None:
    """Return the elements of a recognised challenge, None if its digest is another.

    The walk then finds the reason for the refusal.
    """
    signature = xmlsec.decode_signature(
        challenge.digest, None, challenge.signature, challenge.public_key
    )
    if not xmlsec.has_digest(challenge.la, signature):
        return None
    custom_data = challenge.custom_data
    return _LicenseElements(
        version=served_version(int(challenge.version), "LA", _LICENSE_VERSIONS_SERVED),
        header=reader.header(challenge.header),
        client_version=challenge.client_version.decode().strip(WHITE_SPACE),
        revocation_lists=tuple(
            [
                RevocationListInfo(Guid.from_base64(list_id.decode()), int(version))
                for list_id, version in REVOCATION_LIST.findall(challenge.revocation_lists or b"")
            ]
        ),
        custom_data=None if custom_data is None else custom_data.decode(),
        nonce=decode_base64(challenge.nonce, "LicenseNonce", NONCE_LENGTH),
        client_time=int(challenge.client_time),
        encrypted=xmlsec.decode_encrypted(
            challenge.key_name.decode().strip(WHITE_SPACE),
            challenge.wrapped_key,
            challenge.ciphertext,
        ),
        signature=signature,
    )


def _signed_element(envelope: Envelope, name: str) -> tuple[etree._Element, xmlsec.Signature]:
    """Return E, its digest verified, and its Signature, which is unverified."""
    wrapper = descend(envelope.element, f"{{{PROTOCOLS}}}challenge", f"{{{MESSAGES}}}Challenge")
    element = child(wrapper, PROTOCOLS, name)
    if element.get("Id") != xmlsec.SIGNED_ID:
        raise InvalidMessage(f"{name} has Id {element.get('Id')!r}, expected {xmlsec.SIGNED_ID!r}")
    signature = xmlsec.parse_signature(child(wrapper, XMLDSIG, "Signature"))
    xmlsec.verify_digest(element, signature, envelope.text)
    return element, signature


def server_keys(keys: Sequence[p256.PrivateKey]) -> KeysByName:
    """Return a look-up that knows these keys under the server's KeyName alone."""

    def by_name(name: str) -> Sequence[p256.PrivateKey]:
        if name != SERVER_KEY_NAME:
            raise _other_key_name(name)
        return keys

    return by_name


def _other_key_name(name: str) -> InvalidMessage:
    return InvalidMessage(f"KeyName is {name[:64]!r}, expected {SERVER_KEY_NAME!r}")


def _parse_header_element(text: bytes) -> wrmheader.Header:
    return wrmheader.parse_header_element(parse_xml(text, "WRMHEADER"))


def _parse_client_data(plaintext: bytes, parse_chain: Callable[[bytes], Chain]) -> ClientData:
    data = parse_xml(plaintext, "the plaintext of EncryptedData", RECORDS)
    chains = parse_chains(data, parse_chain)
    features = optional_child(data, "", "Features")
    if features is None:
        return ClientData(chains, (), ())
    return ClientData(chains, _feature_names(features), _ree_names(features))


def parse_chains(data: etree._Element, parse_chain: Callable[[bytes], Chain]) -> tuple[Chain, ...]:
    """Return the client's chains of a Data element, at least one; raises InvalidMessage."""
    if data.tag != "Data":
        raise InvalidMessage(f"EncryptedData holds an element {data.tag!r}, expected 'Data'")
    elements = child(data, "", "CertificateChains").findall("CertificateChain")
    if not 1 <= len(elements) <= MAX_CHAINS:
        raise InvalidMessage(
            f"CertificateChains has {len(elements)} CertificateChain, expected 1 to {MAX_CHAINS}"
        )
    return tuple(
        [
            parse_chain(decode_base64(plain_text(element), "CertificateChain"))
            for element in elements
        ]
    )


def find_signer(chains: tuple[Chain, ...], signature: xmlsec.Signature) -> Chain:
    """Return the chain with the leaf that made the signature, verified; raises InvalidMessage."""
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
    """The content of an AcquireLicense challenge to be sealed."""

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
    """BCert chains of the device's domains."""


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
    return sign_challenge("AcquireLicense", element, signing_key)


def sign_challenge(operation: str, element: bytes, signing_key: p256.PrivateKey) -> bytes:
    """Return the SOAP 1.1 envelope of a challenge, signed over its serialised E."""
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
    """Return the CustomData element, "" for None."""
    return "" if custom_data is None else f"<CustomData>{escape_text(custom_data)}</CustomData>"


def escape_text(text: str) -> str:
    """Return the text escaped as in canonical XML."""
    return escape(text, {"\r": "&#xD;"})
