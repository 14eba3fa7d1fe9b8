"""Content keys as the parts of the server manage them: each act is one transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from rightsmanager.admin.content_keys import (
    ImportContext,
    find_registered,
    key_entries,
    register_keys,
    remove_key,
)
from rightsmanager.admin.content_listing import ContentKeyFacts, key_facts
from rightsmanager.admin.refusals import NotFound
from rightsmanager.crypto.random import Rng
from rightsmanager.operations.content import ContentKeys
from rightsmanager.protocol.formats.keylists import (
    KeyEntry,
    build_document,
    build_table,
    parse_key_list,
)
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.content_keys import KeyFilter
from rightsmanager.store.database import Store, Transaction
from rightsmanager.store.paging import Cut, Page
from rightsmanager.store.sources import IMPORT, OPERATOR, Source


class KeyListForm(Enum):
    """The format of an exported list."""

    CPIX = "cpix"
    CSV = "csv"


_BUILDERS: Final[Mapping[KeyListForm, Callable[[Sequence[KeyEntry]], bytes]]] = {
    KeyListForm.CPIX: build_document,
    KeyListForm.CSV: build_table,
}


@dataclass(frozen=True, slots=True)
class RevealedKey:
    """A stored content key in the clear."""

    kid: Kid
    key: bytes = field(repr=False)
    """16 bytes."""
    type: str
    """`aesctr` or `aescbc`."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import."""

    added: int
    stored_already: int
    notes: tuple[str, ...]
    """Remarks on entries, each with its KID."""


@dataclass(frozen=True, slots=True)
class KeyRegistry:
    """Lists, reveals and changes stored content keys."""

    store: Store
    keys: ContentKeys
    clock: Callable[[], int]
    rng: Rng

    def find_page(self, chosen: KeyFilter, cut: Cut) -> Page[ContentKeyFacts]:
        """Return a page of the content keys that meet a filter, oldest first."""
        with self.store.reading() as found:
            page = found.content_keys.find_page(chosen, cut)
        return Page(tuple(key_facts(each.key, each.source) for each in page.items), page.next)

    def find(self, kid: Kid) -> ContentKeyFacts:
        """Return the facts of a stored content key; raises NotFound."""
        with self.store.reading() as found:
            stored, source = found.content_keys.find(kid), found.sources.find(kid)
        if stored is None:
            raise _unknown(kid)
        return key_facts(stored, source)

    def reveal(self, kid: Kid) -> RevealedKey:
        """Return a stored content key in the clear; raises NotFound."""
        with self.store.reading() as found:
            stored = found.content_keys.find(kid)
        if stored is None:
            raise _unknown(kid)
        return RevealedKey(kid, self.keys.open(stored), stored.key_type)

    def add(self, entry: KeyEntry) -> bool:
        """Store a content key; return True if it is new.

        Raises ServiceSpecific for another key of the KID.
        """
        with self.store.transaction() as transaction:
            return register_keys(transaction, [entry], self._context(OPERATOR)) == 1

    def import_list(self, document: bytes) -> Imported:
        """Store all keys of a CPIX or CSV document, or none; raises InvalidMessage."""
        entries = parse_key_list(document)
        with self.store.transaction() as transaction:
            new = register_keys(transaction, entries, self._context(IMPORT))
        notes = tuple(f"KID {each.kid.text}: {note}" for each in entries for note in each.notes)
        return Imported(new, len(entries) - new, notes)

    def export(self, form: KeyListForm, kids: Sequence[Kid], program: str | None) -> str:
        """Return the document of stored keys in the clear, all by default; raises NotFound."""

        def is_wanted(kid: Kid, source: Source) -> bool:
            return (not kids or kid in kids) and (program is None or source.program == program)

        with self.store.transaction() as transaction:
            registered = find_registered(transaction, is_wanted)
        if not registered:
            raise NotFound("no such content key is stored")
        return _BUILDERS[form](key_entries(registered, self.keys)).decode()

    def set_track(self, kid: Kid, track: str | None) -> None:
        """Set the track of a stored content key, None for none; raises NotFound."""
        with self.store.transaction() as transaction:
            if not transaction.content_keys.set_track(kid, track):
                raise _unknown(kid)

    def remove(self, kid: Kid) -> None:
        """Remove a stored content key; raises NotFound."""
        with self.store.transaction() as transaction:
            _remove(transaction, kid)

    def _context(self, origin: str) -> ImportContext:
        return ImportContext(self.keys, origin, self.clock(), self.rng)


def _remove(transaction: Transaction, kid: Kid) -> None:
    if not remove_key(transaction, kid):
        raise _unknown(kid)


def _unknown(kid: Kid) -> NotFound:
    return NotFound(f"KID {kid.text} has no stored content key")
