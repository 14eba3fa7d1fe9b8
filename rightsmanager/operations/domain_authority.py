"""What makes domains: the operator's terms, and the certificate and key pair of each revision."""

from dataclasses import dataclass, field, replace
from typing import Final

from rightsmanager.crypto import aes, p256
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import DomainFacts, InternalError, InvalidMessage, ServiceSpecific
from rightsmanager.keyring import DomainIssuer, certify_domain
from rightsmanager.protocol.formats.bcert.objects import Domain
from rightsmanager.protocol.messages.domain import LAST_REVISION
from rightsmanager.protocol.wire import AccountId, ServiceId
from rightsmanager.store.database import Transaction
from rightsmanager.store.domains import Account, StoredRevision

_PURPOSE: Final = b"domain"
"""What tells a domain's key from anything else under the storage key."""


@dataclass(frozen=True, slots=True)
class DomainDefaults:
    """What the operator's settings say of domains."""

    service_id: ServiceId
    first_use: bool
    """Whether an account is made when a device first joins it."""
    limit: int
    """How many members a new account may have."""
    friendly_name: str
    """That of a new account."""
    url: str
    """Where domains are joined that have no URL of their own; empty: where the request came."""
    help_url: str
    """What a device is told over the limit; empty: the page about JoinDomain."""
    default_account: AccountId | None
    """The account where a request names none; None where there is no such account."""

    def new_account(self, account_id: AccountId, now: int) -> Account:
        """Return an account as they are made; now: Unix seconds."""
        return Account(account_id, self.service_id, self.friendly_name, "", self.limit, now)

    def fault_details(self, account: Account, asked_at: str) -> DomainFacts:
        """Return how a fault spells an account's domain; asked_at: the request's URL."""
        return DomainFacts(
            account.service_id.base64,
            account.account_id.base64,
            account.friendly_name,
            self.url_of(account, asked_at),
        )

    def facts_of_unknown(self, account_id: AccountId, asked_at: str) -> DomainFacts:
        """Return how a fault spells an account that is not there."""
        url = (self.url or asked_at) if self.first_use else None
        name = self.friendly_name if self.first_use else None
        return DomainFacts(self.service_id.base64, account_id.base64, name, url)

    def url_of(self, account: Account, asked_at: str) -> str:
        """Return where an account's domain is joined."""
        return account.url or self.url or asked_at


@dataclass(frozen=True, slots=True)
class DomainAuthority:
    """Makes the revisions of domains, and keeps their private keys encrypted."""

    issuer: DomainIssuer | None
    """None where its key was taken away."""
    terms: DomainDefaults
    storage_key: bytes = field(repr=False)
    """The keyring's key for what lies in the store, 32 bytes."""
    rng: Rng

    def open_account(self, transaction: Transaction, account: Account) -> bool:
        """Record an account with its first revision; return whether it is new.

        Raises ServiceSpecific where the domain issuer's key is not there.
        """
        self._issuer()
        if not transaction.domains.record(account):
            return False
        self.renew(transaction, account, account.created_at)
        return True

    def renew(self, transaction: Transaction, account: Account, now: int) -> Account:
        """Record the next revision of an account's domain; return the account as it now is.

        Raises ServiceSpecific where the domain issuer's key is not there.
        """
        number = account.revision + 1
        if number > LAST_REVISION:
            raise ServiceSpecific(f"the domain has its last revision, {account.revision}")
        # What a request claims to have come to is nothing to certify.
        url = self.terms.url_of(account, "") or None
        domain = Domain(account.service_id, account.account_id, number, url)
        made = certify_domain(self._issuer(), domain, self.rng)
        associated = _associated(account.account_id, number)
        sealed = aes.gcm_seal(self.storage_key, made.key.raw, associated, self.rng)
        revision = StoredRevision(number, made.chain.raw, sealed, now)
        transaction.domains.record_revision(account.account_id, revision)
        return replace(account, revision=number)

    def open_key(self, account_id: AccountId, revision: StoredRevision) -> p256.PrivateKey:
        """Return a revision's private key; raises InternalError where it was altered."""
        associated = _associated(account_id, revision.revision)
        try:
            return p256.PrivateKey(aes.gcm_open(self.storage_key, revision.ciphertext, associated))
        except InvalidMessage as error:
            raise InternalError(
                f"the stored key of revision {revision.revision} of account {account_id.text} "
                f"does not open: {error.text}"
            ) from error

    def _issuer(self) -> DomainIssuer:
        if self.issuer is None:
            raise ServiceSpecific(
                "the key of the domain issuer is not in the keyring, expected it where an account "
                "is made or renewed"
            )
        return self.issuer


def _associated(account_id: AccountId, revision: int) -> bytes:
    return _PURPOSE + account_id.raw + revision.to_bytes(4, "big")
