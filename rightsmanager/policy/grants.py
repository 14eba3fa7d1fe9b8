"""A grant is everything one licence shall say, before it is bound to a device."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.protocol.wire import NEVER, Kid
from rightsmanager.protocol.wrmheader import Header, HeaderKid
from rightsmanager.protocol.xmr.objects import KeyType


@dataclass(frozen=True, slots=True)
class OutputLevels:
    """The least protection of each output; 0 in all of them is no requirement."""

    compressed_digital_video: int = 0
    uncompressed_digital_video: int = 0
    analog_video: int = 0
    compressed_digital_audio: int = 0
    uncompressed_digital_audio: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """What a licence allows, whatever its content."""

    security_level: int = 150
    persistent: bool = False
    play: bool = True
    valid_for: int = 0
    """Seconds from issue until expiry; 0 for never."""
    output_levels: OutputLevels = OutputLevels()

    def end(self, now: int) -> int | None:
        """Return when a licence issued now expires, in Unix seconds, or None for never."""
        return min(now + self.valid_for, NEVER - 1) if self.valid_for else None


@dataclass(frozen=True, slots=True)
class Grant:
    """One licence: a policy for one content key."""

    kid: Kid
    key_type: KeyType | None
    """None: what the content key was stored for, else AES-CTR."""
    policy: Policy


_KEY_TYPES: Final = {
    "AESCTR": KeyType.AES_CTR,
    "AESCBC": KeyType.AES_CBC,
    None: None,
}
"""The key type of a licence by the ALGID of the header; COCKTAIL has none."""


def default_grants(header: Header, policy: Policy) -> tuple[Grant, ...]:
    """Return one grant for each KID of the header, in its order; none if it asks for none.

    Raises ServiceSpecific for content that licences cannot open.
    """
    if not header.license_requested:
        return ()
    return tuple(Grant(entry.kid, _key_type(entry), policy) for entry in header.kids)


def _key_type(entry: HeaderKid) -> KeyType | None:
    if entry.algid not in _KEY_TYPES:
        raise ServiceSpecific(
            f"KID {entry.kid.text} has ALGID {entry.algid!r}, expected AESCTR or AESCBC"
        )
    return _KEY_TYPES[entry.algid]


def refuse_security_level(grants: Sequence[Grant], device_level: int) -> None:
    """Refuse a licence that the device may not use; raises ServiceSpecific."""
    for grant in grants:
        if grant.policy.security_level > device_level:
            raise ServiceSpecific(
                f"the licence for KID {grant.kid.text} needs security level "
                f"{grant.policy.security_level}, the device's certificate has {device_level}"
            )


@lru_cache(maxsize=256)
def describe(policy: Policy, key_type: KeyType) -> str:
    """Return what was granted as JSON, for the record; it holds no key."""
    facts = {"key_type": key_type.name, **asdict(policy)}
    return json.dumps(facts, separators=(",", ":"))
