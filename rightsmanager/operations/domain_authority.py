"""Creates domains: settings, certificate and key pair of each revision."""

from dataclasses import dataclass, field, replace
from typing import Final

from rightsmanager.crypto import aes, p256
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import (
    DomainFacts,
    InternalError,
    InvalidMessage,
    ServiceSpecific,
    UnknownAccountId,
)
from rightsmanager.keyring import DomainIssuer, certify_domain
from rightsmanager.protocol.formats.bcert.objects import Domain
from rightsmanager.protocol.messages.domain import LAST_REVISION
from rightsmanager.protocol.wire import AccountId, ServiceId
from rightsmanager.store.database import Transaction
from rightsmanager.store.domains import Account, StoredRevision

MAX_NAME: Final = 256
"""Characters of a friendly name, of a domain or of a device."""
# Domain separation: no other ciphertext under the storage key opens as a domain key.
_PURPOSE: Final = b"domain"


@dataclass(frozen=True, slots=True)
class DomainDefaults:
    """The settings of new domains, and how faults name a domain."""

    service_id: ServiceId
    first_use: bool
    """True if an account is created when a device first joins it."""
    limit: int
    """The maximum number of members of a new account."""
    friendly_name: str
    """Of a new account."""
    url: str
    """The URL to join domains without a URL of their own; empty for the URL of the request."""
    help_url: str
    """CustomData of the fault above the limit; empty for the page about JoinDomain."""
    default_account: AccountId | None
    """The account of requests that name none, if any."""
    revision_seconds: int = 0
    """The age at which a revision is outdated; 0 for never."""

    def new_account(self, account_id: AccountId, now: int) -> Account:
        """Return a new account; `now` in Unix seconds."""
        return Account(account_id, self.service_id, self.friendly_name, "", self.limit, now)

    def fault_details(self, account: Account, request_url: str) -> DomainFacts:
        """Return the details of an account's domain for a fault."""
        return DomainFacts(
            account.service_id.base64,
            account.account_id.base64,
            account.friendly_name,
            self.url_of(account, request_url),
        )

    def unknown_details(self, account_id: AccountId, request_url: str) -> DomainFacts:
        """Return the details of a missing account for a fault."""
        url = (self.url or request_url) if self.first_use else None
        name = self.friendly_name if self.first_use else None
        return DomainFacts(self.service_id.base64, account_id.base64, name, url)

    def url_of(self, account: Account, request_url: str) -> str:
        """Return the URL to join an account's domain."""
        return account.url or self.url or request_url


@dataclass(frozen=True, slots=True)
class DomainAuthority:
    """Creates the revisions of domains, and encrypts their private keys at rest."""

    issuer: DomainIssuer | None
    """None if its key was removed from the keyring."""
    defaults: DomainDefaults
    storage_key: bytes = field(repr=False)
    """The keyring's key for secrets in the store, 32 bytes."""
    rng: Rng

    def open_account(self, transaction: Transaction, account: Account) -> bool:
        """Record an account with its first revision; return False if the account exists.

        Raises ServiceSpecific without the domain issuer's key.
        """
        self._issuer()
        if not transaction.domains.record(account):
            return False
        self.renew(transaction, account, account.created_at)
        return True

    def is_outdated(self, transaction: Transaction, account: Account, now: int) -> bool:
        """Return whether an account's newest revision is older than the settings let it be."""
        seconds = self.defaults.revision_seconds
        if not seconds:
            return False
        made_at = transaction.domains.find_made_at(account.account_id, account.revision)
        return now - made_at >= seconds

    def renew(self, transaction: Transaction, account: Account, now: int) -> Account:
        """Record the next revision of an account's domain, and return the changed account.

        Raises ServiceSpecific without the domain issuer's key.
        """
        number = account.revision + 1
        if number > LAST_REVISION:
            raise ServiceSpecific(f"the domain has its last revision, {account.revision}")
        # No request URL here: a certificate must not state what a client claims.
        url = self.defaults.url_of(account, "") or None
        domain = Domain(account.service_id, account.account_id, number, url)
        made = certify_domain(self._issuer(), domain, self.rng)
        associated = _associated(account.account_id, number)
        ciphertext = aes.gcm_seal(self.storage_key, made.key.raw, associated, self.rng)
        revision = StoredRevision(number, made.chain.raw, ciphertext, now)
        transaction.domains.record_revision(account.account_id, revision)
        return replace(account, revision=number)

    def open_key(self, account_id: AccountId, revision: StoredRevision) -> p256.PrivateKey:
        """Return a revision's private key; raises InternalError if its ciphertext was altered."""
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


def expect_account(
    defaults: DomainDefaults, account: Account | None, account_id: AccountId, request_url: str
) -> Account:
    """Return the account; raises UnknownAccountId if it is missing."""
    if account is None:
        raise UnknownAccountId(
            f"there is no account {account_id.text}",
            domain=defaults.unknown_details(account_id, request_url),
        )
    return account


def refuse_service(named: ServiceId, ours: ServiceId) -> None:
    """Raise ServiceSpecific unless a challenge names this service."""
    if named != ours:
        raise ServiceSpecific(
            f"DomainServiceID is {named.text}, expected that of this service, {ours.text}"
        )


def _associated(account_id: AccountId, revision: int) -> bytes:
    return _PURPOSE + account_id.raw + revision.to_bytes(4, "big")
