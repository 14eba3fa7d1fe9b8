"""Metering, written by a client of parts that a test may alter, and read by a server."""

import base64
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

from tests.second import challenge as second
from tests.second import curve
from tests.second.reply import NAMES, check_signature
from tests.second.reports import reply_element, report_body
from tests.second.server import read_element

Played = tuple[bytes, str, int]
"""KID of 16 bytes, action, count."""


@dataclass(frozen=True)
class Report:
    """A report of usage."""

    mid: bytes
    transaction: bytes
    played: tuple[Played, ...]
    version: str = "1"
    partial: str = ""
    said_mid: bytes | None = None
    """The MID in E, if another than in KeyName."""

    def data(self) -> str:
        """Return the records for Data, each action in its own Record."""
        records = "".join(
            f"<Record><KID>{second.b64(kid)}</KID><Action><Name>{name}</Name>"
            f"<Value>{value}</Value></Action></Record>"
            for kid, name, value in self.played
        )
        return f"<MeteringRecords>{records}</MeteringRecords>"

    def body(self, client: second.Client, alter: second.Alter = str) -> bytes:
        """Return the message to the key of `client.server`, its Data altered by `alter`."""
        elements = (
            f"<Version>{self.version}</Version>"
            f"<MeteringID>{second.b64(self.said_mid or self.mid)}</MeteringID>"
            f"<TransactionID>{uuid.UUID(bytes_le=self.transaction)}</TransactionID>{self.partial}"
        )
        return report_body(
            client,
            "ProcessMeteringData",
            "MeteringData",
            elements,
            alter(self.data()),
            second.b64(self.mid),
        )


@dataclass(frozen=True)
class CertificateQuestion:
    """A request for a metering certificate."""

    mid: bytes
    alter: second.Alter = field(default=str)

    def body(self, client: second.Client) -> bytes:
        """Return the message to the key of `client.server`."""
        elements = f"<Version>1</Version><MeteringID>{second.b64(self.mid)}</MeteringID>"
        return report_body(
            client,
            "GetMeteringCertificate",
            "MeteringCertificateRequest",
            self.alter(elements),
            "",
            "WMRMServer",
        )


def read_reply(text: bytes, operation: str, name: str, root: curve.Point) -> dict[str, str]:
    """Return the texts of a verified reply's R by name."""
    element, response = reply_element(text, operation, name)
    (signature,) = response.findall("d:Signature", NAMES)
    check_signature(text, element, signature, root)
    names = [etree.QName(child).localname for child in element]
    assert (names[0], names[-1]) == ("Version", "SigningCertificateChain")
    assert len(set(names)) == len(names)
    return {name: child.text or "" for name, child in zip(names, element, strict=True)}


def read_report(body: bytes, server: int, root: curve.Point, mid: bytes) -> Report:
    """Return a verified report; `server` is the private key for `mid`."""
    name = second.b64(mid)
    read = read_element(body, "MeteringData", server, root, name)
    element = etree.fromstring(read.text)
    assert [etree.QName(child).localname for child in element][:4] == [
        *("Version", "MeteringID", "TransactionID", "Partial"),
    ]
    assert element.findtext("p:MeteringID", None, NAMES) == name
    records = read.data.findall("MeteringRecords/Record")
    assert records
    return Report(
        mid,
        uuid.UUID(element.findtext("p:TransactionID", "", NAMES)).bytes_le,
        tuple(played for record in records for played in _played(record)),
        element.findtext("p:Version", "", NAMES),
        element.findtext("p:Partial", "", NAMES),
    )


def _played(record: etree._Element) -> Iterator[Played]:
    kid = base64.b64decode(record.findtext("KID", ""), validate=True)
    assert [child.tag for child in record] == ["KID", *("Action" for _ in record[1:])]
    for action in record.findall("Action"):
        assert [child.tag for child in action] == ["Name", "Value"]
        yield kid, action.findtext("Name", ""), int(action.findtext("Value", ""))
