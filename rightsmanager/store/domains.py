"""Domains in the store: accounts, the revisions of their domains, and the members.

An account's row serializes changes of it: a join, leave, renewal or removal locks it, and issuing a
licence that is bound to its domain locks it shared.
"""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Select, bindparam, select, update

from rightsmanager.protocol.wire import AccountId, ServiceId
from rightsmanager.store.component import (
    Component,
    insert_once,
    insert_or_update,
    record_of,
    values_of,
)
from rightsmanager.store.paging import Cut, Order, Page, map_page
from rightsmanager.store.tables import (
    DOMAIN_ACCOUNTS,
    DOMAIN_MEMBERS,
    DOMAIN_REQUESTS,
    DOMAIN_REVISIONS,
)

_ACCOUNT: Final = DOMAIN_ACCOUNTS.c
_REVISION: Final = DOMAIN_REVISIONS.c
_MEMBER: Final = DOMAIN_MEMBERS.c

_FIND: Final = select(DOMAIN_ACCOUNTS).where(_ACCOUNT.account_id == bindparam("account_id"))
# SQLite has no such clause and needs none: its writing transactions run one at a time.
_LOCK_SHARED: Final = _FIND.with_for_update(read=True)
_LOCK: Final = _FIND.with_for_update()
_FIND_ALL: Final = select(DOMAIN_ACCOUNTS).order_by(_ACCOUNT.created_at, _ACCOUNT.account_id)
_SELECT: Final = select(DOMAIN_ACCOUNTS)
_ORDER: Final = Order((_ACCOUNT.created_at, _ACCOUNT.account_id))
_RECORD: Final = insert_once(DOMAIN_ACCOUNTS)
# `of_` and `new_`: SQLAlchemy reserves the names of columns for their new values.
_UPDATE: Final = update(DOMAIN_ACCOUNTS).where(_ACCOUNT.account_id == bindparam("of_account_id"))
_CHANGE: Final = _UPDATE.values(
    {
        "friendly_name": bindparam("new_friendly_name"),
        "url": bindparam("new_url"),
        "limit": bindparam("new_limit"),
    }
)
_CLOSE: Final = _UPDATE.values(closed_at=bindparam("new_closed_at"))
_RESERVE_SEAT: Final = _UPDATE.where(_ACCOUNT.members < _ACCOUNT.limit).values(
    members=_ACCOUNT.members + 1
)
_RELEASE_SEAT: Final = _UPDATE.values(members=_ACCOUNT.members - 1)
_RECORD_REVISION: Final = insert_once(DOMAIN_REVISIONS)
_RAISE_REVISION: Final = _UPDATE.values(revision=bindparam("new_revision"))
_OF_ACCOUNT: Final = _REVISION.account_id == bindparam("account_id")
_FIND_REVISIONS: Final = (
    select(_REVISION.revision, _REVISION.chain, _REVISION.ciphertext, _REVISION.made_at)
    .where(_OF_ACCOUNT)
    .order_by(_REVISION.revision.desc())
)
_FIND_CHAIN: Final = select(_REVISION.chain).where(
    _OF_ACCOUNT, _REVISION.revision == bindparam("revision")
)
_FIND_MADE_AT: Final = select(_REVISION.made_at).where(
    _OF_ACCOUNT, _REVISION.revision == bindparam("revision")
)
_FIND_MEMBERS: Final = (
    select(*(column for column in _MEMBER if column is not _MEMBER.account_id))
    .where(_MEMBER.account_id == bindparam("account_id"))
    .order_by(_MEMBER.joined_at, _MEMBER.device)
)
_FIND_MEMBER: Final = _FIND_MEMBERS.where(_MEMBER.device == bindparam("device"))
_RECORD_MEMBER: Final = insert_or_update(
    DOMAIN_MEMBERS, "name", "joined_at", "revision", "left_at", "removed_at"
)
_RECORD_REQUEST: Final = insert_once(DOMAIN_REQUESTS)


@dataclass(frozen=True, slots=True)
class Account:
    """An account and its domain; times are in Unix seconds."""

    account_id: AccountId
    service_id: ServiceId
    friendly_name: str
    url: str
    """Empty for the URL of the settings."""
    limit: int
    """The most members at a time."""
    created_at: int
    members: int = 0
    """The count of members."""
    revision: int = 0
    """The newest one."""
    closed_at: int | None = None
    """None for an open account."""


@dataclass(frozen=True, slots=True)
class StoredRevision:
    """One revision of a domain."""

    revision: int
    chain: bytes = field(repr=False)
    """BCert chain."""
    ciphertext: bytes = field(repr=False)
    """The encrypted private key, 60 bytes."""
    made_at: int
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Member:
    """A device that is or was a member; times are in Unix seconds."""

    device: str
    """The device id."""
    name: str
    """The name that the device gave itself."""
    joined_at: int
    revision: int
    """The newest one that was sent to the device."""
    left_at: int | None = None
    removed_at: int | None = None

    @property
    def is_member(self) -> bool:
        """Whether the device is a member now."""
        return self.left_at is None and self.removed_at is None


class Domains(Component):
    """Accounts by account id, with the revisions and members of their domains."""

    def find(self, account_id: AccountId) -> Account | None:
        """Return an account, or None."""
        return self._find(_FIND, account_id)

    def lock_shared(self, account_id: AccountId) -> Account | None:
        """Lock an account against changes until the transaction ends; return it, or None."""
        return self._find(_LOCK_SHARED, account_id)

    def lock(self, account_id: AccountId) -> Account | None:
        """Lock an account until the transaction ends, to change it; return it, or None."""
        return self._find(_LOCK, account_id)

    def find_all(self) -> list[Account]:
        """Return every account, oldest first."""
        return [record_of(Account, row) for row in self._execute(_FIND_ALL)]

    def find_page(self, cut: Cut) -> Page[Account]:
        """Return a page of all accounts, oldest first; raises InvalidMessage for a wrong key."""
        page = _ORDER.page(self._execute(_ORDER.cut(_SELECT, cut)).all(), cut)
        return map_page(page, [record_of(Account, row) for row in page.items])

    def record(self, account: Account) -> bool:
        """Record an account; return whether it is new. An existing one stays as it is."""
        return self._count(_RECORD, values_of(account)) == 1

    def change(self, account: Account) -> None:
        """Set name, URL and limit of an account to the given ones; members stay."""
        values = {
            "new_friendly_name": account.friendly_name,
            "new_url": account.url,
            "new_limit": account.limit,
        }
        self._execute(_CHANGE, {"of_account_id": account.account_id, **values})

    def close(self, account_id: AccountId, now: int | None) -> None:
        """Close an account, or reopen it with None."""
        self._execute(_CLOSE, {"of_account_id": account_id, "new_closed_at": now})

    def reserve_seat(self, account_id: AccountId) -> bool:
        """Count one more member; return whether the limit allowed it."""
        return self._count(_RESERVE_SEAT, {"of_account_id": account_id}) == 1

    def release_seat(self, account_id: AccountId) -> None:
        """Count one member less."""
        self._execute(_RELEASE_SEAT, {"of_account_id": account_id})

    # --- revisions --------------------------------------------------------------------------------

    def record_revision(self, account_id: AccountId, revision: StoredRevision) -> None:
        """Record a revision and make it the account's newest."""
        self._execute(_RECORD_REVISION, {"account_id": account_id, **values_of(revision)})
        values = {"of_account_id": account_id, "new_revision": revision.revision}
        self._execute(_RAISE_REVISION, values)

    def find_revisions(self, account_id: AccountId) -> list[StoredRevision]:
        """Return all revisions of an account's domain, newest first."""
        rows = self._execute(_FIND_REVISIONS, {"account_id": account_id})
        return [record_of(StoredRevision, row) for row in rows]

    def find_chain(self, account_id: AccountId, revision: int) -> bytes:
        """Return the BCert chain of an existing revision."""
        values = {"account_id": account_id, "revision": revision}
        chain: bytes = self._execute(_FIND_CHAIN, values).scalar_one()
        return chain

    def find_made_at(self, account_id: AccountId, revision: int) -> int:
        """Return the Unix seconds at which an existing revision was made."""
        values = {"account_id": account_id, "revision": revision}
        made_at: int = self._execute(_FIND_MADE_AT, values).scalar_one()
        return made_at

    # --- members ----------------------------------------------------------------------------------

    def find_member(self, account_id: AccountId, device: str) -> Member | None:
        """Return a device that is or was a member, or None."""
        row = self._execute(_FIND_MEMBER, {"account_id": account_id, "device": device}).first()
        return None if row is None else record_of(Member, row)

    def find_members(self, account_id: AccountId) -> list[Member]:
        """Return all devices that are or were members, the first to join first."""
        rows = self._execute(_FIND_MEMBERS, {"account_id": account_id})
        return [record_of(Member, row) for row in rows]

    def record_member(self, account_id: AccountId, member: Member) -> None:
        """Record a member, replacing the earlier record of the device."""
        self._execute(_RECORD_MEMBER, {"account_id": account_id, **values_of(member)})

    def record_request(self, request: bytes, device: str, now: int) -> bool:
        """Record a join or leave by its digest of 32 bytes; return whether it is new."""
        row = {"request": request, "device": device, "made_at": now}
        return self._count(_RECORD_REQUEST, row) == 1

    def _find(self, statement: Select[tuple[object, ...]], account_id: AccountId) -> Account | None:
        row = self._execute(statement, {"account_id": account_id}).first()
        return None if row is None else record_of(Account, row)
