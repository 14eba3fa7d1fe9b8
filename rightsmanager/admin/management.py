"""Everything that operators do, for the parts of the server that let them: the API, the console."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rightsmanager.admin.domains import DomainAdministration
from rightsmanager.admin.tokens import TokenKeeper
from rightsmanager.crypto.random import Rng
from rightsmanager.keyring import Keyring
from rightsmanager.operations.domain_authority import DomainAuthority
from rightsmanager.store.database import Store


@dataclass(frozen=True, slots=True)
class Management:
    """The acts of operators on one server."""

    store: Store
    keyring: Keyring = field(repr=False)
    authority: DomainAuthority
    clock: Callable[[], int]
    rng: Rng

    @property
    def domains(self) -> DomainAdministration:
        """Accounts and their domains."""
        return DomainAdministration(self.store, self.authority, self.clock)

    @property
    def tokens(self) -> TokenKeeper:
        """The bearer tokens of the API."""
        return TokenKeeper(self.store, self.clock, self.rng)
