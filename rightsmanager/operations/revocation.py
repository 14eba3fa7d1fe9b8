"""Revocation: what each request is held against, and how the operator changes it.

Every change of any list is the next version of the revocation information. Each process keeps the
digests in memory beside the version that they are of, and looks that one number up at each
request: a change holds for the next request of every process, and costs the others one lookup.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.keyring import ListSigner
from rightsmanager.protocol.formats.revocation import (
    NAMES,
    REVOCATION_INFO,
    build_list,
    version_entries,
)
from rightsmanager.protocol.messages.challenge import RevocationListInfo
from rightsmanager.protocol.messages.response import RevocationList
from rightsmanager.protocol.wire import Guid, Kid, encode_base64
from rightsmanager.store.content_keys import StoredKey
from rightsmanager.store.database import Store, Transaction


@dataclass(frozen=True, slots=True)
class Revoked:
    """What is revoked at one version of the revocation information."""

    version: int = 0
    digests: frozenset[bytes] = field(default=frozenset(), repr=False)
    """Of the certificates on any list that are not allowed, 32 bytes each."""
    lists: Mapping[Guid, int] = field(default_factory=dict)
    """The newest version of each list that was ever changed."""


class RevocationCache:
    """What is revoked, as fresh as the store; several threads may use it at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = Revoked()

    def find_revoked(self) -> Revoked:
        """Return what is revoked now."""
        with self._store.reading() as found:
            return self._at(found, found.revocations.find_version(REVOCATION_INFO))

    def find_revoked_and_key(self, kid: Kid) -> tuple[Revoked, StoredKey | None]:
        """Return what is revoked now and the stored content key of a KID, found at once."""
        with self._store.reading() as found:
            version, key = found.content_keys.find_with_version(REVOCATION_INFO, kid)
            return self._at(found, version), key

    def _at(self, found: Transaction, version: int) -> Revoked:
        known = self._known
        if version != known.version:
            # Were there a change meanwhile, the older number would have it found again.
            known = self._known = Revoked(
                version,
                found.revocations.find_revoked(),
                {e.list_id: e.version for e in found.revocations.find_lists()},
            )
        return known

    def find_newer_lists(
        self, revoked: Revoked, held: Sequence[RevocationListInfo]
    ) -> tuple[RevocationList, ...]:
        """Return the lists of which a client says that it holds an older version."""
        older = [info.list_id for info in held if info.version < revoked.lists.get(info.list_id, 0)]
        if not older:
            return ()
        with self._store.reading() as found:
            return tuple(
                RevocationList(list_id, found.revocations.find_list_data(list_id))
                for list_id in dict.fromkeys(older)
            )


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change came to: the new versions."""

    information: int
    lists: Mapping[Guid, int]


@dataclass(frozen=True, slots=True)
class RevocationEditor:
    """Changes the lists and signs their new versions; each change is one transaction."""

    store: Store
    signer: ListSigner
    clock: Callable[[], int]

    def revoke(self, list_id: Guid, digest: bytes) -> Changed:
        """Put a certificate on a list; raises ServiceSpecific if it is there."""
        with self.store.transaction() as transaction:
            change = _Change(self, transaction)
            version = change.raise_version(list_id)
            if not transaction.revocations.record(list_id, version, digest, change.now):
                raise ServiceSpecific(f"{encode_base64(digest)} is on the {NAMES[list_id]} list")
            return change.publish()

    def unrevoke(self, digest: bytes) -> Changed:
        """Take a certificate off the lists it is on; raises ServiceSpecific if there are none."""
        with self.store.transaction() as transaction:
            change = _Change(self, transaction)
            lists = change.raise_versions_with(digest)
            if not lists:
                raise ServiceSpecific(f"{encode_base64(digest)} is on no list")
            for list_id in lists:
                transaction.revocations.remove(list_id, digest)
            return change.publish()

    def allow(self, digest: bytes) -> Changed:
        """Have a certificate served whatever list it is on; raises ServiceSpecific if it is."""
        with self.store.transaction() as transaction:
            change = _Change(self, transaction)
            if not transaction.revocations.record_allowed(digest, change.now):
                raise ServiceSpecific(f"{encode_base64(digest)} is on the allow list")
            change.raise_versions_with(digest)
            return change.publish()

    def disallow(self, digest: bytes) -> Changed:
        """Take a certificate off the allow list; raises ServiceSpecific if it is not on it."""
        with self.store.transaction() as transaction:
            change = _Change(self, transaction)
            if not transaction.revocations.remove_allowed(digest):
                raise ServiceSpecific(f"{encode_base64(digest)} is not on the allow list")
            change.raise_versions_with(digest)
            return change.publish()


class _Change:
    """One change on its way through a transaction: the versions it makes, and their signing."""

    def __init__(self, editor: RevocationEditor, transaction: Transaction) -> None:
        self._signer = editor.signer
        self._transaction = transaction
        self.now: Final = editor.clock()
        # First of all, so that of two changes at once one waits.
        self._information = transaction.revocations.raise_version(REVOCATION_INFO)
        self._versions: dict[Guid, int] = {}

    def raise_version(self, list_id: Guid) -> int:
        """Return the version that a list gets by this change."""
        version = self._versions[list_id] = self._transaction.revocations.raise_version(list_id)
        return version

    def raise_versions_with(self, digest: bytes) -> list[Guid]:
        """Return the lists that a certificate is on, each with a new version."""
        lists = self._transaction.revocations.find_lists_of(digest)
        for list_id in lists:
            self.raise_version(list_id)
        return lists

    def publish(self) -> Changed:
        """Sign and keep the changed lists as they now are, and the revocation information."""
        for list_id, version in self._versions.items():
            self._sign(list_id, version, self._transaction.revocations.find_list_entries(list_id))
        self._sign(REVOCATION_INFO, self._information, version_entries(self._other_versions()))
        return Changed(self._information, self._versions)

    def _other_versions(self) -> Iterable[tuple[Guid, int]]:
        for state in self._transaction.revocations.find_lists():
            if state.list_id != REVOCATION_INFO:
                yield state.list_id, state.version

    def _sign(self, list_id: Guid, version: int, entries: Sequence[bytes]) -> None:
        data = build_list(list_id, version, entries, self._signer.chain, self._signer.key)
        self._transaction.revocations.record_list(list_id, data, self.now)
