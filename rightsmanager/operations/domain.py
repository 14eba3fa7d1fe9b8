"""JoinDomain and LeaveDomain: a device becomes a member of an account's domain, or stops being one.

    never there, or left     may join while there is a free place
    member                   joins again for the newest revisions, and takes no place for it
    removed by the operator  may not join until the operator allows it

A challenge that is sent again is answered as the first time and changes nothing, also when the
device has joined or left again since.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rightsmanager.admin.domains import MAX_NAME
from rightsmanager.crypto import p256
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import (
    DeviceLimitReached,
    InvalidMessage,
    NotADomainMember,
    ServiceSpecific,
    UnknownAccountId,
)
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.facts import Event
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.clients import device_id, encryption_key, refuse_client
from rightsmanager.operations.domain_authority import DomainAuthority
from rightsmanager.operations.request import Request
from rightsmanager.operations.revocation import RevocationCache
from rightsmanager.operations.signing import Signing
from rightsmanager.policy.query import parse_request
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.messages.domain import (
    JOIN,
    LEAVE,
    DomainRevision,
    JoinChallenge,
    JoinResponse,
    LeaveChallenge,
    LeaveResponse,
    open_join,
    open_leave,
    seal_join_response,
    seal_leave_response,
    wrap_domain_key,
)
from rightsmanager.protocol.messages.exchange import MessageNames
from rightsmanager.protocol.wire import AccountId, ServiceId
from rightsmanager.store.database import Store, Transaction
from rightsmanager.store.domains import Account, Member, StoredRevision


@dataclass(frozen=True, slots=True)
class _Joined:
    """What stands recorded of a join."""

    account: Account
    revisions: tuple[StoredRevision, ...]


@dataclass(frozen=True, slots=True)
class DomainService:
    """Takes devices into domains and lets them go."""

    server_keys: Sequence[p256.PrivateKey] = field(repr=False)
    signing: Signing
    verifier: ChainVerifier
    store: Store
    revocations: RevocationCache
    authority: DomainAuthority
    backend: p256.Backend
    clock: Callable[[], int]
    rng: Rng
    hooks: Hooks = field(default_factory=lambda: Hooks(HookSet(), 0))

    def join_domain(self, request: Request) -> bytes:
        """Return the reply to a JoinDomain challenge, the device recorded as a member.

        Raises a Refusal, before which nothing is stored.
        """
        now = self.clock()
        challenge = open_join(request.envelope, self.server_keys, self.backend, self.verifier.parse)
        self._refuse(challenge, now)
        _refuse_name(challenge.friendly_name or "")
        device_key = encryption_key(challenge.signer.leaf)
        account_id = self._account_id(challenge, request)
        with self.store.transaction() as transaction:
            joined = self._join(transaction, challenge, account_id, request, now)
        self._tell(JOIN, challenge)
        return self._seal(joined, device_key, request)

    def leave_domain(self, request: Request) -> bytes:
        """Return the reply to a LeaveDomain challenge, the device recorded as one that left.

        Raises a Refusal, before which nothing is stored.
        """
        now = self.clock()
        challenge = open_leave(
            request.envelope, self.server_keys, self.backend, self.verifier.parse
        )
        self._refuse(challenge, now)
        with self.store.transaction() as transaction:
            account = self._leave(transaction, challenge, request, now)
        self._tell(LEAVE, challenge)
        response = LeaveResponse(account.service_id, account.account_id, account.revision)
        return seal_leave_response(response, self.signing.chain, self.signing.key)

    def _refuse(self, challenge: JoinChallenge | LeaveChallenge, now: int) -> None:
        revoked = self.revocations.find_revoked()
        refuse_client(self.verifier, challenge.chains, challenge.signer, revoked, now)

    def _tell(self, form: MessageNames, challenge: JoinChallenge | LeaveChallenge) -> None:
        self.hooks.on_event(Event(form.operation, device_id(challenge.signer.leaf)))

    # --- join -------------------------------------------------------------------------------------

    def _account_id(self, challenge: JoinChallenge, request: Request) -> AccountId:
        """Return the account that is meant: the challenge's, the request's, or the default one."""
        if challenge.account_id is not None:
            return challenge.account_id
        named = _named_account(request.query, challenge.custom_data)
        account_id = named or self.authority.terms.default_account
        if account_id is None:
            raise UnknownAccountId(
                "neither AccountID nor accountid names an account, and there is no default one"
            )
        return account_id

    def _join(
        self,
        transaction: Transaction,
        challenge: JoinChallenge,
        account_id: AccountId,
        request: Request,
        now: int,
    ) -> _Joined:
        account = self._open_account(transaction, challenge, account_id, request, now)
        device = device_id(challenge.signer.leaf)
        is_new = transaction.domains.record_request(challenge.digest, device, now)
        member = transaction.domains.find_member(account_id, device)
        self._refuse_member(account, member, request, is_new=is_new)
        if member is None or not member.is_member:
            self._take_place(transaction, account, request)
            member = Member(device, "", now, account.revision)
        name = member.name if challenge.friendly_name is None else challenge.friendly_name
        transaction.domains.record_member(
            account_id, replace(member, name=name, revision=account.revision)
        )
        return _Joined(account, tuple(transaction.domains.find_revisions(account_id)))

    def _open_account(
        self,
        transaction: Transaction,
        challenge: JoinChallenge,
        account_id: AccountId,
        request: Request,
        now: int,
    ) -> Account:
        """Return an open account, made now if that is how accounts come to be."""
        terms = self.authority.terms
        account = transaction.domains.lock(account_id)
        if account is None and terms.first_use:
            _refuse_service(challenge.service_id, terms.service_id)
            self.authority.open_account(transaction, terms.new_account(account_id, now))
            # Another process may have made it meanwhile.
            account = transaction.domains.lock(account_id)
        return self._expect_open(account, challenge, account_id, request)

    def _expect_open(
        self,
        account: Account | None,
        challenge: JoinChallenge,
        account_id: AccountId,
        request: Request,
    ) -> Account:
        account = self._expect_account(account, account_id, request)
        _refuse_service(challenge.service_id, account.service_id)
        if account.closed_at is not None:
            raise UnknownAccountId(
                f"account {account_id.text} is closed",
                domain=self.authority.terms.fault_details(account, request.url),
            )
        return account

    def _expect_account(
        self, account: Account | None, account_id: AccountId, request: Request
    ) -> Account:
        if account is None:
            raise UnknownAccountId(
                f"there is no account {account_id.text}",
                domain=self.authority.terms.facts_of_unknown(account_id, request.url),
            )
        return account

    def _refuse_member(
        self, account: Account, member: Member | None, request: Request, *, is_new: bool
    ) -> None:
        if member is None or member.is_member:
            return
        domain = self.authority.terms.fault_details(account, request.url)
        if member.removed_at is not None:
            raise NotADomainMember(
                f"the operator removed the device from account {account.account_id.text}",
                domain=domain,
            )
        if not is_new:
            raise NotADomainMember(
                f"the device has left account {account.account_id.text} since it sent this "
                "challenge, expected a new one",
                domain=domain,
            )

    def _take_place(self, transaction: Transaction, account: Account, request: Request) -> None:
        if not transaction.domains.reserve_seat(account.account_id):
            terms = self.authority.terms
            raise DeviceLimitReached(
                f"account {account.account_id.text} has {account.members} of {account.limit} "
                "members",
                custom_data=terms.help_url or f"{request.url}?op=JoinDomain",
                domain=terms.fault_details(account, request.url),
            )

    def _seal(self, joined: _Joined, device_key: p256.PublicKey, request: Request) -> bytes:
        account = joined.account
        response = JoinResponse(
            service_id=account.service_id,
            account_id=account.account_id,
            friendly_name=account.friendly_name,
            domain_url=self.authority.terms.url_of(account, request.url),
            revisions=tuple(
                DomainRevision(
                    revision.revision,
                    revision.chain,
                    wrap_domain_key(
                        self.authority.open_key(account.account_id, revision),
                        device_key,
                        self.backend,
                        self.rng,
                    ),
                )
                for revision in joined.revisions
            ),
        )
        return seal_join_response(response, self.signing.chain, self.signing.key)

    # --- leave ------------------------------------------------------------------------------------

    def _leave(
        self, transaction: Transaction, challenge: LeaveChallenge, request: Request, now: int
    ) -> Account:
        found = transaction.domains.lock(challenge.account_id)
        account = self._expect_account(found, challenge.account_id, request)
        _refuse_service(challenge.service_id, account.service_id)
        device = device_id(challenge.signer.leaf)
        if not transaction.domains.record_request(challenge.digest, device, now):
            return account
        member = transaction.domains.find_member(account.account_id, device)
        if member is None or not member.is_member:
            raise NotADomainMember(
                f"the device is no member of account {account.account_id.text}",
                domain=self.authority.terms.fault_details(account, request.url),
            )
        transaction.domains.record_member(account.account_id, replace(member, left_at=now))
        transaction.domains.release_seat(account.account_id)
        return account


def _named_account(query: str, custom_data: str | None) -> AccountId | None:
    """Return the account that a query, or else CustomData, names by `accountid`, or None."""
    values: list[Any] = [
        value
        for requested in parse_request(query, custom_data).licenses
        for parameter, value in requested
        if parameter.name == "accountid"
    ]
    named = dict.fromkeys(values)
    if len(named) > 1:
        shown = " and ".join(account_id.text for account_id in named)
        raise ServiceSpecific(f"accountid is {shown}, expected one: a device joins one account")
    return next(iter(named), None)


def _refuse_name(name: str) -> None:
    if len(name) > MAX_NAME:
        raise InvalidMessage(
            f"FriendlyName has {len(name)} characters, expected at most {MAX_NAME}"
        )


def _refuse_service(named: ServiceId, ours: ServiceId) -> None:
    if named != ours:
        raise ServiceSpecific(
            f"DomainServiceID is {named.text}, expected that of this service, {ours.text}"
        )
