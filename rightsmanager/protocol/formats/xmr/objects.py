"""The objects of a licence, a frozen class for each type.

    object  flags u16 (1 must understand, 2 container), type u16, length u32 with this head, body

The default flags of a class are those of licence servers; received flags are kept. A container
keeps the order of its objects, known and unknown.

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
    """The use of a content key; other numbers are kept."""

    AES_CTR = 1
    AES_CBC = 5
    KEY_EXCHANGE = 6


class Cipher(IntEnum):
    """The encryption of a content key itself; other numbers are kept."""

    CHAINED = 2
    """Under the content key of the root licence that the uplink KID names."""
    ECC_256 = 3
    """By EC ElGamal over P-256 to a key of a certificate."""


def _other_length(what: str, data: bytes, length: int) -> InvalidMessage:
    return InvalidMessage(f"{what} of the licence has {len(data)} bytes, expected {length}")


@dataclass(frozen=True, slots=True)
class XmrObject:
    """Any object of a licence."""

    flags: int = field(default=MUST_UNDERSTAND, kw_only=True)


@dataclass(frozen=True, slots=True)
class Unknown(XmrObject):
    """An object of an unknown type, kept as received."""

    object_type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Container(XmrObject):
    """An object that contains objects."""

    objects: tuple[XmrObject, ...] = ()
    flags: int = field(default=MUST_UNDERSTAND | CONTAINER, kw_only=True)


@dataclass(frozen=True, slots=True)
class Outer(Container):
    """The outermost object of a licence."""


@dataclass(frozen=True, slots=True)
class GlobalPolicy(Container):
    """Conditions on every right of the licence."""


@dataclass(frozen=True, slots=True)
class SecurityLevel(XmrObject):
    """The lowest security level of a client's certificate."""

    level: int


@dataclass(frozen=True, slots=True)
class EmbeddingBehavior(XmrObject):
    """Whether the licence may be embedded into the content; 1 in all published licences."""

    behavior: int = 1
    flags: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class RevocationInfoVersion(XmrObject):
    """The oldest permitted revocation information of a client."""

    version: int


@dataclass(frozen=True, slots=True)
class RightsSettings(XmrObject):
    """Bit 1: the licence cannot persist. Persistent licences have no such object."""

    settings: int = 1


@dataclass(frozen=True, slots=True)
class IssueDate(XmrObject):
    """The time of issue, in seconds since 1970."""

    date: int
    flags: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class Expiration(XmrObject):
    """The period of validity in seconds since 1970; 0 and NEVER mean no bound."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class ExpireAfterFirstPlay(XmrObject):
    """Seconds of validity after the first play."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Domain(XmrObject):
    """The domain that the licence is bound to."""

    account_id: AccountId
    revision: int


@dataclass(frozen=True, slots=True)
class Metering(XmrObject):
    """The metering service that the use of the licence is reported to."""

    mid: Mid


@dataclass(frozen=True, slots=True)
class SecureStop(XmrObject):
    """The service that stopped playback is reported to."""

    mid: Mid


@dataclass(frozen=True, slots=True)
class SecureStop2Key(XmrObject):
    """The secure-stop-2 key of the licence's KID, encrypted under the content key: 16 bytes.

    Only the object's type is published; its body and flags are a profile of this project.
    """

    wrapped: bytes = field(repr=False)
    flags: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse any other length."""
        if len(self.wrapped) != SECURE_STOP_2_KEY_LENGTH:
            raise _other_length("the secure stop 2 key", self.wrapped, SECURE_STOP_2_KEY_LENGTH)


@dataclass(frozen=True, slots=True)
class RealTimeExpiration(XmrObject):
    """Playback ends in the second in which the licence expires."""


@dataclass(frozen=True, slots=True)
class RemovalDate(XmrObject):
    """The time after which a client may delete the licence, in seconds since 1970."""

    date: int
    flags: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class SourceId(XmrObject):
    """The protection system that the content was imported from."""

    source_id: int


@dataclass(frozen=True, slots=True)
class RestrictedSourceIds(XmrObject):
    """The restricted source ids, each four bytes."""

    source_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GracePeriod(XmrObject):
    """Seconds of validity while the clock is not secure."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Explicit(XmrObject):
    """A GUID with data of any length, specific to the GUID."""

    id: Guid
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class PolicyMetadata(Explicit):
    """A policy named by a GUID."""

    flags: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class PlaybackPolicy(Container):
    """The right to play and its conditions; an empty one grants the right."""

    flags: int = field(default=CONTAINER, kw_only=True)


@dataclass(frozen=True, slots=True)
class OutputProtectionLevels(XmrObject):
    """The lowest protection level of each kind of output."""

    compressed_digital_video: int
    uncompressed_digital_video: int
    analog_video: int
    compressed_digital_audio: int
    uncompressed_digital_audio: int


@dataclass(frozen=True, slots=True)
class ExplicitAnalogVideoProtections(Container):
    """Protections of analog video outputs, each named by a GUID."""


@dataclass(frozen=True, slots=True)
class ExplicitAnalogVideoProtection(Explicit):
    """One protection of analog video outputs."""


@dataclass(frozen=True, slots=True)
class ExplicitDigitalAudioProtections(Container):
    """Protections of digital audio outputs, each named by a GUID."""


@dataclass(frozen=True, slots=True)
class ExplicitDigitalAudioProtection(Explicit):
    """One protection of digital audio outputs."""


@dataclass(frozen=True, slots=True)
class ExplicitDigitalVideoProtections(Container):
    """Protections of digital video outputs, each named by a GUID."""


@dataclass(frozen=True, slots=True)
class ExplicitDigitalVideoProtection(Explicit):
    """One protection of digital video outputs."""


@dataclass(frozen=True, slots=True)
class PlayEnablers(Container):
    """The technologies that may receive playback."""

    flags: int = field(default=CONTAINER, kw_only=True)


@dataclass(frozen=True, slots=True)
class PlayEnabler(XmrObject):
    """A technology that may receive playback."""

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
    """The content key and its binding."""


@dataclass(frozen=True, slots=True)
class ContentKey(XmrObject):
    """A content key, encrypted: 128 bytes by EC ElGamal, 32 under a root licence."""

    kid: Kid
    key_type: int
    cipher: int
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeviceKey(XmrObject):
    """The public key that the licence is bound to: a P-256 point, 64 bytes."""

    key: bytes = field(repr=False)
    flags: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse any other length."""
        if len(self.key) != DEVICE_KEY_LENGTH:
            raise _other_length("the device key", self.key, DEVICE_KEY_LENGTH)


@dataclass(frozen=True, slots=True)
class UplinkKid(XmrObject):
    """The root licence with the key that this content key is encrypted under."""

    root_kid: Kid
    checksum: bytes
    checksum_type: int = 1


@dataclass(frozen=True, slots=True)
class Signature(XmrObject):
    """AES-CMAC under the integrity key over all bytes before this object: 16 bytes."""

    cmac: bytes

    def __post_init__(self) -> None:
        """Refuse any other length."""
        if len(self.cmac) != SIGNATURE_LENGTH:
            raise _other_length("the signature", self.cmac, SIGNATURE_LENGTH)
