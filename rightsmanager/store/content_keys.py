"""Content keys in the store, each encrypted."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, bindparam, delete, func, select, update

from rightsmanager.protocol.wire import Guid, Kid
from rightsmanager.store import hot
from rightsmanager.store.component import Component, insert_once, record_of, values_of
from rightsmanager.store.paging import Cut, Order, Page, map_page
from rightsmanager.store.sources import OPERATOR, Source
from rightsmanager.store.tables import CONTENT_KEYS, CONTENT_SOURCES

_KEY: Final = CONTENT_KEYS.c
_SOURCE: Final = CONTENT_SOURCES.c
_FIND_ALL: Final = select(CONTENT_KEYS).order_by(_KEY.added_at, _KEY.kid)
_ORIGIN: Final = func.coalesce(_SOURCE.origin, OPERATOR)
_SELECT: Final = select(
    CONTENT_KEYS,
    _ORIGIN.label("origin"),
    *(_SOURCE[name] for name in ("program", "period", "scheme", "iv")),
).outerjoin(CONTENT_SOURCES, _SOURCE.kid == _KEY.kid)
_ORDER: Final = Order((_KEY.added_at, _KEY.kid))
_RECORD: Final = insert_once(CONTENT_KEYS)
_SET_TRACK: Final = (
    update(CONTENT_KEYS).where(_KEY.kid == bindparam("of_kid")).values(track=bindparam("of_track"))
)
_REMOVE: Final = delete(CONTENT_KEYS).where(_KEY.kid == bindparam("kid"))


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A content key, encrypted."""

    kid: Kid
    ciphertext: bytes = field(repr=False)
    """44 bytes."""
    key_type: str
    added_at: int
    """Unix seconds."""
    track: str | None = None
    """The kind of streams that it encrypts, such as `uhd`."""


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Conditions on content keys; None for no condition."""

    program: str | None = None
    origin: str | None = None
    """`operator`, `packager` or `import`."""
    key_type: str | None = None
    """`aesctr` or `aescbc`."""
    track: str | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yield the conditions of a statement."""
        if self.program is not None:
            yield _SOURCE.program == self.program
        if self.origin is not None:
            yield _ORIGIN.in_((self.origin,))
        if self.key_type is not None:
            yield _KEY.key_type == self.key_type
        if self.track is not None:
            yield _KEY.track == self.track


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A content key of a page, and its origin."""

    key: StoredKey
    source: Source


KeyPair = tuple[StoredKey | None, StoredKey | None]
"""The content key of a KID, and that of the KID with its first three fields byte-swapped."""
NO_KEYS: Final[KeyPair] = (None, None)


class ContentKeys(Component):
    """Content keys by KID."""

    def find(self, kid: Kid) -> StoredKey | None:
        """Return the content key of a KID, or None."""
        row = hot.FIND_KEY.execute(self._link, {"kid": kid.raw}).fetchone()
        return None if row is None else StoredKey(kid, *row[1:])

    def find_pair(self, kid: Kid) -> KeyPair:
        """Return the content key of a KID and that of the byte-swapped KID."""
        values = {"kid": kid.raw, "swapped": kid.swapped.raw}
        return _pair(kid, *hot.FIND_KEYS.execute(self._link, values).fetchone())

    def find_with_version(self, list_id: Guid, kid: Kid) -> tuple[int, KeyPair]:
        """Return a revocation list's version and the content keys of a KID in both orders.

        The results of `revocations.find_version` and `find_pair` by one statement.
        """
        values = {"list_id": list_id.raw, "kid": kid.raw, "swapped": kid.swapped.raw}
        version, *keys = hot.FIND_VERSION_AND_KEYS.execute(self._link, values).fetchone()
        return version, _pair(kid, *keys)

    def find_all(self) -> list[StoredKey]:
        """Return all content keys, oldest first."""
        return [record_of(StoredKey, row) for row in self._execute(_FIND_ALL)]

    def find_page(self, chosen: KeyFilter, cut: Cut) -> Page[ListedKey]:
        """Return a page of the content keys that meet a filter, oldest first."""
        statement = _SELECT.where(*chosen.conditions())
        page = _ORDER.page(self._execute(_ORDER.cut(statement, cut)).all(), cut)
        return map_page(page, [_listed(row) for row in page.items])

    def record(self, key: StoredKey) -> bool:
        """Store a content key; return whether it is new. An existing key stays as it is."""
        return self._count(_RECORD, values_of(key)) == 1

    def set_track(self, kid: Kid, track: str | None) -> bool:
        """Set the track of a content key; return whether there is one."""
        return self._count(_SET_TRACK, {"of_kid": kid, "of_track": track}) == 1

    def remove(self, kid: Kid) -> bool:
        """Remove a content key; return whether there was one."""
        return self._count(_REMOVE, {"kid": kid}) == 1


def _pair(  # noqa: PLR0913, PLR0917 -- the columns of a row
    kid: Kid,
    ciphertext: bytes | None,
    key_type: str,
    added_at: int,
    track: str | None,
    swapped_ciphertext: bytes | None,
    swapped_type: str,
    swapped_at: int,
    swapped_track: str | None,
) -> KeyPair:
    """Return the keys of a row of `hot.FIND_KEYS`."""
    own = other = None
    if ciphertext is not None:
        own = StoredKey(kid, ciphertext, key_type, added_at, track)
    if swapped_ciphertext is not None:
        other = StoredKey(kid.swapped, swapped_ciphertext, swapped_type, swapped_at, swapped_track)
    return own, other


def _listed(row: Row[Any]) -> ListedKey:
    return ListedKey(
        StoredKey(row.kid, row.ciphertext, row.key_type, row.added_at, row.track),
        Source(row.origin, row.program, row.period, row.scheme, row.iv),
    )
