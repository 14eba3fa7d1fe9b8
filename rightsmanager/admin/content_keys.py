"""The registry of content keys, with import and export of lists.

An import is one transaction. Stored keys stay as they are and do not count as new. Missing facts of
a stored key, such as its program, are added from the list. A list that contradicts a stored key is
refused as a whole.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rightsmanager.admin.refusals import Conflict
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError
from rightsmanager.operations.content import ContentKeys
from rightsmanager.protocol.formats.keylists.entry import KeyEntry
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.content_keys import StoredKey
from rightsmanager.store.database import Transaction
from rightsmanager.store.sources import Source


@dataclass(frozen=True, slots=True)
class StoredKeyEntry:
    """A stored content key and its origin."""

    key: StoredKey
    source: Source


@dataclass(frozen=True, slots=True)
class ImportContext:
    """The dependencies of a registration, in addition to the transaction."""

    content_keys: ContentKeys
    origin: str
    now: int
    """Unix seconds."""
    rng: Rng


def find_registered(
    transaction: Transaction, wanted: Callable[[Kid, Source], bool] = lambda _kid, _source: True
) -> list[StoredKeyEntry]:
    """Return the selected stored keys, oldest first."""
    sources = transaction.sources.find_all()
    registered = (
        StoredKeyEntry(key, sources.get(key.kid, Source()))
        for key in transaction.content_keys.find_all()
    )
    return [each for each in registered if wanted(each.key.kid, each.source)]


def register_keys(
    transaction: Transaction, entries: Iterable[KeyEntry], registration: ImportContext
) -> int:
    """Store the keys of a list; return the number of new ones.

    Raises Conflict, which names the KID, for a key that contradicts what is stored; the
    transaction must then not be committed.
    """
    return sum(_register(transaction, entry, registration) for entry in entries)


def remove_key(transaction: Transaction, kid: Kid) -> bool:
    """Remove a stored content key and its source; return True if it existed."""
    transaction.sources.remove(kid)
    return transaction.content_keys.remove(kid)


def key_entries(registered: Sequence[StoredKeyEntry], content_keys: ContentKeys) -> list[KeyEntry]:
    """Return stored keys in the clear as entries of a list; raises InternalError."""
    return [
        KeyEntry(
            kid=each.key.kid,
            key=content_keys.open(each.key),
            key_type=each.key.key_type,
            program=each.source.program,
            period=each.source.period,
            scheme=each.source.scheme,
            iv=each.source.iv,
            track=each.key.track,
        )
        for each in registered
    ]


def _register(transaction: Transaction, entry: KeyEntry, registration: ImportContext) -> bool:
    """Store one key; return True if it is new."""
    keys = registration.content_keys
    sealed = keys.seal(entry.kid, entry.key, entry.key_type, registration.now, registration.rng)
    is_new = transaction.content_keys.record(replace(sealed, track=entry.track))
    given = Source(registration.origin, entry.program, entry.period, entry.scheme, entry.iv)
    if is_new:
        _record_source(transaction, entry.kid, given)
        return True
    stored = transaction.content_keys.find(entry.kid)
    if stored is None or keys.open(stored) != entry.key or stored.key_type != entry.key_type:
        raise Conflict(
            f"KID {entry.kid.text} has a content key already, another one or of another type"
        )
    _complete(transaction, entry.kid, given)
    if entry.track not in {None, stored.track}:
        if stored.track is not None:
            raise Conflict(f"KID {entry.kid.text} has another track already: {stored.track!r}")
        transaction.content_keys.set_track(entry.kid, entry.track)
    return False


def _complete(transaction: Transaction, kid: Kid, given: Source) -> None:
    """Add given facts of a key to the stored ones; refuse contradictions."""
    known = transaction.sources.find(kid)
    for name in ("program", "period", "scheme", "iv"):
        had, has = getattr(known, name), getattr(given, name)
        if has is not None and had is not None and has != had:
            raise Conflict(f"KID {kid.text} has another {name} already: {_told(had)}")
    completed = replace(
        known,
        program=known.program or given.program,
        period=given.period if known.period is None else known.period,
        scheme=known.scheme or given.scheme,
        iv=known.iv or given.iv,
    )
    if completed != known:
        transaction.sources.remove(kid)
        _record_source(transaction, kid, completed)


def _record_source(transaction: Transaction, kid: Kid, source: Source) -> None:
    if transaction.sources.record(kid, source):
        return
    other = transaction.sources.find_kid(source.program or "", source.period or 0)
    if other is None:
        raise InternalError(f"KID {kid.text} has a source and no content key")
    raise Conflict(
        f"KID {kid.text} is for the program {source.program!r}, period {source.period}, "
        f"which has KID {other.text} already"
    )


def _told(value: str | int | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else repr(value)
