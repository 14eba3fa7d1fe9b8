"""Everything that operators do, for the parts of the server that let them: the API, the console."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rightsmanager.admin.certificates import IdentityFacts, find_identities
from rightsmanager.admin.domains import DomainAdministration
from rightsmanager.admin.issued import IssuedReader
from rightsmanager.admin.key_registry import KeyRegistry
from rightsmanager.admin.ledger import LedgerReader
from rightsmanager.admin.metering_ids import KnownMeteringId, MeteringIds
from rightsmanager.admin.request_tokens import RequestTokens
from rightsmanager.admin.retention import purge
from rightsmanager.admin.revocations import RevocationEditor, RevocationFacts, find_revocations
from rightsmanager.admin.rotation import KeyRotation
from rightsmanager.admin.royalty import Prices
from rightsmanager.admin.streams import StreamControl
from rightsmanager.admin.tokens import TokenKeeper
from rightsmanager.admin.usage import UsageReader
from rightsmanager.crypto.random import Rng
from rightsmanager.keyring import (
    Keyring,
    MeteringIdentity,
    certify_metering,
    load_list_signer,
)
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.operations.content import ContentKeys
from rightsmanager.operations.domain_authority import DomainAuthority
from rightsmanager.operations.packaging_keys import PackagingOptions
from rightsmanager.policy.defaults import LicenseDefaults
from rightsmanager.protocol.wire import Mid
from rightsmanager.store.database import Store

DAY_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class ManagementOptions:
    """The settings that operators' acts depend on."""

    data: Path
    """The data folder."""
    metering_url: str
    """The address for reports in new metering certificates; empty for none."""
    keep_reports_days: int
    """The days that records are kept by default."""
    prices: Prices
    packaging: PackagingOptions
    licenses: LicenseDefaults
    public_url: str
    """The service's URL in content headers; empty for none."""


@dataclass(frozen=True, slots=True)
class Management:
    """The acts of operators on one server."""

    store: Store
    keyring: Keyring = field(repr=False)
    files: KeyFiles = field(repr=False)
    authority: DomainAuthority
    content_keys: ContentKeys
    clock: Callable[[], int]
    rng: Rng
    options: ManagementOptions

    @property
    def domains(self) -> DomainAdministration:
        """Accounts and their domains."""
        return DomainAdministration(self.store, self.authority, self.clock)

    @property
    def keys(self) -> KeyRegistry:
        """Stored content keys."""
        return KeyRegistry(self.store, self.content_keys, self.clock, self.rng)

    @property
    def rotation(self) -> KeyRotation:
        """The keys of programs' periods."""
        return KeyRotation(
            *(self.store, self.content_keys, self.options.packaging, self.options.licenses),
            *(self.keyring.metering.mid, self.clock, self.rng),
        )

    @property
    def issued(self) -> IssuedReader:
        """Issued licences, devices and sessions."""
        return IssuedReader(self.store)

    @property
    def ledger(self) -> LedgerReader:
        """The persistent licences of devices."""
        return LedgerReader(self.store, self.clock)

    @property
    def metering_ids(self) -> MeteringIds:
        """Metering ids."""
        keyring = self.keyring
        return MeteringIds(keyring.metering, keyring.storage_key, self.store, self.clock, self.rng)

    @property
    def usage(self) -> UsageReader:
        """The usage that devices reported."""
        keeps_reports = self.options.keep_reports_days > 0
        return UsageReader(self.store, keeps_reports=keeps_reports)

    @property
    def revocations(self) -> RevocationFacts:
        """The revocation lists."""
        return find_revocations(self.store)

    @property
    def streams(self) -> StreamControl:
        """Streams."""
        return StreamControl(self.store, self.clock)

    @property
    def tokens(self) -> TokenKeeper:
        """The bearer tokens of the API."""
        return TokenKeeper(self.store, self.clock, self.rng)

    @property
    def request_tokens(self) -> RequestTokens:
        """Signed request tokens."""
        return RequestTokens(self.options.data, self.clock, self.rng)

    @property
    def identities(self) -> tuple[IdentityFacts, ...]:
        """The identities of the keyring."""
        return find_identities(self.files)

    def revocation_editor(self) -> RevocationEditor:
        """Return the editor of revocation lists; raises InternalError without the signer's key."""
        return RevocationEditor(self.store, load_list_signer(self.files), self.clock)

    def create_metering_id(
        self, name: str, url: str | None = None, mid: Mid | None = None
    ) -> KnownMeteringId:
        """Create a metering id with its own key; raises Conflict for an id that exists."""

        def certify(mid: Mid, url: str) -> MeteringIdentity:
            return certify_metering(self.files, self.rng, mid, url)

        ids = self.metering_ids
        return ids.find(ids.create(certify, name, url or self.options.metering_url, mid))

    def purge(self, older_than_seconds: int | None = None) -> dict[str, int]:
        """Remove old records, by default older than reports are kept; return counts by kind."""
        default = self.options.keep_reports_days * DAY_SECONDS
        age = default if older_than_seconds is None else older_than_seconds
        return dict(purge(self.store, self.clock() - age))
