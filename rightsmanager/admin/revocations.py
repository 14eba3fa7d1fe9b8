"""Revocation lists as the operator changes them; each change signs new versions of the lists."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rightsmanager.admin.refusals import Conflict, NotFound
from rightsmanager.admin.times import date_of
from rightsmanager.keyring import ListSigner
from rightsmanager.protocol.formats.bcert import CertificateType, parse_chain
from rightsmanager.protocol.formats.revocation import (
    DIGEST_LENGTH,
    NAMES,
    REVOCATION_INFO,
    build_list,
    version_entries,
)
from rightsmanager.protocol.wire import Guid, encode_base64, parse_octets
from rightsmanager.store.database import Store, Transaction
from rightsmanager.store.revocations import ListState, Revocation

_LIST_OF_TYPE: Final = {
    CertificateType.PC: "pc",
    CertificateType.SILVERLIGHT: "application",
    CertificateType.APPLICATION: "application",
}
"""The list of a leaf's type; any other type is on the list of devices."""


@dataclass(frozen=True, slots=True)
class NewVersions:
    """The new versions after a change."""

    information: int
    lists: Mapping[Guid, int]


@dataclass(frozen=True, slots=True)
class ListFacts:
    """The newest version of a list."""

    name: str
    id: str
    """Base64 of the list's id."""
    version: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class RevokedFacts:
    """One certificate on one list."""

    digest: bytes
    """32 bytes."""
    list: str
    """The list's name."""
    version: int
    """The version of the list that added it."""
    since: datetime
    allowed: bool
    """Whether the allow list overrides it."""


@dataclass(frozen=True, slots=True)
class AllowedFacts:
    """A certificate on the allow list."""

    digest: bytes
    """32 bytes."""
    since: datetime


@dataclass(frozen=True, slots=True)
class RevocationFacts:
    """The revocation lists, their entries and the allow list."""

    lists: tuple[ListFacts, ...]
    revoked: tuple[RevokedFacts, ...]
    """Oldest first."""
    allowed: tuple[AllowedFacts, ...]
    """Oldest first."""


@dataclass(frozen=True, slots=True)
class Target:
    """A certificate to revoke."""

    digest: bytes
    """32 bytes."""
    list_name: str = "device"
    """The list for its type."""


def parse_digest(text: str) -> bytes:
    """Return a digest of 32 bytes in hexadecimal digits or base64; raises InvalidMessage."""
    return parse_octets(text, "the digest", DIGEST_LENGTH)


def find_target(chain: bytes) -> Target:
    """Return the leaf of a certificate chain as a target; raises InvalidMessage."""
    leaf = parse_chain(chain).leaf
    return Target(leaf.digest, _LIST_OF_TYPE.get(leaf.type, "device"))


def find_revocations(store: Store) -> RevocationFacts:
    """Return the revocation lists."""
    with store.reading() as found:
        lists = found.revocations.find_lists()
        revoked = found.revocations.find_all()
        allowed = found.revocations.find_allowed()
    return RevocationFacts(
        tuple(map(_list_facts, lists)),
        tuple(map(_revoked_facts, revoked)),
        tuple(AllowedFacts(digest, date_of(since)) for digest, since in allowed),
    )


def _list_facts(state: ListState) -> ListFacts:
    return ListFacts(
        NAMES[state.list_id], state.list_id.base64, state.version, date_of(state.changed_at)
    )


def _revoked_facts(entry: Revocation) -> RevokedFacts:
    return RevokedFacts(
        entry.digest, NAMES[entry.list_id], entry.version, date_of(entry.since), entry.allowed
    )


@dataclass(frozen=True, slots=True)
class RevocationEditor:
    """Changes the lists and signs their new versions; each change is one transaction."""

    store: Store
    signer: ListSigner
    clock: Callable[[], int]

    def revoke(self, list_id: Guid, digest: bytes) -> NewVersions:
        """Add a certificate to a list; raises Conflict if it is on it."""
        with self.store.transaction() as transaction:
            change = _Change(self, transaction)
            version = change.raise_version(list_id)
            if not transaction.revocations.record(list_id, version, digest, change.now):
                raise Conflict(f"{encode_base64(digest)} is on the {NAMES[list_id]} list")
            return change.publish()

    def unrevoke(self, digest: bytes) -> NewVersions:
        """Remove a certificate from every list; raises NotFound if it is on none."""
        with self.store.transaction() as transaction:
            change = _Change(self, transaction)
            lists = change.raise_versions_with(digest)
            if not lists:
                raise NotFound(f"{encode_base64(digest)} is on no list")
            for list_id in lists:
                transaction.revocations.remove(list_id, digest)
            return change.publish()

    def allow(self, digest: bytes) -> NewVersions:
        """Add a certificate to the allow list; raises Conflict if it is on it."""
        with self.store.transaction() as transaction:
            change = _Change(self, transaction)
            if not transaction.revocations.record_allowed(digest, change.now):
                raise Conflict(f"{encode_base64(digest)} is on the allow list")
            change.raise_versions_with(digest)
            return change.publish()

    def disallow(self, digest: bytes) -> NewVersions:
        """Remove a certificate from the allow list; raises NotFound if it is not on it."""
        with self.store.transaction() as transaction:
            change = _Change(self, transaction)
            if not transaction.revocations.remove_allowed(digest):
                raise NotFound(f"{encode_base64(digest)} is not on the allow list")
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
