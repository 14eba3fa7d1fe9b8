"""Policies and grants: the content of licences before they are bound to a device."""

import json
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.protocol.formats.wrmheader import HeaderKid
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.wire import NEVER, AccountId, Guid, Kid, Mid, encode_base64


@dataclass(frozen=True, slots=True)
class OutputLevels:
    """The lowest protection level of each output; 0 in all of them requires nothing."""

    compressed_digital_video: int = 0
    uncompressed_digital_video: int = 0
    analog_video: int = 0
    compressed_digital_audio: int = 0
    uncompressed_digital_audio: int = 0


@dataclass(frozen=True, slots=True)
class Protection:
    """A GUID with data of any length, such as a protection of an output."""

    id: Guid
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class ExtendedRestriction:
    """A restriction: the type of its object in the licence and its data."""

    type: int
    data: bytes = b""
    must_understand: bool = True
    best_effort: bool = False


@dataclass(frozen=True, slots=True)
class ExtendedRight:
    """A right: the type of its object in the licence and its restrictions."""

    type: int
    restrictions: tuple[ExtendedRestriction, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """Rights and restrictions of a licence, apart from its content; dates are in Unix seconds."""

    security_level: int = 150
    persistent: bool = False
    play: bool = True
    valid_for: int = 0
    """Seconds from issue until expiry; 0 for never."""
    output_levels: OutputLevels = OutputLevels()
    begin: int | None = None
    expiration: int | None = None
    """Replaces `valid_for`."""
    first_play_expiration: int | None = None
    """Seconds."""
    real_time: bool = False
    removal_date: int | None = None
    grace_period: int | None = None
    """Seconds."""
    metering: Mid | None = None
    secure_stop: bool = False
    source_id: int | None = None
    restricted_source_ids: tuple[int, ...] = ()
    embedding: int = 1
    revocation_info_version: int | None = None
    metadata: tuple[Protection, ...] = ()
    analog_video: tuple[Protection, ...] = ()
    digital_audio: tuple[Protection, ...] = ()
    digital_video: tuple[Protection, ...] = ()
    play_enablers: tuple[Guid, ...] = ()
    extended_restrictions: tuple[ExtendedRestriction, ...] = ()
    """Restrictions of the Play right, or of the first granted right if Play is not granted."""
    copy: bool = False
    execute: bool = False
    read: bool = False
    extended_rights: tuple[ExtendedRight, ...] = ()

    def end(self, now: int) -> int | None:
        """Return the end of a licence issued now, in Unix seconds, or None for never."""
        if self.expiration is not None:
            return self.expiration
        return min(now + self.valid_for, NEVER - 1) if self.valid_for else None

    def secure_stop_mid(self, own: Mid) -> Mid | None:
        """Return the metering id that receives secure stops, None without secure stop.

        own: the server's own metering id, the default.
        """
        return (self.metering or own) if self.secure_stop else None


@dataclass(frozen=True, slots=True)
class Grant:
    """One licence: a policy for one content key."""

    kid: Kid
    key_type: KeyType | None
    """None: the type that the content key was stored with, else AES-CTR."""
    policy: Policy
    content_key: bytes | None = field(default=None, repr=False)
    """16 bytes from the request, in place of a stored or derived key."""
    key_seed: bytes | None = field(default=None, repr=False)
    """At least 30 bytes from the request, to derive the content key from."""
    is_root: bool = False
    """True if leaf licences may be chained to this one."""
    root_kid: Kid | None = None
    """The root licence that this leaf licence is chained to."""
    account_id: AccountId | None = None
    """The account to whose domain the licence is bound; None for the device alone."""


KEY_TYPES: Final = {
    "AESCTR": KeyType.AES_CTR,
    "AESCBC": KeyType.AES_CBC,
    None: None,
}
"""Key types by ALGID of the header; COCKTAIL has none."""


def key_type_of(entry: HeaderKid) -> KeyType | None:
    """Return the key type of a KID by its ALGID, None without an ALGID.

    Raises ServiceSpecific for an ALGID that no licence supports.
    """
    if entry.algid not in KEY_TYPES:
        raise ServiceSpecific(
            f"KID {entry.kid.text} has ALGID {entry.algid!r}, expected AESCTR or AESCBC"
        )
    return KEY_TYPES[entry.algid]


_ALWAYS_DESCRIBED: Final = frozenset(
    {"security_level", "persistent", "play", "valid_for", "output_levels"}
)


@lru_cache(maxsize=256)
def describe(
    policy: Policy,
    key_type: KeyType,
    *,
    is_root: bool = False,
    root_kid: Kid | None = None,
    account_id: AccountId | None = None,
) -> str:
    """Return a grant without its key as JSON, for the record.

    Fields that few licences have are left out where they have their default.
    """
    facts: dict[str, Any] = {"key_type": key_type.name}
    for each in fields(policy):
        value = getattr(policy, each.name)
        if each.name in _ALWAYS_DESCRIBED or value != each.default:
            facts[each.name] = plain_value(value)
    if is_root:
        facts["is_root"] = True
    if root_kid is not None:
        facts["root_kid"] = root_kid.text
    if account_id is not None:
        facts["account_id"] = account_id.text
    return json.dumps(facts, separators=(",", ":"))


def plain_value(value: Any) -> Any:  # noqa: ANN401 -- any field of a policy
    """Return the value of a policy's field as JSON has it."""
    if isinstance(value, Guid):
        return value.text
    if isinstance(value, bytes):
        return encode_base64(value)
    if isinstance(value, tuple):
        return [plain_value(item) for item in value]
    if isinstance(value, Enum) or not hasattr(value, "__dataclass_fields__"):
        return value
    return {each.name: plain_value(getattr(value, each.name)) for each in fields(value)}
