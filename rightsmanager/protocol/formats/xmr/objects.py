"""What a licence says, one frozen class for each type of object.

    object  flags u16 (1 must understand, 2 container), type u16, length u32 with this head, body

A class's default flags are those that a licence server writes; received flags are kept. A
container holds objects in their order, known and unknown alike.

Source: the published structure of the licences that license servers send.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import AccountId, Guid, Kid, Mid

MUST_UNDERSTAND: Final = 1
CONTAINER: Final = 2

DEVICE_KEY_LENGTH: Final = 64
SIGNATURE_LENGTH: Final = 16
SECURE_STOP_2_KEY_LENGTH: Final = 16


class KeyType(IntEnum):
    """What a content key encrypts; other numbers are kept as they are."""

    AES_CTR = 1
    AES_CBC = 5
    KEY_EXCHANGE = 6


class Cipher(IntEnum):
    """How a content key is itself encrypted; other numbers are kept as they are."""

    CHAINED = 2
    """Under the content key of the root licence that the uplink KID names."""
    ECC_256 = 3
    """By EC ElGamal over P-256 to a key of a certificate."""


def _expect_length(what: str, data: bytes, length: int) -> None:
    if len(data) != length:
        raise InvalidMessage(f"{what} of the licence has {len(data)} bytes, expected {length}")


@dataclass(frozen=True, slots=True)
class XmrObject:
    """Any object of a licence."""

    flags: int = field(default=MUST_UNDERSTAND, kw_only=True)


@dataclass(frozen=True, slots=True)
class Unknown(XmrObject):
    """An object of a type that is not in the table, kept as it came."""

    object_type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Container(XmrObject):
    """An object whose body is objects."""

    objects: tuple[XmrObject, ...] = ()
    flags: int = field(default=MUST_UNDERSTAND | CONTAINER, kw_only=True)


@dataclass(frozen=True, slots=True)
class Outer(Container):
    """The one object that holds the licence."""


@dataclass(frozen=True, slots=True)
class GlobalPolicy(Container):
    """What holds for every right of the licence."""


@dataclass(frozen=True, slots=True)
class SecurityLevel(XmrObject):
    """The least security level that a client's certificate must have."""

    level: int


@dataclass(frozen=True, slots=True)
class EmbeddingBehavior(XmrObject):
    """Whether the licence may be embedded into the content; 1 in all published licences."""

    behavior: int = 1
    flags: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class RevocationInfoVersion(XmrObject):
    """The oldest revocation information that a client may have."""

    version: int


@dataclass(frozen=True, slots=True)
class RightsSettings(XmrObject):
    """Bit 1: the licence cannot persist. Persistent licences have no such object."""

    settings: int = 1


@dataclass(frozen=True, slots=True)
class IssueDate(XmrObject):
    """When the licence was made, in seconds since 1970."""

    date: int
    flags: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class Expiration(XmrObject):
    """The time in which the licence is good, in seconds since 1970; 0 and NEVER are no bounds."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class ExpireAfterFirstPlay(XmrObject):
    """For how many seconds after the first play the licence is good."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Domain(XmrObject):
    """The domain that the licence is bound to."""

    account_id: AccountId
    revision: int


@dataclass(frozen=True, slots=True)
class Metering(XmrObject):
    """The service that counts what the licence is used for."""

    mid: Mid


@dataclass(frozen=True, slots=True)
class SecureStop(XmrObject):
    """The service that is told when playback has stopped."""

    mid: Mid


@dataclass(frozen=True, slots=True)
class SecureStop2Key(XmrObject):
    """The secure-stop-2 key of the licence's KID, encrypted under the content key: 16 bytes.

    Only the object's type is published; this body, and that it need not be understood, are the
    project's own form.
    """

    wrapped: bytes = field(repr=False)
    flags: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse any other length."""
        _expect_length("the secure stop 2 key", self.wrapped, SECURE_STOP_2_KEY_LENGTH)


@dataclass(frozen=True, slots=True)
class RealTimeExpiration(XmrObject):
    """Playback ends at the very second that the licence does."""


@dataclass(frozen=True, slots=True)
class RemovalDate(XmrObject):
    """When a client may drop the licence, in seconds since 1970."""

    date: int
    flags: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class SourceId(XmrObject):
    """The protection system that the content was imported from."""

    source_id: int


@dataclass(frozen=True, slots=True)
class RestrictedSourceIds(XmrObject):
    """Source ids whose content the licence restricts, each four bytes."""

    source_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GracePeriod(XmrObject):
    """For how many seconds the licence is good where the clock was not set safely."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Explicit(XmrObject):
    """A GUID with data of any length that only who knows the GUID understands."""

    id: Guid
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class PolicyMetadata(Explicit):
    """A policy that is named by a GUID."""

    flags: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class PlaybackPolicy(Container):
    """The right to play and its conditions; an empty one grants the right."""

    flags: int = field(default=CONTAINER, kw_only=True)


@dataclass(frozen=True, slots=True)
class OutputProtectionLevels(XmrObject):
    """The least protection of each kind of output."""

    compressed_digital_video: int
    uncompressed_digital_video: int
    analog_video: int
    compressed_digital_audio: int
    uncompressed_digital_audio: int


@dataclass(frozen=True, slots=True)
class ExplicitAnalogVideoProtections(Container):
    """Protections of analog video outputs that are named by a GUID."""


@dataclass(frozen=True, slots=True)
class ExplicitAnalogVideoProtection(Explicit):
    """One protection of analog video outputs."""


@dataclass(frozen=True, slots=True)
class ExplicitDigitalAudioProtections(Container):
    """Protections of digital audio outputs that are named by a GUID."""


@dataclass(frozen=True, slots=True)
class ExplicitDigitalAudioProtection(Explicit):
    """One protection of digital audio outputs."""


@dataclass(frozen=True, slots=True)
class ExplicitDigitalVideoProtections(Container):
    """Protections of digital video outputs that are named by a GUID."""


@dataclass(frozen=True, slots=True)
class ExplicitDigitalVideoProtection(Explicit):
    """One protection of digital video outputs."""


@dataclass(frozen=True, slots=True)
class PlayEnablers(Container):
    """The technologies that playback may be passed to."""

    flags: int = field(default=CONTAINER, kw_only=True)


@dataclass(frozen=True, slots=True)
class PlayEnabler(XmrObject):
    """One technology that playback may be passed to."""

    id: Guid
    flags: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class CopyPolicy(Container):
    """The right to copy, in its first form."""


@dataclass(frozen=True, slots=True)
class CopyPolicy2(Container):
    """The right to copy, in its second form."""


@dataclass(frozen=True, slots=True)
class ExecutePolicy(Container):
    """The right to execute."""


@dataclass(frozen=True, slots=True)
class ReadPolicy(Container):
    """The right to read."""


@dataclass(frozen=True, slots=True)
class KeyMaterial(Container):
    """The content key and what it is bound to."""


@dataclass(frozen=True, slots=True)
class ContentKey(XmrObject):
    """A content key, encrypted: 128 bytes by EC ElGamal, 32 under a root licence."""

    kid: Kid
    key_type: int
    cipher: int
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeviceKey(XmrObject):
    """The public key that the licence is bound to: a P-256 point of 64 bytes."""

    key: bytes = field(repr=False)
    flags: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse any other length."""
        _expect_length("the device key", self.key, DEVICE_KEY_LENGTH)


@dataclass(frozen=True, slots=True)
class UplinkKid(XmrObject):
    """The root licence under whose content key this one's is encrypted."""

    root_kid: Kid
    checksum: bytes
    checksum_type: int = 1


@dataclass(frozen=True, slots=True)
class Signature(XmrObject):
    """AES-CMAC under the integrity key over all bytes before this object: 16 bytes."""

    cmac: bytes

    def __post_init__(self) -> None:
        """Refuse any other length."""
        _expect_length("the signature", self.cmac, SIGNATURE_LENGTH)
