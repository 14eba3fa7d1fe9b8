"""Binds licences to domains, for members that hold the newest revision.

    account missing or closed                            0x8004c60c
    device removed, or not a member but with a chain     0x8004c60a
    no chain of the account's domain                     0x8004c605
    chain of an older revision, or of an outdated one    0x8004c606

Where accounts are created at first use, a missing account is answered with 0x8004c605, so that the
device joins it. A chain of another account's domain, or one that this server did not issue, is
ignored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rightsmanager.crypto import p256
from rightsmanager.errors import (
    DomainFacts,
    DomainRequired,
    NotADomainMember,
    Refusal,
    RenewDomain,
    UnknownAccountId,
)
from rightsmanager.operations.context import Context
from rightsmanager.operations.domain_authority import DomainDefaults
from rightsmanager.policy.device import Device
from rightsmanager.protocol.formats.bcert import Certificate, CertificateType, Chain
from rightsmanager.protocol.formats.xmr.objects import Domain
from rightsmanager.protocol.wire import AccountId
from rightsmanager.store.database import Transaction
from rightsmanager.store.domains import Account, Member


@dataclass(frozen=True, slots=True)
class Binding:
    """The binding of a licence to a domain."""

    domain: Domain
    """The object that the licence carries."""
    key: p256.PublicKey
    """The domain's key, to which the content key is encrypted."""


@dataclass(frozen=True, slots=True)
class _Presented:
    """A domain's certificate in a challenge."""

    revision: int
    leaf: Certificate


def bind_to_domain(
    context: Context, transaction: Transaction, account_id: AccountId, device: Device, url: str
) -> Binding:
    """Return the binding of a licence to an account's domain; `url` is the request's.

    Raises UnknownAccountId, NotADomainMember, DomainRequired or RenewDomain. Until the transaction
    ends nothing can remove the device from the domain.
    """
    defaults = context.domains.defaults
    account = transaction.domains.lock_shared(account_id)
    if account is None or account.closed_at is not None:
        raise _not_open(defaults, account, account_id, url)
    details = defaults.fault_details(account, url)
    member = transaction.domains.find_member(account_id, device.id)
    presented = _newest_of(device.chains, account)
    _refuse_stranger(account, member, presented, details)
    stored = transaction.domains.find_chain(account_id, account.revision)
    ours = context.verifier.parse(stored).leaf
    _refuse_certificate(account, presented, ours, details)
    _refuse_outdated(context, transaction, account, details)
    return Binding(Domain(account_id, account.revision), ours.encryption_key)


def _not_open(
    defaults: DomainDefaults, account: Account | None, account_id: AccountId, url: str
) -> Refusal:
    if account is not None:
        return UnknownAccountId(
            f"account {account_id.text} is closed", domain=defaults.fault_details(account, url)
        )
    details = defaults.unknown_details(account_id, url)
    if defaults.first_use:
        return DomainRequired(
            f"the licence is bound to account {account_id.text}, which no device has joined "
            "yet: JoinDomain makes it",
            domain=details,
        )
    return UnknownAccountId(f"there is no account {account_id.text}", domain=details)


def _newest_of(chains: Sequence[Chain], account: Account) -> _Presented | None:
    """Return the newest certificate of an account's domain among the chains, or None."""
    ids = (account.service_id, account.account_id)
    found = [
        _Presented(domain.revision, chain.leaf)
        for chain in chains
        if (domain := chain.leaf.domain) is not None
        and chain.leaf.type == CertificateType.DOMAIN
        and (domain.service_id, domain.account_id) == ids
    ]
    return max(found, key=lambda presented: presented.revision, default=None)


def _refuse_stranger(
    account: Account, member: Member | None, presented: _Presented | None, details: DomainFacts
) -> None:
    if member is not None and member.is_member:
        return
    name = f"account {account.account_id.text}"
    if member is not None and member.removed_at is not None:
        raise NotADomainMember(f"the operator removed the device from {name}", domain=details)
    if presented is not None:
        raise NotADomainMember(
            f"the device has a certificate of the domain of {name} and is not a member",
            domain=details,
        )


def _refuse_certificate(
    account: Account, presented: _Presented | None, ours: Certificate, details: DomainFacts
) -> None:
    name = f"the domain of account {account.account_id.text}"
    if presented is None:
        raise DomainRequired(
            f"the licence is bound to {name}, and the challenge has no certificate of it",
            domain=details,
        )
    revision = presented.revision
    if revision < account.revision:
        raise RenewDomain(
            f"the certificate is of revision {revision} of {name}, expected {account.revision}",
            domain=details,
        )
    if presented.leaf.raw != ours.raw:
        raise DomainRequired(
            f"the certificate of revision {revision} of {name} was not made here", domain=details
        )


def _refuse_outdated(
    context: Context, transaction: Transaction, account: Account, details: DomainFacts
) -> None:
    """Raise RenewDomain if the newest revision is older than the settings let it be."""
    if context.domains.is_outdated(transaction, account, context.clock()):
        seconds = context.domains.defaults.revision_seconds
        raise RenewDomain(
            f"revision {account.revision} of the domain of account {account.account_id.text} is "
            f"outdated after {seconds} s, expected a newer one, which JoinDomain makes",
            domain=details,
        )
