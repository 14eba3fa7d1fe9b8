"""Revocation lists as the operator changes them; each change signs new versions of the lists."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rightsmanager.errors import ServiceSpecific
from rightsmanager.keyring import ListSigner
from rightsmanager.protocol.formats.revocation import (
    NAMES,
    REVOCATION_INFO,
    build_list,
    version_entries,
)
from rightsmanager.protocol.wire import Guid, encode_base64
from rightsmanager.store.database import Store, Transaction


@dataclass(frozen=True, slots=True)
class NewVersions:
    """The new versions after a change."""

    information: int
    lists: Mapping[Guid, int]


@dataclass(frozen=True, slots=True)
class RevocationEditor:
    """Changes the lists and signs their new versions; each change is one transaction."""

    store: Store
    signer: ListSigner
    clock: Callable[[], int]

    def revoke(self, list_id: Guid, digest: bytes) -> NewVersions:
        """Add a certificate to a list; raises ServiceSpecific if it is on it."""
        with self.store.transaction() as transaction:
            change = _Change(self, transaction)
            version = change.raise_version(list_id)
            if not transaction.revocations.record(list_id, version, digest, change.now):
                raise ServiceSpecific(f"{encode_base64(digest)} is on the {NAMES[list_id]} list")
            return change.publish()

    def unrevoke(self, digest: bytes) -> NewVersions:
        """Remove a certificate from every list; raises ServiceSpecific if it is on none."""
        with self.store.transaction() as transaction:
            change = _Change(self, transaction)
            lists = change.raise_versions_with(digest)
            if not lists:
                raise ServiceSpecific(f"{encode_base64(digest)} is on no list")
            for list_id in lists:
                transaction.revocations.remove(list_id, digest)
            return change.publish()

    def allow(self, digest: bytes) -> NewVersions:
        """Add a certificate to the allow list; raises ServiceSpecific if it is on it."""
        with self.store.transaction() as transaction:
            change = _Change(self, transaction)
            if not transaction.revocations.record_allowed(digest, change.now):
                raise ServiceSpecific(f"{encode_base64(digest)} is on the allow list")
            change.raise_versions_with(digest)
            return change.publish()

    def disallow(self, digest: bytes) -> NewVersions:
        """Remove a certificate from the allow list; raises ServiceSpecific if it is not on it."""
        with self.store.transaction() as transaction:
            change = _Change(self, transaction)
            if not transaction.revocations.remove_allowed(digest):
                raise ServiceSpecific(f"{encode_base64(digest)} is not on the allow list")
            change.raise_versions_with(digest)
            return change.publish()


class _Change:
    """One change within its transaction: raises versions and signs the lists."""

    def __init__(self, editor: RevocationEditor, transaction: Transaction) -> None:
        self._signer = editor.signer
        self._transaction = transaction
        self.now: Final = editor.clock()
        # First, so that two changes at once run one after the other.
        self._information = transaction.revocations.raise_version(REVOCATION_INFO)
        self._versions: dict[Guid, int] = {}

    def raise_version(self, list_id: Guid) -> int:
        """Return the version that this change gives a list."""
        version = self._versions[list_id] = self._transaction.revocations.raise_version(list_id)
        return version

    def raise_versions_with(self, digest: bytes) -> list[Guid]:
        """Raise the version of each list with a certificate, and return these lists."""
        lists = self._transaction.revocations.find_lists_of(digest)
        for list_id in lists:
            self.raise_version(list_id)
        return lists

    def publish(self) -> NewVersions:
        """Sign and record the changed lists and the revocation information."""
        for list_id, version in self._versions.items():
            self._sign(list_id, version, self._transaction.revocations.find_list_entries(list_id))
        self._sign(REVOCATION_INFO, self._information, version_entries(self._other_versions()))
        return NewVersions(self._information, self._versions)

    def _other_versions(self) -> Iterable[tuple[Guid, int]]:
        for state in self._transaction.revocations.find_lists():
            if state.list_id != REVOCATION_INFO:
                yield state.list_id, state.version

    def _sign(self, list_id: Guid, version: int, entries: Sequence[bytes]) -> None:
        data = build_list(list_id, version, entries, self._signer.chain, self._signer.key)
        self._transaction.revocations.record_list(list_id, data, self.now)
