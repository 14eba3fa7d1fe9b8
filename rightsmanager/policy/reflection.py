"""Faults on request, for testing clients: client information, and any error code.

    Client Info:
        Client Version: 10.0.16384.10011
        Client Time: 10/01/2017 2:00:00 PM

    Supported Features:
        Receiver
        …

    Device Certificate Info (Cert 0):
        Platform, Type, SecurityLevel, RobustnessVersion, ManufacturerName, ModelName, ModelNumber,
        DigestValue, IssuerKey

    Certificate Chain:

    ↳ Cert 1:
        ManufacturerName, ModelName, ModelNumber, DigestValue, Platform

        ↳ Cert 2:
            …

One field a line, indented by four spaces more for each certificate; missing fields are left out.
The published Binding Key Type is left out too: its values are not published.
Source: the public test server's page on client information.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, TypeAlias

from rightsmanager.errors import REFUSALS, Refusal, ServiceSpecific, StatusCode
from rightsmanager.policy.device import Device
from rightsmanager.protocol.formats.bcert import Certificate, CertificateType, Feature
from rightsmanager.protocol.formats.bcert.objects import (
    Pc,
    SecurityVersion,
    SecurityVersion2,
    Silverlight,
)
from rightsmanager.protocol.wire import encode_base64

INDENT: Final = "    "
ASKED_DATA: Final = "errorcode 0x8004c604 was asked for"
"""The CustomData of a service-specific fault on request."""

FEATURES: Final = {
    Feature.RECEIVER: "Receiver",
    Feature.TRANSMITTER: "Transmitter",
    Feature.SHARED_CERTIFICATE: "SharedCertificate",
    Feature.SECURE_CLOCK: "SecureClock",
    Feature.ANTI_ROLLBACK_CLOCK: "AntiRollbackClock",
    Feature.REVOCATION_LISTS: "RevocationLists",
    Feature.PLAYREADY_3: "PlayReady3Features",
}
"""Names of features; others are shown as numbers."""
TYPES: Final = {
    CertificateType.PC: "PC",
    CertificateType.CRL_SIGNER: "CrlSigner",
}
"""Names of certificate types that differ from their name in the table."""
PLATFORMS: Final = {
    0: "WindowsOnX86",
    1: "OSX",
    2: "WindowsOnARM",
    5: "WindowsMobile7",
    6: "iOSOnARM",
    7: "XBoxOnPPC",
    8: "WindowsPhone8OnARM",
    9: "WindowsPhone8OnX86",
    10: "XboxOne",
    11: "AndroidOnARM",
    12: "WindowsPhone81OnARM",
    13: "WindowsPhone81OnX86",
}
"""Published names of platforms."""


def client_info(device: Device) -> str:
    """Return the information on a client as plain text."""
    leaf, *above = device.chain.certificates
    lines = [
        "Client Info:",
        f"{INDENT}Client Version: {device.client_version}",
        f"{INDENT}Client Time: {_time(device.client_time)}",
        "",
        "Supported Features:",
        *(f"{INDENT}{_feature(feature)}" for feature in leaf.features),
        "",
        "Device Certificate Info (Cert 0):",
        *(f"{INDENT}{name}: {value}" for name, value in _device_facts(leaf)),
        "",
        "Certificate Chain:",
    ]
    for depth, certificate in enumerate(above):
        inner = INDENT * (depth + 1)
        lines += ("", f"{INDENT * depth}↳ Cert {depth + 1}:")
        lines += (f"{inner}{name}: {value}" for name, value in _issuer_facts(certificate))
    return "\n".join(lines) + "\n"


def client_info_refusal(device: Device) -> ServiceSpecific:
    """Return the fault whose CustomData is the information on a client."""
    return ServiceSpecific(
        "clientinfo was asked for: it is in CustomData", custom_data=client_info(device)
    )


def requested_refusal(status: StatusCode, url: str) -> Refusal:
    """Return the fault of a code on request, with CustomData and URL where the code has them.

    url: the target of a redirect: the same service, without the query that requested the fault.
    """
    words = status.name.replace("_", " ").lower()
    return REFUSALS[status](
        f"errorcode {status.hex} was asked for: {words}",
        custom_data=_CUSTOM_DATA.get(status, "").format(url=url) or None,
        redirect_url=url if status is StatusCode.PROTOCOL_REDIRECT else None,
    )


_CUSTOM_DATA: Final = {
    StatusCode.SERVICE_SPECIFIC: ASKED_DATA,
    StatusCode.DEVICE_LIMIT_REACHED: "{url}",
}
"""CustomData by status code; the help page of a device limit is the service itself."""


def _time(seconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return str(seconds)
    hour = moment.hour % 12 or 12
    return f"{moment:%m/%d/%Y} {hour}:{moment:%M:%S %p}"


def _feature(feature: Feature | int) -> str:
    return next((name for known, name in FEATURES.items() if known == feature), str(int(feature)))


def _type(kind: CertificateType) -> str:
    return TYPES.get(kind) or kind.name.title().replace("_", "")


_Facts: TypeAlias = Iterator[tuple[str, object]]


def _device_facts(certificate: Certificate) -> _Facts:
    yield from _platform(certificate)
    yield "Type", _type(certificate.type)
    yield "SecurityLevel", certificate.security_level
    security = next(_security(certificate), None)
    if security is not None:
        yield "RobustnessVersion", security[0]
    yield from _maker(certificate)
    yield "DigestValue", encode_base64(certificate.digest)
    yield "IssuerKey", encode_base64(certificate.issuer_key.raw)


def _issuer_facts(certificate: Certificate) -> _Facts:
    yield from _maker(certificate)
    yield "DigestValue", encode_base64(certificate.digest)
    yield from _platform(certificate)


def _platform(certificate: Certificate) -> _Facts:
    security = next(_security(certificate), None)
    if security is not None and security[1] is not None:
        yield "Platform", PLATFORMS.get(security[1], security[1])


def _maker(certificate: Certificate) -> _Facts:
    maker = certificate.manufacturer
    if maker is not None:
        yield "ManufacturerName", maker.name or ""
        yield "ModelName", maker.model_name or ""
        yield "ModelNumber", maker.model_number or ""


def _security(certificate: Certificate) -> Iterator[tuple[int, int | None]]:
    """Yield the security version and the platform of each object that has them."""
    found = (
        certificate.find(SecurityVersion)
        or certificate.find(SecurityVersion2)
        or certificate.find(Silverlight)
    )
    if found is not None:
        yield found.security_version, found.platform
    pc = certificate.find(Pc)
    if pc is not None:
        yield pc.security_version, None
