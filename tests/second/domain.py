"""Joining and leaving domains, written by a client and read by a server."""

import base64
import struct
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from lxml import etree

from tests.second import certificates as cert
from tests.second import challenge as second
from tests.second import curve
from tests.second.reply import NAMES, check_signature
from tests.second.server import read_element

P = second.P
_WRAP_IV = bytes.fromhex("a6a6a6a6a6a6a6a6")
_DOMAIN_OBJECT = 0x0002


@dataclass(frozen=True)
class Saying:
    """A join or a leave, its parts as text; ids are 16 bytes."""

    service: bytes
    account: bytes | None = None
    name: str = ""
    """The FriendlyName element."""
    custom_data: str = ""
    """The CustomData element."""
    version: str = "1"
    time: int = 1790000000

    def join(self, client: second.Client, *chains: bytes) -> bytes:
        """Return a JoinDomain message, with more chains than the device's."""
        return self._body(client, "JoinDomain", "DomainJoin", chains)

    def leave(self, client: second.Client) -> bytes:
        """Return a LeaveDomain message."""
        return self._body(client, "LeaveDomain", "DomainLeave", ())

    def later(self) -> "Saying":
        """Return the same, said again a second later: another message."""
        return replace(self, time=self.time + 1)

    def _body(
        self, client: second.Client, operation: str, name: str, chains: tuple[bytes, ...]
    ) -> bytes:
        plaintext = second.data(client.chain, *chains).encode()
        encrypted = second.encrypted_data(*second.cipher_values(plaintext, client.server))
        account = (
            "" if self.account is None else f"<AccountID>{second.b64(self.account)}</AccountID>"
        )
        element = (
            f'<{name} xmlns="{P}" Id="SignedData" xml:space="preserve">'
            f"<Version>{self.version}</Version>"
            f"<DomainServiceID>{second.b64(self.service)}</DomainServiceID>{account}{self.name}"
            f"{self.custom_data}<ClientTime>{self.time}</ClientTime>{encrypted}</{name}>"
        )
        # Only the element is signed, not what it is wrapped in.
        return second.sealed(client, element).replace(b"AcquireLicense", operation.encode())


@dataclass(frozen=True)
class Revision:
    """One verified revision of a domain."""

    number: int
    chain: bytes
    private: int
    url: str | None


@dataclass(frozen=True)
class Joined:
    """The verified reply to a join."""

    service: bytes
    account: bytes
    name: str
    url: str
    revisions: tuple[Revision, ...]
    """Newest first."""


def unwrap(key: bytes, wrapped: bytes) -> bytes:
    """Return the key that RFC 3394 wrapped, in the steps of the RFC."""
    a, *r = (wrapped[at : at + 8] for at in range(0, len(wrapped), 8))
    count = len(r)
    decryptor = Cipher(algorithms.AES(key), modes.ECB()).decryptor()  # noqa: S305 -- as the RFC has it
    for step in reversed(range(6 * count)):
        i = step % count
        t = (int.from_bytes(a, "big") ^ (step + 1)).to_bytes(8, "big")
        block = decryptor.update(t + r[i])
        a, r[i] = block[:8], block[8:]
    assert a == _WRAP_IV
    return b"".join(r)


def domain_key(wrapped: bytes, private: int) -> int:
    """Return the domain's private key from the 168 bytes for a device."""
    assert len(wrapped) == 168
    secret = curve.decrypt(wrapped[:128], private)
    return int.from_bytes(unwrap(secret[16:], wrapped[128:]), "big")


def read_join_reply(text: bytes, private: int, root: curve.Point) -> Joined:
    """Return a reply, opened for the device with that encryption key."""
    element = _reply(text, "JoinDomain", "DomainJoinResponse", root)
    assert [etree.QName(child).localname for child in element] == [
        *("Version", "DomainServiceID", "AccountID", "Revision", "FriendlyName", "DomainURL"),
        *("DomainCertificates", "DomainKeys", "SigningCertificateChain"),
    ]
    chains = _each(element, "DomainCertificate")
    keys = _each(element, "DomainKey")
    assert [number for number, _ in chains] == [number for number, _ in keys]
    joined = Joined(
        _guid(element, "DomainServiceID"),
        _guid(element, "AccountID"),
        element.findtext("p:FriendlyName", "", NAMES),
        element.findtext("p:DomainURL", "", NAMES),
        tuple(
            _revision(number, chain, domain_key(key, private), root)
            for (number, chain), (_, key) in zip(chains, keys, strict=True)
        ),
    )
    numbers = [revision.number for revision in joined.revisions]
    assert numbers == sorted(numbers, reverse=True)
    assert element.findtext("p:Revision", None, NAMES) == str(numbers[0])
    for number, chain in chains:
        assert domain_facts(chain)[:3] == (joined.service, joined.account, number)
    return joined


def read_leave_reply(text: bytes, root: curve.Point) -> tuple[bytes, bytes, int]:
    """Return service, account and revision."""
    element = _reply(text, "LeaveDomain", "DomainLeaveResponse", root)
    assert [etree.QName(child).localname for child in element] == [
        *("Version", "DomainServiceID", "AccountID", "Revision", "SigningCertificateChain"),
    ]
    revision = int(element.findtext("p:Revision", "", NAMES))
    return _guid(element, "DomainServiceID"), _guid(element, "AccountID"), revision


def domain_facts(chain: bytes) -> tuple[bytes, bytes, int, str | None]:
    """Return service, account, revision and URL of the leaf's domain object."""
    leaf = chain[20:]
    (end,) = struct.unpack_from(">I", leaf, 12)
    at = 16
    while at < end:
        flags, tag, size = struct.unpack_from(">HHI", leaf, at)
        if tag == _DOMAIN_OBJECT:
            assert flags == 1
            service, account, revision, length = struct.unpack_from(">16s16sII", leaf, at + 8)
            url = leaf[at + 48 : at + 48 + length]
            assert size == 48 + length + -length % 4
            assert not length or url.endswith(b"\0")
            return service, account, revision, url[:-1].decode() if length else None
        at += size
    raise AssertionError("the leaf has no domain object")


# --- a server's side ------------------------------------------------------------------------------


def read_join(body: bytes, server: int, root: curve.Point) -> tuple[Saying, curve.Point]:
    """Return a verified join and the device's encryption key."""
    return _read(body, "DomainJoin", server, root)


def read_leave(body: bytes, server: int, root: curve.Point) -> tuple[Saying, curve.Point]:
    """Return a verified leave and the device's encryption key."""
    return _read(body, "DomainLeave", server, root)


def _read(body: bytes, name: str, server: int, root: curve.Point) -> tuple[Saying, curve.Point]:
    read = read_element(body, name, server, root)
    element = etree.fromstring(read.text)
    texts = {etree.QName(child).localname: child.text or "" for child in element}
    assert list(texts) == [
        each
        for each in (
            *("Version", "DomainServiceID", "AccountID", "FriendlyName"),
            *("CLIENTINFO", "CustomData", "ClientTime", "EncryptedData"),
        )
        if each in texts
    ]
    saying = Saying(
        _guid(element, "DomainServiceID"),
        _guid(element, "AccountID") if "AccountID" in texts else None,
        texts.get("FriendlyName", ""),
        texts.get("CustomData", ""),
        texts["Version"],
        int(texts["ClientTime"]),
    )
    return saying, read.leaf.key(cert.ENCRYPT)


def _revision(number: int, chain: bytes, private: int, root: curve.Point) -> Revision:
    certificates = cert.read_chain(chain)
    cert.check_chain(certificates, root, cert.ISSUE_DOMAIN)
    leaf = certificates[0]
    assert leaf.type == cert.DOMAIN
    assert leaf.keys == ((curve.public(private), (cert.ENCRYPT,)),)
    return Revision(number, chain, private, domain_facts(chain)[3])


def _reply(text: bytes, operation: str, name: str, root: curve.Point) -> etree._Element:
    document = etree.fromstring(text)
    assert document.tag == f"{{{P}}}{operation}Response"
    (response,) = document.findall(f"p:{operation}Result/m:Response", NAMES)
    (element,) = response.findall(f"p:{name}", NAMES)
    assert (element.get("Id"), element.findtext("p:Version", None, NAMES)) == ("SignedData", "1")
    (signature,) = response.findall("d:Signature", NAMES)
    check_signature(text, element, signature, root)
    return element


def _each(element: etree._Element, name: str) -> list[tuple[int, bytes]]:
    return [
        (int(each.get("Revision", "")), base64.b64decode(each.text or "", validate=True))
        for each in element.findall(f"p:{name}s/p:{name}", NAMES)
    ]


def _guid(element: etree._Element, name: str) -> bytes:
    found = base64.b64decode(element.findtext(f"p:{name}", "", NAMES), validate=True)
    assert len(found) == 16
    return found
