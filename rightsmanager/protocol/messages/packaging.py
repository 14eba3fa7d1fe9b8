"""AcquirePackagingData: a packager requests content keys and the PlayReady Object for the content.

    request   AcquirePackagingData[P]/challenge[K]
                ProtectionSystems/ProtectionSystemId      GUID text, one or more
                StreamProtectionRequests
                  StreamInformation                       one or more
                    ProgramIdentifier                     text
                    OffsetFromProgramStart                xs:duration
                    RequestInterval                       xs:duration, optional
                    BlackoutInformation                   optional, ignored
    reply     AcquirePackagingDataResponse[P]/AcquirePackagingDataResult[K]
                StreamProtectionResponses
                  StreamProtection                        one or more
                    ProgramIdentifier, OffsetFromProgramStart, RequestInterval (optional)
                    KeyId                                 GUID text
                    KeyData                               content key, 16 bytes in base64
                    ProtectionSystemData
                      ProtectionSystem/{ProtectionSystemId, Data}    one for each requested system

Neither is encrypted or signed. Below the operation's element, names are matched without their
namespace, which clients generated from a WSDL get wrong; elements of other names are ignored.
Surrounding white space is not part of a text.

The request is public. Of the reply it is public that packagers find KeyId, KeyData and Data by
these very tags and take the first of each; the rest is a profile of this project.
"""

import uuid
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape

from lxml import etree

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.durations import Duration, parse_duration
from rightsmanager.protocol.wire import (
    CONTENT_KEY_LENGTH,
    MAX_PROGRAM_LENGTH,
    PACKAGING,
    PROTOCOLS,
    Guid,
    Kid,
    decode_base64,
    encode_base64,
)
from rightsmanager.protocol.xml.elements import local_name, plain_text
from rightsmanager.protocol.xml.envelope import Envelope, SoapVersion

OPERATION: Final = "AcquirePackagingData"
MAX_STREAMS: Final = 100
"""StreamInformation elements of a request."""
MAX_SYSTEMS: Final = 32
"""ProtectionSystemId elements of a request."""


@dataclass(frozen=True, slots=True)
class StreamInformation:
    """The part of a program that a key is requested for."""

    program: str
    """1 to 1024 characters."""
    offset: Duration
    interval: Duration | None = None


@dataclass(frozen=True, slots=True)
class PackagingRequest:
    """A packager's request."""

    systems: tuple[uuid.UUID, ...]
    """At least one, all different."""
    streams: tuple[StreamInformation, ...]
    """At least one."""


@dataclass(frozen=True, slots=True)
class ProtectionSystem:
    """The data of a protection system for the content."""

    system: uuid.UUID
    data: bytes
    """A PlayReady Object; empty for other systems."""


@dataclass(frozen=True, slots=True)
class StreamProtection:
    """The key of a part of a program."""

    program: str
    offset: Duration
    interval: Duration | None
    kid: Kid
    key: bytes = field(repr=False)
    """16 bytes."""
    systems: tuple[ProtectionSystem, ...]


# --- the request ----------------------------------------------------------------------------------


def parse_packaging_request(envelope: Envelope) -> PackagingRequest:
    """Return a packager's request; raises InvalidMessage."""
    challenge = _one(envelope.element, "challenge")
    systems = _several(_one(challenge, "ProtectionSystems"), "ProtectionSystemId", MAX_SYSTEMS)
    streams = _several(
        _one(challenge, "StreamProtectionRequests"), "StreamInformation", MAX_STREAMS
    )
    return PackagingRequest(
        tuple(_parse_systems(systems)), tuple(_parse_stream(stream) for stream in streams)
    )


def build_packaging_request(request: PackagingRequest) -> bytes:
    """Return the SOAP 1.1 envelope of a request in the form of a widely used packager."""
    systems = "".join(_element("ProtectionSystemId", str(each)) for each in request.systems)
    streams = "".join(
        f"<StreamInformation>{_build_part(each.program, each.offset, each.interval)}"
        "</StreamInformation>"
        for each in request.streams
    )
    soap = SoapVersion.SOAP11.namespace
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<soap:Envelope xmlns="{soap}" xmlns:soap="{soap}"><soap:Body>'
        f'<{OPERATION} xmlns="{PROTOCOLS}"><challenge xmlns="{PACKAGING}">'
        f"<ProtectionSystems>{systems}</ProtectionSystems>"
        f"<StreamProtectionRequests>{streams}</StreamProtectionRequests>"
        f"</challenge></{OPERATION}></soap:Body></soap:Envelope>"
    ).encode()


def _parse_systems(elements: list[etree._Element]) -> list[uuid.UUID]:
    systems: list[uuid.UUID] = []
    for element in elements:
        system = _parse_system(element)
        if system in systems:
            raise InvalidMessage(f"ProtectionSystems has ProtectionSystemId {system} twice")
        systems.append(system)
    return systems


def _parse_system(element: etree._Element) -> uuid.UUID:
    try:
        return uuid.UUID(bytes_le=Guid.from_text(plain_text(element)).raw)
    except InvalidMessage as error:
        raise InvalidMessage(f"ProtectionSystemId: {error.text}") from None


def _parse_stream(element: etree._Element) -> StreamInformation:
    return StreamInformation(*_parse_part(element))


def _parse_part(element: etree._Element) -> tuple[str, Duration, Duration | None]:
    interval = _optional(element, "RequestInterval")
    return (
        _parse_program(plain_text(_one(element, "ProgramIdentifier"))),
        _parse_duration(_one(element, "OffsetFromProgramStart")),
        None if interval is None else _parse_duration(interval),
    )


def _parse_program(program: str) -> str:
    if not 0 < len(program) <= MAX_PROGRAM_LENGTH:
        raise InvalidMessage(
            f"ProgramIdentifier has {len(program)} characters, expected 1 to {MAX_PROGRAM_LENGTH}"
        )
    return program


def _parse_duration(element: etree._Element) -> Duration:
    return parse_duration(plain_text(element), local_name(element))


# --- the reply ------------------------------------------------------------------------------------


def build_packaging_response(protections: tuple[StreamProtection, ...]) -> bytes:
    """Return the Body's child: a reply with these keys."""
    elements = "".join(map(_build_protection, protections))
    return (
        f'<{OPERATION}Response xmlns="{PROTOCOLS}"><{OPERATION}Result xmlns="{PACKAGING}">'
        f"<StreamProtectionResponses>{elements}</StreamProtectionResponses>"
        f"</{OPERATION}Result></{OPERATION}Response>"
    ).encode()


def parse_packaging_response(envelope: Envelope) -> tuple[StreamProtection, ...]:
    """Return the keys of a reply; raises InvalidMessage."""
    if envelope.operation != f"{OPERATION}Response":
        raise InvalidMessage(f"the reply is {envelope.operation}, expected {OPERATION}Response")
    result = _one(envelope.element, f"{OPERATION}Result")
    protections = _several(_one(result, "StreamProtectionResponses"), "StreamProtection")
    return tuple(_parse_protection(each) for each in protections)


def _build_protection(protection: StreamProtection) -> str:
    systems = "".join(
        "<ProtectionSystem>"
        + _element("ProtectionSystemId", str(each.system))
        + _element("Data", encode_base64(each.data))
        + "</ProtectionSystem>"
        for each in protection.systems
    )
    return (
        "<StreamProtection>"
        + _build_part(protection.program, protection.offset, protection.interval)
        + _element("KeyId", protection.kid.text)
        + _element("KeyData", encode_base64(protection.key))
        + f"<ProtectionSystemData>{systems}</ProtectionSystemData></StreamProtection>"
    )


def _parse_protection(element: etree._Element) -> StreamProtection:
    systems = _several(_one(element, "ProtectionSystemData"), "ProtectionSystem")
    return StreamProtection(
        *_parse_part(element),
        kid=Kid.from_text(plain_text(_one(element, "KeyId"))),
        key=decode_base64(plain_text(_one(element, "KeyData")), "KeyData", CONTENT_KEY_LENGTH),
        systems=tuple(
            ProtectionSystem(
                _parse_system(_one(each, "ProtectionSystemId")),
                decode_base64(plain_text(_one(each, "Data")), "Data"),
            )
            for each in systems
        ),
    )


# --- both -----------------------------------------------------------------------------------------


def _build_part(program: str, offset: Duration, interval: Duration | None) -> str:
    return (
        _element("ProgramIdentifier", program)
        + _element("OffsetFromProgramStart", offset.text)
        + ("" if interval is None else _element("RequestInterval", interval.text))
    )


def _element(name: str, text: str) -> str:
    # A parser reads a bare carriage return as a line feed.
    return f"<{name}>{escape(text, {chr(13): '&#13;'})}</{name}>"


def _named(parent: etree._Element, name: str) -> list[etree._Element]:
    return [each for each in parent.iterchildren(tag=etree.Element) if local_name(each) == name]


def _optional(parent: etree._Element, name: str) -> etree._Element | None:
    found = _named(parent, name)
    if len(found) > 1:
        raise InvalidMessage(f"{local_name(parent)} has {len(found)} elements {name}, expected one")
    return found[0] if found else None


def _one(parent: etree._Element, name: str) -> etree._Element:
    found = _optional(parent, name)
    if found is None:
        raise InvalidMessage(f"{local_name(parent)} has no element {name}")
    return found


def _several(parent: etree._Element, name: str, most: int | None = None) -> list[etree._Element]:
    found = _named(parent, name)
    if not found or (most is not None and len(found) > most):
        raise InvalidMessage(
            f"{local_name(parent)} has {len(found)} elements {name}, expected "
            + ("at least one" if most is None else f"1 to {most}")
        )
    return found
