"""The objects of a certificate, a frozen class for each kind.

    object  flags u16 (1 must understand, 2 container), tag u16, length u32 with this head, body

The default flags of a class are those in devices' certificates; received flags are kept. A text of
length 0 becomes None, a text of only its terminator "".

Source: the published structure of the certificate chains in clients' licence requests.
"""

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Final

from rightsmanager.crypto.p256 import PublicKey
from rightsmanager.protocol.wire import AccountId, Mid, ServiceId

MUST_UNDERSTAND: Final = 1
CONTAINER: Final = 2


class CertificateType(IntEnum):
    """The kinds of holders of certificates."""

    PC = 1
    DEVICE = 2
    DOMAIN = 3
    ISSUER = 4
    CRL_SIGNER = 5
    SERVICE = 6
    SILVERLIGHT = 7
    APPLICATION = 8
    METERING = 9
    KEY_FILE_SIGNER = 10
    SERVER = 11
    LICENSE_SIGNER = 12
    SECURE_TIME_SERVER = 13
    PROVISIONING_MODEL_AUTHORITY = 14


class KeyUsage(IntEnum):
    """Permitted uses of a key; other numbers are kept."""

    SIGN = 1
    ENCRYPT_KEY = 2
    SIGN_CRL = 3
    ISSUE_ALL = 4
    ISSUE_INDIVIDUALIZATION = 5
    ISSUE_DEVICE = 6
    ISSUE_LINK = 7
    ISSUE_DOMAIN = 8
    ISSUE_SILVERLIGHT = 9
    ISSUE_APPLICATION = 10
    ISSUE_CRL = 11
    ISSUE_METERING = 12
    ISSUE_KEY_FILE_SIGNER = 13
    SIGN_KEY_FILE = 14
    ISSUE_SERVER = 15
    ENCRYPT_SAMPLE_KEY_RC4 = 16
    ISSUE_LICENSE_SIGNER = 18
    SIGN_LICENSE = 19
    SIGN_RESPONSE = 20
    ENCRYPT_SAMPLE_KEY_AES_CTR = 22
    ISSUE_SECURE_TIME = 23
    ISSUE_PROVISIONING_MODEL = 24


class Feature(IntEnum):
    """Features of a client or server; other numbers are kept."""

    TRANSMITTER = 1
    RECEIVER = 2
    SHARED_CERTIFICATE = 3
    SECURE_CLOCK = 4
    ANTI_ROLLBACK_CLOCK = 5
    REVOCATION_LISTS = 9
    SERVER_BASIC = 10
    SERVER_STANDARD = 11
    SERVER_PREMIUM = 12
    PLAYREADY_3 = 13


class CertificateFlag(IntFlag):
    """Flags of a certificate; other bits are kept."""

    EXTENDED_DATA_PRESENT = 1
    """Objects may follow the signature, which does not cover them."""


@dataclass(frozen=True, slots=True)
class CertificateObject:
    """Any object of a certificate."""

    flags: int = field(default=MUST_UNDERSTAND, kw_only=True)


@dataclass(frozen=True, slots=True)
class Unknown(CertificateObject):
    """An unknown object that need not be understood, kept as received."""

    tag: int
    body: bytes
    flags: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class Basic(CertificateObject):
    """Ids of 16 bytes, the SHA-256 of the first key, expiry in Unix seconds."""

    certificate_id: bytes
    security_level: int
    certificate_flags: int
    type: CertificateType
    key_digest: bytes
    expiry: int
    client_id: bytes


@dataclass(frozen=True, slots=True)
class Domain(CertificateObject):
    """A domain and its revision."""

    service_id: ServiceId
    account_id: AccountId
    revision: int
    url: str | None


@dataclass(frozen=True, slots=True)
class Pc(CertificateObject):
    """The security version of a PC."""

    security_version: int


@dataclass(frozen=True, slots=True)
class Device(CertificateObject):
    """The largest licence and header, in bytes, and the deepest licence chain of a device."""

    max_license: int = 10240
    max_header: int = 15360
    max_chain_depth: int = 2


@dataclass(frozen=True, slots=True)
class Features(CertificateObject):
    """At most 32 features, known and unknown."""

    values: tuple[Feature | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """A P-256 key and its permitted uses."""

    public: PublicKey
    usages: tuple[KeyUsage | int, ...]
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Keys(CertificateObject):
    """The keys of the certificate; the basic object has the digest of the first."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Manufacturer(CertificateObject):
    """The maker and model of a device."""

    name: str | None
    model_name: str | None
    model_number: str | None
    manufacturer_flags: int = 0
    flags: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class Signature(CertificateObject):
    """The issuer's signature r(32), s(32) of all bytes before this object, and the issuer's key."""

    signature: bytes
    issuer_key: PublicKey


@dataclass(frozen=True, slots=True)
class Silverlight(CertificateObject):
    """The security version of a Silverlight player and its platform."""

    security_version: int
    platform: int


@dataclass(frozen=True, slots=True)
class Metering(CertificateObject):
    """A metering service and its address for reports."""

    metering_id: Mid
    url: str | None


@dataclass(frozen=True, slots=True)
class ExtendedDataSigningKey(CertificateObject):
    """The key that signs extended data; its form is unpublished, so kept as bytes."""

    body: bytes


@dataclass(frozen=True, slots=True)
class ExtendedData(CertificateObject):
    """The container of extended data; the only object that may follow the signature."""

    objects: tuple[CertificateObject, ...] = ()
    flags: int = field(default=MUST_UNDERSTAND | CONTAINER, kw_only=True)


@dataclass(frozen=True, slots=True)
class ExtendedDataSignature(CertificateObject):
    """The signature of extended data; its form is unpublished, so kept as bytes."""

    body: bytes


@dataclass(frozen=True, slots=True)
class HardwareId(CertificateObject):
    """The hardware that extended data binds to; its form is unpublished, so kept as bytes."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Server(CertificateObject):
    """Days before the expiry of a server's certificate at which to renew it."""

    warning_days: int


@dataclass(frozen=True, slots=True)
class SecurityVersion(CertificateObject):
    """The security version of a client and its platform."""

    security_version: int
    platform: int


@dataclass(frozen=True, slots=True)
class SecurityVersion2(CertificateObject):
    """A second object like SecurityVersion."""

    security_version: int
    platform: int
