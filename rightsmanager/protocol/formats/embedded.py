"""Licences within a PlayReady Object: the leaf licences that PSSH boxes in the media bring.

    record of type 3    XMR licences one after another, then any number of zero bytes

Source: PlayReady's documents say that leaf licences are embedded in the content, typically in a
PSSH box, and name the record. The form of its value is not published: it is the project's own.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.pssh import EMBEDDED_LICENSE_STORE, PlayReadyObject, Record
from rightsmanager.protocol.formats.xmr.license import find_length

MAX_EMBEDDED: Final = 64
"""Licences of one object."""


def embed_licenses(playready_object: PlayReadyObject, licenses: Sequence[bytes]) -> PlayReadyObject:
    """Return the object with these licences in a record at its end."""
    record = Record(EMBEDDED_LICENSE_STORE, b"".join(licenses))
    return PlayReadyObject((*playready_object.records, record))


def embedded_licenses(playready_object: PlayReadyObject) -> tuple[bytes, ...]:
    """Return the licences in the object's records; raises InvalidMessage."""
    stores = (
        record.value
        for record in playready_object.records
        if record.record_type == EMBEDDED_LICENSE_STORE
    )
    found = tuple(license_ for store in stores for license_ in _split(store))
    if len(found) > MAX_EMBEDDED:
        raise InvalidMessage(f"{len(found)} embedded licences, expected at most {MAX_EMBEDDED}")
    return found


def _split(store: bytes) -> Iterator[bytes]:
    rest = store.rstrip(b"\0")
    start = 0
    # A licence may end with zero bytes itself.
    while start < len(rest):
        end = start + find_length(store[start:])
        yield store[start:end]
        start = end
