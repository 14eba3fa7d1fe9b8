"""Revoked certificates, as fresh as the store.

Every change of any list raises the version of the revocation information. Each process caches the
digests with their version, and reads that one number for each request: a change takes effect at the
next request of every process, and costs the others one lookup.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rightsmanager.protocol.formats.revocation import REVOCATION_INFO
from rightsmanager.protocol.messages.challenge import RevocationListInfo
from rightsmanager.protocol.messages.response import RevocationList
from rightsmanager.protocol.wire import Guid, Kid
from rightsmanager.store.content_keys import KeyPair
from rightsmanager.store.database import Store, Transaction


@dataclass(frozen=True, slots=True)
class Revoked:
    """The revoked certificates at one version of the revocation information."""

    version: int = 0
    digests: frozenset[bytes] = field(default=frozenset(), repr=False)
    """SHA-256 of each certificate that is on a list and not allowed, 32 bytes each."""
    lists: Mapping[Guid, int] = field(default_factory=dict)
    """The newest version of each list that was ever changed."""


class RevocationCache:
    """Finds the revoked certificates; thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = Revoked()

    def find_revoked(self) -> Revoked:
        """Return the certificates that are revoked now."""
        with self._store.reading() as found:
            version = found.revocations.find_version(REVOCATION_INFO)
            known = self._known
            return known if version == known.version else self._reload(found, version)

    def find_revoked_and_keys(self, kid: Kid) -> tuple[Revoked, KeyPair]:
        """Return the certificates that are revoked now, and the stored content keys of a KID."""
        with self._store.reading() as found:
            version, keys = found.content_keys.find_with_version(REVOCATION_INFO, kid)
            known = self._known
            return (known if version == known.version else self._reload(found, version)), keys

    def _reload(self, found: Transaction, version: int) -> Revoked:
        # If a change comes in between, the older number has it read again next time.
        self._known = Revoked(
            version,
            found.revocations.find_revoked(),
            {each.list_id: each.version for each in found.revocations.find_lists()},
        )
        return self._known

    def find_newer_lists(
        self, revoked: Revoked, held: Sequence[RevocationListInfo]
    ) -> tuple[RevocationList, ...]:
        """Return the lists of which the client holds an older version."""
        if not held:
            return ()
        older = [info.list_id for info in held if info.version < revoked.lists.get(info.list_id, 0)]
        if not older:
            return ()
        with self._store.reading() as found:
            return tuple(
                RevocationList(list_id, found.revocations.find_list_data(list_id))
                for list_id in dict.fromkeys(older)
            )
