"""The nine operations as one table: wire name, role, summary, and the content of its messages.

    challenge   Operation[P]/challenge/Challenge[M]/element[P Id="SignedData"] + Signature[D]
    reply       OperationResponse[P]/OperationResult/Response[M]/element[P] + Signature[D]

AcquirePackagingData alone has neither wrapper; its challenge is in the namespace K.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from rightsmanager.protocol.messages import (
    acknowledgement,
    delete_license,
    domain,
    metering,
    packaging,
    secure_stop,
)


class Role(Enum):
    """The roles of a server; each operation belongs to one."""

    LICENSE = "license"
    DOMAIN = "domain"
    METERING = "metering"
    SECURE_STOP = "secure_stop"
    SECURE_DELETE = "secure_delete"
    PACKAGING = "packaging"


@dataclass(frozen=True, slots=True)
class Message:
    """The message of one direction: its signed element and a sample of that element's children."""

    element: str
    children: tuple[str, ...]
    sealed: bool = True
    """Of a challenge: EncryptedData and Signature follow; of a reply: chain and Signature."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the service."""

    name: str
    role: Role
    summary: str
    challenge: Message
    reply: Message
    profile: str = ""
    """The part of the messages that is this project's own; empty if they follow publications."""


_DOMAIN: Final = (
    "<DomainServiceID>GUID, base64</DomainServiceID>",
    "<AccountID>GUID, base64</AccountID>",
)
_MID: Final = "<MeteringID>GUID, base64</MeteringID>"
_TRANSACTION: Final = "<TransactionID>GUID</TransactionID>"

_TABLE: Final = (
    Operation(
        "AcquireLicense",
        Role.LICENSE,
        "Issues licences for the key identifiers of a content header.",
        Message(
            "LA",
            (
                (
                    '<ContentHeader><WRMHEADER xmlns="http://schemas.microsoft.com/DRM/2007/03/'
                    'PlayReadyHeader" version="4.0.0.0">…</WRMHEADER></ContentHeader>'
                ),
                "<CLIENTINFO><CLIENTVERSION>4.4.0.1</CLIENTVERSION></CLIENTINFO>",
                "<LicenseNonce>16 bytes, base64</LicenseNonce>",
                "<ClientTime>seconds since 1970</ClientTime>",
            ),
        ),
        Message(
            "LicenseResponse",
            (
                "<Licenses><License>XMR licence, base64</License></Licenses>",
                "<LicenseNonce>16 bytes, base64</LicenseNonce>",
                "<ResponseID>32 bytes, base64</ResponseID>",
            ),
        ),
    ),
    Operation(
        acknowledgement.FORM.operation,
        Role.LICENSE,
        "Takes note of which licences of a transaction the client could store.",
        Message(acknowledgement.FORM.challenge, (_TRANSACTION,)),
        Message(acknowledgement.FORM.reply, (_TRANSACTION,)),
        profile="profile; what is reported is public",
    ),
    Operation(
        domain.JOIN.operation,
        Role.DOMAIN,
        "Makes a device a member of an account's domain and hands it the domain's keys.",
        Message(domain.JOIN.challenge, (*_DOMAIN, "<FriendlyName>a device's name</FriendlyName>")),
        Message(
            domain.JOIN.reply,
            (
                *_DOMAIN,
                "<Revision>1</Revision>",
                "<FriendlyName>a domain's name</FriendlyName>",
                "<DomainURL>URL</DomainURL>",
                (
                    '<DomainCertificates><DomainCertificate Revision="1">chain, base64'
                    "</DomainCertificate></DomainCertificates>"
                ),
                '<DomainKeys><DomainKey Revision="1">168 bytes, base64</DomainKey></DomainKeys>',
            ),
        ),
        profile="profile; the certificate's format is public",
    ),
    Operation(
        domain.LEAVE.operation,
        Role.DOMAIN,
        "Ends a device's membership in a domain.",
        Message(domain.LEAVE.challenge, _DOMAIN),
        Message(domain.LEAVE.reply, (*_DOMAIN, "<Revision>1</Revision>")),
        profile="profile",
    ),
    Operation(
        metering.CERTIFICATE_FORM.operation,
        Role.METERING,
        "Hands out the certificate for which a client encrypts its play counts.",
        Message(metering.CERTIFICATE_FORM.challenge, (_MID,)),
        Message(
            metering.CERTIFICATE_FORM.reply,
            (_MID, "<MeteringCertificate>chain, base64</MeteringCertificate>"),
        ),
        profile="profile; the certificate's format is public",
    ),
    Operation(
        metering.DATA_FORM.operation,
        Role.METERING,
        "Counts what a client reports to have played, once for each transaction.",
        Message(metering.DATA_FORM.challenge, (_MID, _TRANSACTION, "<Partial>0</Partial>")),
        Message(
            metering.DATA_FORM.reply, (_MID, _TRANSACTION, "<RecordsAccepted>1</RecordsAccepted>")
        ),
        profile="profile; the key that encrypts it is public",
    ),
    Operation(
        secure_stop.FORM.operation,
        Role.SECURE_STOP,
        "Records that playback sessions have ended.",
        Message(secure_stop.FORM.challenge, (_MID,)),
        Message(
            secure_stop.FORM.reply,
            (
                _MID,
                "<SessionID>GUID, base64</SessionID>",
                "<SecureStop2VerifiedSession>GUID, base64</SecureStop2VerifiedSession>",
            ),
        ),
        profile="profile; the key that encrypts it is public",
    ),
    Operation(
        delete_license.FORM.operation,
        Role.SECURE_DELETE,
        "Records that a client has deleted persistent licences.",
        Message(delete_license.FORM.challenge, ()),
        Message(delete_license.FORM.reply, ("<SessionID>GUID, base64</SessionID>",), sealed=False),
        profile="profile; that the reply is plain is public",
    ),
    Operation(
        packaging.OPERATION,
        Role.PACKAGING,
        "Gives a packager content keys and the data to put into the content.",
        Message(
            "",
            (
                (
                    "<ProtectionSystems><ProtectionSystemId>9a04f079-9840-4286-ab92-e65be0885f95"
                    "</ProtectionSystemId></ProtectionSystems>"
                ),
                (
                    "<StreamProtectionRequests><StreamInformation>"
                    "<ProgramIdentifier>a name</ProgramIdentifier>"
                    "<OffsetFromProgramStart>PT0S</OffsetFromProgramStart>"
                    "</StreamInformation></StreamProtectionRequests>"
                ),
            ),
        ),
        Message(
            "",
            (
                (
                    "<StreamProtectionResponses><StreamProtection>"
                    "<ProgramIdentifier>a name</ProgramIdentifier>"
                    "<OffsetFromProgramStart>PT0S</OffsetFromProgramStart>"
                    "<KeyId>GUID</KeyId><KeyData>16 bytes, base64</KeyData>"
                    "<ProtectionSystemData><ProtectionSystem>"
                    "<ProtectionSystemId>9a04f079-9840-4286-ab92-e65be0885f95</ProtectionSystemId>"
                    "<Data>PlayReady Object, base64</Data></ProtectionSystem>"
                    "</ProtectionSystemData>"
                    "</StreamProtection></StreamProtectionResponses>"
                ),
            ),
        ),
        profile="request public, reply profile",
    ),
)

OPERATIONS: Final = {operation.name: operation for operation in _TABLE}
"""Each operation by its wire name, in the order of the WSDL."""
