"""Licences within a PlayReady Object are found as they were embedded."""

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.embedded import (
    MAX_EMBEDDED,
    embed_licenses,
    embedded_licenses,
)
from rightsmanager.protocol.formats.pssh import (
    EMBEDDED_LICENSE_STORE,
    WRMHEADER,
    PlayReadyObject,
    Record,
    build_object,
    parse_object,
)
from rightsmanager.protocol.formats.xmr.license import build_signed
from rightsmanager.protocol.formats.xmr.objects import IssueDate

FIRST = build_signed(bytes(16), (IssueDate(1),), bytes(16))
# It ends with zero bytes, as the padding of a store does.
SECOND = FIRST[:-3] + bytes(3)
HEADER = PlayReadyObject((Record(WRMHEADER, b"<\0"),))


def store(value: bytes) -> PlayReadyObject:
    return PlayReadyObject((Record(EMBEDDED_LICENSE_STORE, value),))


def test_embedded_licences_are_found_in_their_order() -> None:
    both = embed_licenses(HEADER, [SECOND, FIRST])
    assert both.records[0] == HEADER.records[0]
    assert embedded_licenses(parse_object(build_object(both))) == (SECOND, FIRST)
    assert embedded_licenses(store(SECOND + bytes(100))) == (SECOND,)
    assert embedded_licenses(PlayReadyObject((*both.records, *store(FIRST).records))) == (
        *(SECOND, FIRST, FIRST),
    )
    assert embedded_licenses(HEADER) == embedded_licenses(store(bytes(10240))) == ()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"XMS\0" + FIRST, "does not begin with XMR"),
        (FIRST + b"\1", "does not begin with XMR"),
        (FIRST[:30], "too few for one object"),
        (FIRST[:-20], "more than there are"),
        (FIRST[:28] + bytes(4) + FIRST[32:], "the licence's object has 0 bytes"),
        (FIRST * (MAX_EMBEDDED + 1), "65 embedded licences, expected at most 64"),
    ],
)
def test_a_damaged_store_is_refused(value: bytes, told: str) -> None:
    with pytest.raises(InvalidMessage, match=told):
        embedded_licenses(store(value))
