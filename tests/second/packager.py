"""A packager independent of this project's code: it finds its values as text."""

import base64
import struct
import uuid
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from lxml import etree

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
P = "http://schemas.microsoft.com/DRM/2007/03/protocols"
K = P + "/AcquirePackagingData/v1.0"
H = "{http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader}"
PLAYREADY = "9A04F079-9840-4286-AB92-E65BE0885F95"
WIDEVINE = "EDEF8BA9-79D6-4ACE-A3C8-27DCD51D21ED"
COMMON = "1077EFEC-C0B2-4D02-ACE3-3C1E52E2FB4B"


@dataclass(frozen=True)
class Packaged:
    """The values that a packager reads from a reply: the first of each."""

    kid: uuid.UUID
    key: bytes
    object: bytes


@dataclass(frozen=True)
class HeaderRead:
    version: str
    kid: uuid.UUID
    algid: str | None
    checksum: bytes | None
    la_url: str | None


def envelope(challenge: str) -> bytes:
    """Return a request around the text of its challenge."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<soap:Envelope xmlns="{SOAP}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:soap="{SOAP}"><soap:Body>'
        f'<AcquirePackagingData xmlns="{P}"><challenge xmlns="{K}">{challenge}</challenge>'
        "</AcquirePackagingData></soap:Body></soap:Envelope>"
    ).encode()


def stream(program: str, offset: str = "P0S", more: str = "") -> str:
    return (
        f"<StreamInformation><ProgramIdentifier>{program}</ProgramIdentifier>"
        f"<OffsetFromProgramStart>{offset}</OffsetFromProgramStart>{more}</StreamInformation>"
    )


def ask(*streams: str, systems: tuple[str, ...] = (PLAYREADY,)) -> bytes:
    """Return the body of a request."""
    ids = "".join(f"<ProtectionSystemId>{each}</ProtectionSystemId>" for each in systems)
    return envelope(
        f"<ProtectionSystems>{ids}</ProtectionSystems>"
        f"<StreamProtectionRequests>{''.join(streams)}</StreamProtectionRequests>"
    )


def take(answer: bytes) -> Packaged:
    """Return the contents of the literal tags."""
    text = answer.decode()
    return Packaged(
        uuid.UUID(hex=_between(text, "KeyId").replace("-", "")),
        base64.b64decode(_between(text, "KeyData"), validate=True),
        base64.b64decode(_between(text, "Data"), validate=True),
    )


def _between(text: str, name: str) -> str:
    start = text.index(f"<{name}>") + len(name) + 2
    return text[start : text.index(f"</{name}>")]


def rows(answer: bytes) -> list[dict[str, str]]:
    """Return the texts of each StreamProtection by name."""
    found = etree.fromstring(answer).iterfind(
        f"{{{SOAP}}}Body/{{{P}}}AcquirePackagingDataResponse/{{{K}}}AcquirePackagingDataResult/"
        f"{{{K}}}StreamProtectionResponses/{{{K}}}StreamProtection"
    )
    return [{etree.QName(child).localname: child.text or "" for child in row} for row in found]


def systems(answer: bytes) -> list[tuple[str, str]]:
    """Return id and data of each system of the first stream, in upper case and base64."""
    row = next(etree.fromstring(answer).iter(f"{{{K}}}ProtectionSystemData"))
    return [(str(each[0].text).upper(), each[1].text or "") for each in row.iterchildren("{*}*")]


def read_object(data: bytes) -> HeaderRead:
    """Return the header of a PlayReady Object without other records."""
    length, records, record_type, record_length = struct.unpack_from("<IHHH", data)
    assert (length, records, record_type, record_length) == (len(data), 1, 1, len(data) - 10)
    text = data[10:].decode("utf-16-le")
    root = etree.fromstring(text)
    kid = next(each for each in root.iter(f"{H}KID"))
    value = kid.get("VALUE") or kid.text or ""
    checksum = kid.get("CHECKSUM") or root.findtext(f".//{H}CHECKSUM")
    return HeaderRead(
        version=root.get("version", ""),
        kid=uuid.UUID(bytes_le=base64.b64decode(value)),
        algid=kid.get("ALGID") or root.findtext(f".//{H}ALGID"),
        checksum=base64.b64decode(checksum) if checksum else None,
        la_url=root.findtext(f".//{H}LA_URL"),
    )


def checksum(packaged: Packaged) -> bytes:
    """Return the expected header of an AESCTR key."""
    encryptor = Cipher(algorithms.AES(packaged.key), modes.ECB()).encryptor()  # noqa: S305
    return encryptor.update(packaged.kid.bytes_le)[:8]
