"""Management of accounts by command or admin API; each action is one transaction."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import Enum
from typing import Final

from rightsmanager.admin.refusals import Conflict
from rightsmanager.admin.times import date_of
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import (
    NotADomainMember,
    ServiceSpecific,
    UnknownAccountId,
)
from rightsmanager.operations.domain_authority import MAX_NAME, DomainAuthority
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.wire import (
    GUID_LENGTH,
    AccountId,
    ServiceId,
    encode_base64,
    fingerprint,
    parse_octets,
)
from rightsmanager.store.database import Store, Transaction
from rightsmanager.store.domains import Account, Member, StoredRevision
from rightsmanager.store.paging import Cut, Page

DEVICE_LENGTH: Final = 32
MAX_LIMIT: Final = 2**31 - 1
MAX_URL: Final = 2048
"""Maximum length of a URL, in characters."""


class MemberState(Enum):
    """The relation of a device to an account."""

    MEMBER = "member"
    LEFT = "left"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class RevisionFacts:
    """The public facts of a revision."""

    revision: int
    key_fingerprint: str
    """The fingerprint of the domain's public key."""
    certificate_digest: bytes
    """The digest to revoke the certificate by, 32 bytes."""
    made_at: datetime


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """A device that is or was a member."""

    device: str
    """The device id."""
    name: str
    """The name that the device gave itself."""
    state: MemberState
    joined_at: datetime
    revision: int
    """The newest one that was sent to the device."""
    ended_at: datetime | None


@dataclass(frozen=True)
class AccountFacts:
    """The public facts of an account and its domain."""

    account_id: AccountId
    service_id: ServiceId
    friendly_name: str
    url: str
    """Empty for the URL of the settings."""
    limit: int
    """The most members at a time."""
    members: int
    """The count of members."""
    revision: int
    """The newest one."""
    created_at: datetime
    closed_at: datetime | None
    """None for an open account."""


@dataclass(frozen=True)
class DetailedAccountFacts(AccountFacts):
    """The facts of an account with its revisions and members."""

    revisions: tuple[RevisionFacts, ...]
    """Newest first."""
    devices: tuple[MemberFacts, ...]
    """Current and former members, in the order of joining."""


@dataclass(frozen=True, slots=True)
class AccountDetails:
    """An account with its revisions and members, without private keys."""

    account: Account
    revisions: tuple[RevisionFacts, ...]
    """Newest first."""
    members: tuple[Member, ...]
    """Current and former members, in the order of joining."""


@dataclass(frozen=True, slots=True)
class DomainAdministration:
    """Lists and changes accounts; raises UnknownAccountId for a missing one."""

    store: Store
    authority: DomainAuthority
    clock: Callable[[], int]

    def find_accounts(self) -> list[Account]:
        """Return every account, oldest first."""
        with self.store.reading() as found:
            return found.domains.find_all()

    def find_page(self, cut: Cut) -> Page[Account]:
        """Return a page of all accounts, oldest first."""
        with self.store.reading() as found:
            return found.domains.find_page(cut)

    def find_account(self, account_id: AccountId) -> AccountDetails:
        """Return an account with its revisions and members."""
        with self.store.reading() as found:
            account = _expect(found.domains.find(account_id), account_id)
            revisions = found.domains.find_revisions(account_id)
            members = found.domains.find_members(account_id)
        return AccountDetails(account, tuple(map(_facts, revisions)), tuple(members))

    def create(
        self,
        account_id: AccountId | None = None,
        *,
        friendly_name: str | None = None,
        url: str = "",
        limit: int | None = None,
    ) -> Account:
        """Create an account, with a random id by default.

        Raises Conflict if it exists, and ServiceSpecific for an invalid value.
        """
        terms = self.authority.defaults
        account_id = account_id or _new_account_id(self.authority.rng)
        account = replace(
            terms.new_account(account_id, self.clock()),
            friendly_name=terms.friendly_name if friendly_name is None else friendly_name,
            url=url,
            limit=terms.limit if limit is None else limit,
        )
        refuse_values(account.friendly_name, account.url, account.limit)
        with self.store.transaction() as transaction:
            if not self.authority.open_account(transaction, account):
                raise Conflict(f"account {account_id.text} is there, expected a new one")
            return _expect(transaction.domains.find(account_id), account_id)

    def change(
        self,
        account_id: AccountId,
        *,
        friendly_name: str | None = None,
        url: str | None = None,
        limit: int | None = None,
        closed: bool | None = None,
    ) -> Account:
        """Change the given facts of an account.

        Members above a new limit stay. Certificates of existing revisions keep their URL. Raises
        ServiceSpecific for an invalid value, and Conflict if it is already closed or open.
        """
        with self.store.transaction() as transaction:
            account = _take(transaction, account_id)
            changed = replace(
                account,
                friendly_name=account.friendly_name if friendly_name is None else friendly_name,
                url=account.url if url is None else url,
                limit=account.limit if limit is None else limit,
            )
            refuse_values(changed.friendly_name, changed.url, changed.limit)
            transaction.domains.change(changed)
            return changed if closed is None else self._close(transaction, changed, closed=closed)

    def close(self, account_id: AccountId) -> Account:
        """Close an account.

        Refuse joins and licences until it is reopened; raises Conflict if closed.
        """
        return self.change(account_id, closed=True)

    def reopen(self, account_id: AccountId) -> Account:
        """Reopen a closed account with its members; raises Conflict if it is open."""
        return self.change(account_id, closed=False)

    def renew(self, account_id: AccountId) -> Account:
        """Create the next revision of an account's domain, which new licences need."""
        with self.store.transaction() as transaction:
            account = _take(transaction, account_id)
            return self.authority.renew(transaction, account, self.clock())

    def remove(self, account_id: AccountId, device: str) -> Account:
        """Remove a member until it is allowed again, and renew the domain.

        Raises NotADomainMember for other devices.
        """
        with self.store.transaction() as transaction:
            account = _take(transaction, account_id)
            member = transaction.domains.find_member(account_id, device)
            if member is None or not member.is_member:
                raise NotADomainMember(
                    f"device {device} is not a member of account {account_id.text}"
                )
            transaction.domains.record_member(account_id, replace(member, removed_at=self.clock()))
            transaction.domains.release_seat(account_id)
            renewed = self.authority.renew(transaction, account, self.clock())
            return replace(renewed, members=account.members - 1)

    def allow(self, account_id: AccountId, device: str) -> Account:
        """Let a removed device join again; raises Conflict for one that was not removed."""
        with self.store.transaction() as transaction:
            account = _take(transaction, account_id)
            member = transaction.domains.find_member(account_id, device)
            if member is None or member.removed_at is None:
                raise Conflict(f"device {device} was not removed from account {account_id.text}")
            left = replace(member, removed_at=None, left_at=member.removed_at)
            transaction.domains.record_member(account_id, left)
            return account

    def _close(self, transaction: Transaction, account: Account, *, closed: bool) -> Account:
        if closed == (account.closed_at is not None):
            state = "closed" if closed else "open"
            raise Conflict(f"account {account.account_id.text} is {state}")
        closed_at = self.clock() if closed else None
        transaction.domains.close(account.account_id, closed_at)
        return replace(account, closed_at=closed_at)


def account_facts(account: Account) -> AccountFacts:
    """Return the public facts of an account."""
    return AccountFacts(
        account_id=account.account_id,
        service_id=account.service_id,
        friendly_name=account.friendly_name,
        url=account.url,
        limit=account.limit,
        members=account.members,
        revision=account.revision,
        created_at=date_of(account.created_at),
        closed_at=date_of(account.closed_at),
    )


def details_facts(details: AccountDetails) -> DetailedAccountFacts:
    """Return the public facts of an account, its revisions and members."""
    facts = account_facts(details.account)
    return DetailedAccountFacts(
        **{each.name: getattr(facts, each.name) for each in fields(facts)},
        revisions=details.revisions,
        devices=tuple(map(_member_facts, details.members)),
    )


def _member_facts(member: Member) -> MemberFacts:
    ended_at = member.left_at if member.removed_at is None else member.removed_at
    left = MemberState.LEFT if member.removed_at is None else MemberState.REMOVED
    return MemberFacts(
        device=member.device,
        name=member.name,
        state=MemberState.MEMBER if member.is_member else left,
        joined_at=date_of(member.joined_at),
        revision=member.revision,
        ended_at=date_of(ended_at),
    )


def parse_device(text: str) -> str:
    """Return a device id in base64, given in hexadecimal, base64 or base64 for URLs.

    Raises InvalidMessage.
    """
    return encode_base64(parse_octets(text, "device", DEVICE_LENGTH))


def refuse_values(friendly_name: str, url: str, limit: int) -> None:
    """Raise ServiceSpecific for values that certificates and messages cannot hold."""
    if len(friendly_name) > MAX_NAME or not friendly_name.isprintable():
        raise ServiceSpecific(
            f"friendly_name has {len(friendly_name)} characters, expected at most {MAX_NAME}, "
            "all printable"
        )
    is_address = url.startswith(("http://", "https://")) and url.isascii() and url.isprintable()
    if url and not (is_address and len(url) <= MAX_URL):
        raise ServiceSpecific(
            f"url is {url[:64]!r}, expected http:// or https:// and at most {MAX_URL} characters"
        )
    if not 0 <= limit <= MAX_LIMIT:
        raise ServiceSpecific(f"limit is {limit}, expected 0 to {MAX_LIMIT}")


def _new_account_id(rng: Rng) -> AccountId:
    return AccountId(rng(GUID_LENGTH))


def _take(transaction: Transaction, account_id: AccountId) -> Account:
    return _expect(transaction.domains.lock(account_id), account_id)


def _expect(account: Account | None, account_id: AccountId) -> Account:
    if account is None:
        raise UnknownAccountId(f"there is no account {account_id.text}")
    return account


def _facts(stored: StoredRevision) -> RevisionFacts:
    leaf = parse_chain(stored.chain).leaf
    return RevisionFacts(
        stored.revision, fingerprint(leaf.encryption_key.raw), leaf.digest, date_of(stored.made_at)
    )
