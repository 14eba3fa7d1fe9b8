"""The form of packagers' keys: PlayReady Objects that name them, and the systems that are known."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.protocol.formats.pssh import SYSTEM_ID, build_object, object_of
from rightsmanager.protocol.formats.wrmheader import Algid, Header, HeaderKid, Version, checksum
from rightsmanager.protocol.wire import Kid

T = TypeVar("T")

WITHOUT_DATA: Final = {
    uuid.UUID("1077efec-c0b2-4d02-ace3-3c1e52e2fb4b"): "Common PSSH",
    uuid.UUID("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"): "Widevine",
}
"""Systems that requests may name, and for which the server has no data."""
ALGIDS: Final = {"aesctr": Algid.AESCTR, "aescbc": Algid.AESCBC}
"""The ALGID of a stored key's type."""


@dataclass(frozen=True, slots=True)
class PackagingKey:
    """A content key in the clear."""

    kid: Kid
    key: bytes = field(repr=False)
    """16 bytes."""
    key_type: str
    """A name in KEY_TYPES."""
    track: str | None = None
    """The kind of streams that it encrypts."""


@dataclass(frozen=True, slots=True)
class PackagingOptions:
    """The form of new keys and of the headers that name them."""

    key_period_seconds: int = 0
    """0 for one key for the whole program."""
    header_version: Version = Version.V4_0
    key_type: str = "aesctr"
    checksum: bool = True
    is_key_type_named: bool = False
    """True if the request names the key type."""


_QUERY: Final[Mapping[str, Mapping[str, Any]]] = {
    "algid": {"AESCTR": "aesctr", "AESCBC": "aescbc"},
    "header_version": {version.value: version for version in Version},
}
"""The parameters of a packager's URL, and their values."""


def named_options(options: PackagingOptions, query: str) -> PackagingOptions:
    """Return the options with those that a packager's URL names: `algid` and `header_version`.

    Other names are passed over. Raises ServiceSpecific for an invalid value.
    """
    named = {name.lower(): value for name, value in parse_qsl(query)}
    if not named.keys() & _QUERY.keys():
        return options
    key_type = _named(named, "algid", options.key_type)
    return replace(
        options,
        key_type=key_type,
        header_version=_named(named, "header_version", options.header_version),
        is_key_type_named="algid" in named,
    )


def _named(named: Mapping[str, str], name: str, default: T) -> T:
    if name not in named:
        return default
    values = _QUERY[name]
    found: T | None = values.get(named[name].upper())
    if found is None:
        raise ServiceSpecific(f"{name} is {named[name][:64]!r}, expected {' or '.join(values)}")
    return found


def refuse_systems(systems: Sequence[uuid.UUID]) -> None:
    """Raise InvalidMessage for unknown systems, and without PlayReady's."""
    for system in systems:
        if system != SYSTEM_ID and system not in WITHOUT_DATA:
            known = (f"{each} ({name})" for each, name in WITHOUT_DATA.items())
            raise InvalidMessage(
                f"ProtectionSystemId {system} is not known, expected {SYSTEM_ID} (PlayReady) "
                f"and optionally {' or '.join(known)}"
            )
    if SYSTEM_ID not in systems:
        raise InvalidMessage(
            f"ProtectionSystems does not have {SYSTEM_ID} (PlayReady), expected it: "
            "there is no data for other systems alone"
        )


def build_playready_object(key: PackagingKey, options: PackagingOptions, url: str | None) -> bytes:
    """Return the PlayReady Object of a key, at most 15 KiB, with `url` as its LA_URL, if any.

    A key for AES-CBC has a header of version 4.3 in any case: older versions cannot name it.
    Raises InvalidMessage for a URL that is too long.
    """
    algid = ALGIDS[key.key_type]
    version = Version.V4_3 if algid is Algid.AESCBC else options.header_version
    digest = checksum(algid, key.key, key.kid) if options.checksum else None
    header = Header(version, (HeaderKid(key.kid, algid, digest),), la_url=url)
    return build_object(object_of(header))
