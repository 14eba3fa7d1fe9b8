"""Which domain a licence is bound to, and who may have it: the members with its newest revision.

    no such account, or a closed one                   0x8004c60c
    removed, or no member but with a domain's chain    0x8004c60a
    no chain of the account's domain                   0x8004c605
    a chain of an older revision                       0x8004c606

Where accounts are made when a device first joins, one that is not there yet is as good as one that
the device has not joined: 0x8004c605 has it join. A chain of another account's domain, or one that
this server did not make, counts as none.
"""

from collections.abc import Callable, Sequence
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
from rightsmanager.operations.clients import encryption_key
from rightsmanager.operations.domain_authority import DomainDefaults
from rightsmanager.protocol.formats.bcert import Certificate, CertificateType, Chain
from rightsmanager.protocol.formats.xmr.objects import Domain
from rightsmanager.protocol.wire import AccountId
from rightsmanager.store.database import Transaction
from rightsmanager.store.domains import Account, Member


@dataclass(frozen=True, slots=True)
class Binding:
    """What binds a licence to a domain."""

    domain: Domain
    """The object that the licence carries."""
    key: p256.PublicKey
    """The domain's key, which the content key is encrypted to."""


@dataclass(frozen=True, slots=True)
class _Presented:
    """A domain's certificate that a challenge holds."""

    revision: int
    leaf: Certificate


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a licence, as far as domains are concerned."""

    device: str
    """Base64 of the SHA-256 of the device's signing key."""
    chains: tuple[Chain, ...]
    """All chains of the challenge, each of which was verified."""
    url: str
    """The request's URL."""


@dataclass(frozen=True, slots=True)
class DomainBinder:
    """Binds licences to domains of which the device is a member."""

    terms: DomainDefaults
    parse_chain: Callable[[bytes], Chain]

    def bind(self, transaction: Transaction, account_id: AccountId, asker: Asker) -> Binding:
        """Return what binds a licence to an account's domain.

        Raises UnknownAccountId, NotADomainMember, DomainRequired or RenewDomain; until the
        transaction ends nobody can remove the device.
        """
        account = transaction.domains.lock_shared(account_id)
        if account is None or account.closed_at is not None:
            raise self._not_there(account, account_id, asker)
        about = self.terms.fault_details(account, asker.url)
        member = transaction.domains.find_member(account_id, asker.device)
        presented = _newest_of(asker.chains, account)
        _refuse_stranger(account, member, presented, about)
        ours = self.parse_chain(transaction.domains.find_chain(account_id, account.revision)).leaf
        _refuse_certificate(account, presented, ours, about)
        return Binding(Domain(account_id, account.revision), encryption_key(ours))

    def _not_there(self, account: Account | None, account_id: AccountId, asker: Asker) -> Refusal:
        if account is not None:
            return UnknownAccountId(
                f"account {account_id.text} is closed",
                domain=self.terms.fault_details(account, asker.url),
            )
        about = self.terms.facts_of_unknown(account_id, asker.url)
        if self.terms.first_use:
            return DomainRequired(
                f"the licence is bound to account {account_id.text}, which no device has joined "
                "yet: JoinDomain makes it",
                domain=about,
            )
        return UnknownAccountId(f"there is no account {account_id.text}", domain=about)


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
    account: Account, member: Member | None, presented: _Presented | None, about: DomainFacts
) -> None:
    if member is not None and member.is_member:
        return
    name = f"account {account.account_id.text}"
    if member is not None and member.removed_at is not None:
        raise NotADomainMember(f"the operator removed the device from {name}", domain=about)
    if presented is not None:
        raise NotADomainMember(
            f"the device has a certificate of the domain of {name} and is no member", domain=about
        )


def _refuse_certificate(
    account: Account, presented: _Presented | None, ours: Certificate, about: DomainFacts
) -> None:
    name = f"the domain of account {account.account_id.text}"
    if presented is None:
        raise DomainRequired(
            f"the licence is bound to {name}, and the challenge has no certificate of it",
            domain=about,
        )
    revision = presented.revision
    if revision < account.revision:
        raise RenewDomain(
            f"the certificate is of revision {revision} of {name}, expected {account.revision}",
            domain=about,
        )
    if presented.leaf.raw != ours.raw:
        raise DomainRequired(
            f"the certificate of revision {revision} of {name} was not made here", domain=about
        )
