"""Secure stop and secure delete, written by a client and read by a server."""

import base64
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from lxml import etree

from tests.second import challenge as second
from tests.second import curve
from tests.second.reply import NAMES, check_signature
from tests.second.server import read_element

P = second.P


@dataclass(frozen=True)
class Session:
    """A session; ids are 16 bytes."""

    session_id: bytes
    kid: bytes
    start: int
    update: int
    stopped: int = 1

    def proof(self, key: bytes) -> bytes:
        """Return its proof under a key of 16 bytes."""
        mac = CMAC(algorithms.AES(key))
        mac.update(self.session_id + self.kid)
        mac.update(struct.pack(">QQB", self.start, self.update, self.stopped))
        return mac.finalize()

    @property
    def xml(self) -> str:
        """The element."""
        return (
            f"<Session><SessionID>{second.b64(self.session_id)}</SessionID>"
            f"<KID>{second.b64(self.kid)}</KID><StartTime>{self.start}</StartTime>"
            f"<UpdateTime>{self.update}</UpdateTime><Stopped>{self.stopped}</Stopped></Session>"
        )


@dataclass(frozen=True)
class SecureStop:
    """A message about sessions, its parts as text that a test may alter."""

    mid: bytes
    sessions: tuple[Session, ...]
    proof: tuple[bytes, bytes] | None = None
    """Session id and proof."""
    version: str = "1"
    key_name: str | None = None
    """Instead of the MID."""

    def data(self) -> str:
        """Return the elements for Data."""
        sessions = "".join(session.xml for session in self.sessions)
        return f"<Sessions>{sessions}</Sessions>{self._proof()}"

    def _proof(self) -> str:
        if self.proof is None:
            return ""
        session_id, proof = map(second.b64, self.proof)
        return (
            f"<SecureStop2><SessionID>{session_id}</SessionID><Proof>{proof}</Proof></SecureStop2>"
        )

    def body(self, client: second.Client, alter: second.Alter = str) -> bytes:
        """Return the message to the key of `client.server`, its Data altered by `alter`."""
        mid = second.b64(self.mid)
        return report_body(
            client,
            "ProcessSecureStopData",
            "SecureStopData",
            f"<Version>{self.version}</Version><MeteringID>{mid}</MeteringID>",
            alter(self.data()),
            self.key_name or mid,
        )


def delete_license(
    client: second.Client, session_id: bytes, kids: tuple[bytes, ...], alter: second.Alter = str
) -> bytes:
    """Return a message about deleted licences, its Data altered by `alter`."""
    elements = "".join(f"<KID>{second.b64(kid)}</KID>" for kid in kids)
    data = f"<SessionID>{second.b64(session_id)}</SessionID><KIDs>{elements}</KIDs>"
    return report_body(
        client,
        "ProcessDeleteLicenseData",
        "DeleteLicenseData",
        "<Version>1</Version>",
        alter(data),
        "WMRMServer",
    )


def report_body(  # noqa: PLR0917 -- the names and the parts of a message
    client: second.Client, operation: str, name: str, elements: str, data: str, key_name: str
) -> bytes:
    """Return a message: E of `elements`, and of `data` encrypted to the key of `client.server`."""
    plaintext = second.data(client.chain).replace("</Data>", f"{data}</Data>").encode()
    encrypted = second.encrypted_data(*second.cipher_values(plaintext, client.server), key_name)
    element = (
        f'<{name} xmlns="{P}" Id="SignedData" xml:space="preserve">{elements}{encrypted}</{name}>'
    )
    # Only the element is signed, not what it is wrapped in.
    return second.sealed(client, element).replace(b"AcquireLicense", operation.encode())


# --- a server's side ------------------------------------------------------------------------------


def read_secure_stop(body: bytes, server: int, root: curve.Point, mid: bytes) -> SecureStop:
    """Return a verified message."""
    name = second.b64(mid)
    read = read_element(body, "SecureStopData", server, root, name)
    element = etree.fromstring(read.text)
    assert element.findtext("p:MeteringID", None, NAMES) == name
    proof = read.data.find("SecureStop2")
    return SecureStop(
        mid,
        tuple(map(_session, read.data.iterfind("Sessions/Session"))),
        None if proof is None else (_guid(proof, "SessionID"), _guid(proof, "Proof")),
        element.findtext("p:Version", "", NAMES),
    )


def read_delete_license(
    body: bytes, server: int, root: curve.Point
) -> tuple[bytes, tuple[bytes, ...]]:
    """Return session id and KIDs of a verified message."""
    read = read_element(body, "DeleteLicenseData", server, root)
    assert etree.fromstring(read.text).findtext("p:Version", None, NAMES) == "1"
    kids = (base64.b64decode(kid.text or "", validate=True) for kid in read.data.iterfind("KIDs/*"))
    return _guid(read.data, "SessionID"), tuple(kids)


def _session(element: etree._Element) -> Session:
    times = [int(element.findtext(name, "")) for name in ("StartTime", "UpdateTime", "Stopped")]
    assert [child.tag for child in element] == [
        *("SessionID", "KID", "StartTime", "UpdateTime", "Stopped"),
    ]
    return Session(_guid(element, "SessionID"), _guid(element, "KID"), *times)


def _guid(element: etree._Element, name: str) -> bytes:
    found = base64.b64decode(element.findtext(name, ""), validate=True)
    assert len(found) == 16
    return found


# --- a client's side ------------------------------------------------------------------------------


def read_secure_stop_reply(
    text: bytes, root: curve.Point
) -> tuple[bytes, tuple[bytes, ...], bytes]:
    """Return MID, accepted sessions and proven session of a verified reply."""
    element, response = reply_element(text, "ProcessSecureStopData", "SecureStopResponse")
    (signature,) = response.findall("d:Signature", NAMES)
    check_signature(text, element, signature, root)
    sessions = element.findall("p:SessionID", NAMES)
    assert [etree.QName(child).localname for child in element] == [
        *("Version", "MeteringID", *("SessionID" for _ in sessions)),
        *("SecureStop2VerifiedSession", "SigningCertificateChain"),
    ]
    mid, verified = (
        base64.b64decode(element.findtext(f"p:{name}", "", NAMES), validate=True)
        for name in ("MeteringID", "SecureStop2VerifiedSession")
    )
    accepted = tuple(base64.b64decode(each.text or "", validate=True) for each in sessions)
    return mid, accepted, verified


def read_delete_license_reply(text: bytes) -> bytes:
    """Return the session id of a plain reply."""
    element, response = reply_element(text, "ProcessDeleteLicenseData", "DeleteLicenseResponse")
    assert len(response) == 1
    assert [etree.QName(child).localname for child in element] == ["Version", "SessionID"]
    return base64.b64decode(element.findtext("p:SessionID", "", NAMES), validate=True)


def reply_element(text: bytes, operation: str, name: str) -> tuple[etree._Element, etree._Element]:
    """Return R of a reply, and its parent."""
    document = etree.fromstring(text)
    assert document.tag == f"{{{P}}}{operation}Response"
    (response,) = document.findall(f"p:{operation}Result/m:Response", NAMES)
    (element,) = response.findall(f"p:{name}", NAMES)
    assert (element.get("Id"), element.findtext("p:Version", None, NAMES)) == ("SignedData", "1")
    return element, response


def unwrap(wrapped: bytes, content_key: bytes) -> bytes:
    """Return the secure-stop-2 key of a licence with that content key."""
    mode = modes.ECB()  # noqa: S305 -- the format's
    return Cipher(algorithms.AES(content_key), mode).decryptor().update(wrapped)
