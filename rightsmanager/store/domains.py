"""Domains in the store: accounts, the revisions of their domains, and who is a member.

An account's row is what changes of it wait for: who joins, leaves, renews or removes takes it, and
who issues a licence bound to its domain holds it as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import bindparam, delete, literal_column, select, update

from rightsmanager.protocol.wire import AccountId, ServiceId
from rightsmanager.store.statements import Clause, Queries, insert_once
from rightsmanager.store.tables import (
    DOMAIN_ACCOUNTS,
    DOMAIN_MEMBERS,
    DOMAIN_REQUESTS,
    DOMAIN_REVISIONS,
)


@dataclass(frozen=True, slots=True)
class Account:
    """An account and its domain."""

    account_id: AccountId
    service_id: ServiceId
    friendly_name: str
    url: str
    """Empty: as the settings say."""
    limit: int
    """How many members there may be."""
    created_at: int
    """Unix seconds."""
    members: int = 0
    """How many there are."""
    revision: int = 0
    """The newest one."""
    closed_at: int | None = None
    """Unix seconds; None for an open account."""


@dataclass(frozen=True, slots=True)
class StoredRevision:
    """One revision of a domain."""

    revision: int
    chain: bytes = field(repr=False)
    """BCert chain."""
    ciphertext: bytes = field(repr=False)
    """The private key, encrypted, 60 bytes."""
    made_at: int
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Member:
    """A device that is or was a member."""

    device: str
    """Base64 of the SHA-256 of the device's signing key."""
    name: str
    """What the device calls itself."""
    joined_at: int
    """Unix seconds."""
    revision: int
    """The newest one that the device was given."""
    left_at: int | None = None
    removed_at: int | None = None

    @property
    def is_member(self) -> bool:
        """Whether the device is one now."""
        return self.left_at is None and self.removed_at is None


class Domains(Queries):
    """The part of a transaction that is about domains."""

    def find(self, account_id: AccountId) -> Account | None:
        """Return an account, or None."""
        return self._account("find account", account_id)

    def lock_shared(self, account_id: AccountId) -> Account | None:
        """Return an account, or None; until the transaction ends nobody can change it."""
        return self._account("hold account", account_id)

    def lock(self, account_id: AccountId) -> Account | None:
        """Return an account, or None; until the transaction ends only this one can change it."""
        return self._account("take account", account_id)

    def find_all(self) -> list[Account]:
        """Return every account, oldest first."""
        return [_account(row) for row in self._run("find accounts")]

    def record(self, account: Account) -> bool:
        """Record an account; return whether it is new, and leave one that is there alone."""
        return self._count("record account", _account_row(account)) == 1

    def change(self, account: Account) -> None:
        """Set name, URL and limit of an account as they are given; its members stay."""
        values = {
            "friendly_name": account.friendly_name,
            "url": account.url,
            "member_limit": account.limit,
        }
        self._run("change account", {"key": account.account_id.raw, **values})

    def close(self, account_id: AccountId, now: int | None) -> None:
        """Close an account, or with None open it again."""
        self._run("close account", {"key": account_id.raw, "closed_at": now})

    def reserve_seat(self, account_id: AccountId) -> bool:
        """Count one member more; return whether the limit allowed it."""
        return self._count("take place", {"key": account_id.raw}) == 1

    def release_seat(self, account_id: AccountId) -> None:
        """Count one member less."""
        self._run("free place", {"key": account_id.raw})

    # --- revisions --------------------------------------------------------------------------------

    def record_revision(self, account_id: AccountId, revision: StoredRevision) -> None:
        """Record a revision, which from now on is the account's newest."""
        self._run("record revision", _revision_row(account_id, revision))
        self._run("raise revision", {"key": account_id.raw, "revision": revision.revision})

    def find_revisions(self, account_id: AccountId) -> list[StoredRevision]:
        """Return all revisions of an account's domain, newest first."""
        return [_revision(row) for row in self._run("find revisions", _key(account_id))]

    def find_chain(self, account_id: AccountId, revision: int) -> bytes:
        """Return the BCert chain of a revision that is there."""
        key = {"account_id": account_id.raw, "revision": revision}
        (chain,) = self._run("find revision chain", key).fetchone()
        return bytes(chain)

    # --- members ----------------------------------------------------------------------------------

    def find_member(self, account_id: AccountId, device: str) -> Member | None:
        """Return a device that is or was a member, or None."""
        key = {"account_id": account_id.raw, "device": device}
        row = self._run("find member", key).fetchone()
        return None if row is None else Member(*row)

    def find_members(self, account_id: AccountId) -> list[Member]:
        """Return all devices that are or were members, the first to join first."""
        return [Member(*row) for row in self._run("find members", _key(account_id))]

    def record_member(self, account_id: AccountId, member: Member) -> None:
        """Record what is known of a device in place of what was."""
        key = {"account_id": account_id.raw, "device": member.device}
        self._run("remove member", key)
        self._run("record member", {**key, **_member_row(member)})

    def record_request(self, request: bytes, device: str, now: int) -> bool:
        """Record a join or leave by its digest of 32 bytes; return whether it is new."""
        row = {"request": request, "device": device, "made_at": now}
        return self._count("record domain request", row) == 1

    def _account(self, statement: str, account_id: AccountId) -> Account | None:
        row = self._run(statement, _key(account_id)).fetchone()
        return None if row is None else _account(row)


def _key(account_id: AccountId) -> Mapping[str, object]:
    return {"account_id": account_id.raw}


def _account(row: Sequence[Any]) -> Account:
    account_id, service_id, name, url, limit, members, revision, created_at, closed_at = row
    return Account(
        account_id=AccountId(bytes(account_id)),
        service_id=ServiceId(bytes(service_id)),
        friendly_name=name,
        url=url,
        limit=limit,
        members=members,
        revision=revision,
        created_at=created_at,
        closed_at=closed_at,
    )


def _account_row(account: Account) -> Mapping[str, object]:
    return {
        "account_id": account.account_id.raw,
        "service_id": account.service_id.raw,
        "friendly_name": account.friendly_name,
        "url": account.url,
        "member_limit": account.limit,
        "members": account.members,
        "revision": account.revision,
        "created_at": account.created_at,
        "closed_at": account.closed_at,
    }


def _revision(row: Sequence[Any]) -> StoredRevision:
    _, revision, chain, ciphertext, made_at = row
    return StoredRevision(revision, bytes(chain), bytes(ciphertext), made_at)


def _revision_row(account_id: AccountId, revision: StoredRevision) -> Mapping[str, object]:
    return {
        "account_id": account_id.raw,
        "revision": revision.revision,
        "chain": revision.chain,
        "ciphertext": revision.ciphertext,
        "made_at": revision.made_at,
    }


def _member_row(member: Member) -> Mapping[str, object]:
    return {
        "name": member.name,
        "joined_at": member.joined_at,
        "revision": member.revision,
        "left_at": member.left_at,
        "removed_at": member.removed_at,
    }


_ACCOUNT, _REVISION, _MEMBER = DOMAIN_ACCOUNTS.c, DOMAIN_REVISIONS.c, DOMAIN_MEMBERS.c
_ONE_ACCOUNT: Final = select(DOMAIN_ACCOUNTS).where(_ACCOUNT.account_id == bindparam("account_id"))
_MEMBER_FACTS: Final = select(*(column for column in _MEMBER if column is not _MEMBER.account_id))
_OF_DEVICE: Final = (
    _MEMBER.account_id == bindparam("account_id"),
    _MEMBER.device == bindparam("device"),
)
# A parameter of a column's name would be its new value.
_CHANGE: Final = update(DOMAIN_ACCOUNTS).where(_ACCOUNT.account_id == bindparam("key"))
_ONE: Final[Any] = literal_column("1")

DOMAIN_STATEMENTS: Final[Mapping[str, Clause]] = {
    "find account": lambda _: _ONE_ACCOUNT,
    # SQLite has no such clause and needs none: its transactions are one at a time.
    "hold account": lambda _: _ONE_ACCOUNT.with_for_update(read=True),
    "take account": lambda _: _ONE_ACCOUNT.with_for_update(),
    "find accounts": lambda _: select(DOMAIN_ACCOUNTS).order_by(
        _ACCOUNT.created_at, _ACCOUNT.account_id
    ),
    "record account": lambda dialect: insert_once(DOMAIN_ACCOUNTS, dialect),
    "change account": lambda _: _CHANGE.values(
        friendly_name=bindparam("friendly_name"),
        url=bindparam("url"),
        member_limit=bindparam("member_limit"),
    ),
    "close account": lambda _: _CHANGE.values(closed_at=bindparam("closed_at")),
    "take place": lambda _: _CHANGE.where(_ACCOUNT.members < _ACCOUNT.member_limit).values(
        members=_ACCOUNT.members + _ONE
    ),
    "free place": lambda _: _CHANGE.values(members=_ACCOUNT.members - _ONE),
    "record revision": lambda dialect: insert_once(DOMAIN_REVISIONS, dialect),
    "raise revision": lambda _: _CHANGE.values(revision=bindparam("revision")),
    "find revisions": lambda _: (
        select(DOMAIN_REVISIONS)
        .where(_REVISION.account_id == bindparam("account_id"))
        .order_by(_REVISION.revision.desc())
    ),
    "find revision chain": lambda _: select(_REVISION.chain).where(
        _REVISION.account_id == bindparam("account_id"),
        _REVISION.revision == bindparam("revision"),
    ),
    "find member": lambda _: _MEMBER_FACTS.where(*_OF_DEVICE),
    "find members": lambda _: _MEMBER_FACTS.where(_OF_DEVICE[0]).order_by(
        _MEMBER.joined_at, _MEMBER.device
    ),
    "remove member": lambda _: delete(DOMAIN_MEMBERS).where(*_OF_DEVICE),
    "record member": lambda dialect: insert_once(DOMAIN_MEMBERS, dialect),
    "record domain request": lambda dialect: insert_once(DOMAIN_REQUESTS, dialect),
}
"""Every statement about domains, by what it does."""
