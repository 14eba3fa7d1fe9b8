"""Bearer tokens in the store, each by its digest alone."""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import bindparam, or_, select, update

from rightsmanager.store.component import Component, insert_once, record_of, values_of
from rightsmanager.store.paging import Cut, Order, Page, map_page
from rightsmanager.store.tables import API_TOKENS

_TOKEN: Final = API_TOKENS.c
_RECORD: Final = insert_once(API_TOKENS)
_FIND_ALL: Final = select(API_TOKENS)
_FIND_SORTED: Final = _FIND_ALL.order_by(_TOKEN.created_at, _TOKEN.token_id)
_ORDER: Final = Order((_TOKEN.created_at, _TOKEN.token_id))
_FIND: Final = _FIND_ALL.where(_TOKEN.token_id == bindparam("token_id"))
# `of_`: SQLAlchemy reserves the names of columns for their new values.
_OF_ID: Final = _TOKEN.token_id == bindparam("of_token_id")
_REVOKE: Final = (
    update(API_TOKENS).where(_OF_ID, _TOKEN.revoked_at.is_(None)).values(revoked_at=bindparam("at"))
)
_RECORD_USE: Final = (
    update(API_TOKENS)
    .where(_OF_ID, or_(_TOKEN.used_at.is_(None), _TOKEN.used_at < bindparam("before")))
    .values(used_at=bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token without its text; times are in Unix seconds."""

    token_id: str
    """16 hexadecimal digits: the first 8 bytes of the digest."""
    digest: bytes = field(repr=False)
    """SHA-256 of the token, 32 bytes."""
    name: str
    role: str
    """`read` or `operate`."""
    created_at: int
    expires_at: int | None = None
    """None for never."""
    used_at: int | None = None
    """The last use, recorded at most once an hour."""
    revoked_at: int | None = None


class Tokens(Component):
    """Tokens by id."""

    def record(self, token: StoredToken) -> bool:
        """Store a token; return whether its id is new."""
        return self._count(_RECORD, values_of(token)) == 1

    def find(self, token_id: str) -> StoredToken | None:
        """Return a token, revoked or not, or None."""
        row = self._execute(_FIND, {"token_id": token_id}).first()
        return None if row is None else record_of(StoredToken, row)

    def find_all(self) -> list[StoredToken]:
        """Return all tokens, oldest first."""
        return [record_of(StoredToken, row) for row in self._execute(_FIND_SORTED)]

    def find_page(self, cut: Cut) -> Page[StoredToken]:
        """Return a page of all tokens, oldest first; raises InvalidMessage for a wrong key."""
        page = _ORDER.page(self._execute(_ORDER.cut(_FIND_ALL, cut)).all(), cut)
        return map_page(page, [record_of(StoredToken, row) for row in page.items])

    def revoke(self, token_id: str, now: int) -> bool:
        """Revoke a token; return False if it already was."""
        return self._count(_REVOKE, {"of_token_id": token_id, "at": now}) == 1

    def record_use(self, token_id: str, now: int, before: int) -> None:
        """Record a use unless one after `before` is recorded."""
        self._execute(_RECORD_USE, {"of_token_id": token_id, "at": now, "before": before})
