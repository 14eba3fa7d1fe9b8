"""The facts of stored content keys, without the keys themselves."""

from dataclasses import dataclass
from datetime import datetime

from rightsmanager.admin.times import date_of
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.content_keys import StoredKey
from rightsmanager.store.database import Store
from rightsmanager.store.sources import Source


@dataclass(frozen=True, slots=True)
class ContentKeyFacts:
    """A stored content key and its origin."""

    kid: Kid
    kid_base64: str
    """The KID as content headers have it."""
    type: str
    """`aesctr` or `aescbc`."""
    added_at: datetime
    origin: str
    """`operator`, `packager` or `import`."""
    program: str | None
    period: int | None
    track: str | None
    """The kind of streams that it encrypts."""


def find_keys(store: Store) -> list[ContentKeyFacts]:
    """Return all stored content keys, oldest first."""
    with store.reading() as found:
        sources = found.sources.find_all()
        keys = found.content_keys.find_all()
    return [key_facts(key, sources.get(key.kid, Source())) for key in keys]


def key_facts(key: StoredKey, source: Source) -> ContentKeyFacts:
    """Return the facts of a content key."""
    return ContentKeyFacts(
        kid=key.kid,
        kid_base64=key.kid.base64,
        type=key.key_type,
        added_at=date_of(key.added_at),
        origin=source.origin,
        program=source.program,
        period=source.period,
        track=key.track,
    )
