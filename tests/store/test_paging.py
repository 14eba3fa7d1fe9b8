"""Pages have each row of a list once, in its order, whatever is added meanwhile."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.wire import (
    AccountId,
    Guid,
    Kid,
    Mid,
    ServiceId,
    SessionId,
    TransactionId,
)
from rightsmanager.store.content_keys import KeyFilter
from rightsmanager.store.domains import Account
from rightsmanager.store.licenses import LicenseFilter
from rightsmanager.store.paging import Cut, Key, Page
from rightsmanager.store.sessions import StoredSession
from rightsmanager.store.sources import IMPORT, Source
from rightsmanager.store.streams import Stream, StreamFilter
from rightsmanager.store.tokens import StoredToken
from tests.store.records import DEVICE, key_of, license_of, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from rightsmanager.store.database import Store, Transaction

Find = "Callable[[Transaction, Cut], Page[Any]]"


def ids(count: int, seed: int = 1) -> list[bytes]:
    """Return different identifiers in an order that is not theirs."""
    found = [bytes([number]) * 16 for number in range(1, count + 1)]
    random.Random(seed).shuffle(found)
    return found


def add_licenses(store: Store) -> None:
    for number, each in enumerate(ids(9)):
        made = license_of(number % 2, request=each * 2, license_id=number)
        record(store, replace(made, issued_at=1000 + number // 3))


def add_keys(store: Store) -> None:
    with store.transaction() as transaction:
        for number, each in enumerate(ids(9)):
            transaction.content_keys.record(replace(key_of(1, number // 3), kid=Kid(each)))


def add_accounts(store: Store) -> None:
    with store.transaction() as transaction:
        for number, each in enumerate(ids(9)):
            account = Account(AccountId(each), ServiceId(each), "", "", 1, number // 3)
            transaction.domains.record(account)


def add_streams(store: Store) -> None:
    with store.transaction() as transaction:
        for number, each in enumerate(ids(9)):
            stream = Stream(Guid(each), "user:a", DEVICE, Kid(each), 0, number // 3, 9999)
            transaction.streams.record(stream)


def add_sessions(store: Store) -> None:
    with store.transaction() as transaction:
        for number, each in enumerate(ids(9)):
            key = (DEVICE, SessionId(each), Kid(each), Mid(each))
            transaction.sessions.record(
                StoredSession(*key, 0, 0, stopped=True, proven=True, reported_at=number // 3,
                              changed_at=number)
            )  # fmt: skip


def add_tokens(store: Store) -> None:
    with store.transaction() as transaction:
        for number, each in enumerate(ids(9)):
            token = StoredToken(each[:8].hex(), each * 2, "a", "read", number // 3)
            transaction.tokens.record(token)


LISTS: dict[str, tuple[Callable[[Store], None], Callable[[Transaction, Cut], Page[Any]]]] = {
    "licences": (add_licenses, lambda found, cut: found.licenses.find_page(LicenseFilter(), cut)),
    "devices": (add_licenses, lambda found, cut: found.licenses.find_devices_page(cut)),
    "keys": (add_keys, lambda found, cut: found.content_keys.find_page(KeyFilter(), cut)),
    "accounts": (add_accounts, lambda found, cut: found.domains.find_page(cut)),
    "streams": (add_streams, lambda found, cut: found.streams.find_page(StreamFilter(), cut)),
    "sessions": (add_sessions, lambda found, cut: found.sessions.find_page(None, None, cut)),
    "tokens": (add_tokens, lambda found, cut: found.tokens.find_page(cut)),
}


@pytest.mark.parametrize("name", LISTS)
def test_pages_are_the_list_in_parts(store: Store, name: str) -> None:
    add, find = LISTS[name]
    add(store)
    with store.reading() as found:
        (whole, end) = (page := find(found, Cut(100))).items, page.next
        assert end is None
        assert len(whole) == (1 if name == "devices" else 9)
        for limit in (1, 2, 3, 8, 9):
            parts: list[Any] = []
            after: Key | None = None
            while True:
                part = find(found, Cut(limit, after))
                parts += part.items
                assert len(part.items) == min(limit, len(whole) - len(parts) + len(part.items))
                if part.next is None:
                    break
                after = part.next
            assert parts == list(whole)


def test_licences_are_newest_first_and_all_others_oldest_first(store: Store) -> None:
    add_licenses(store)
    add_keys(store)
    with store.reading() as found:
        licenses = found.licenses.find_page(LicenseFilter(), Cut(100)).items
        keys = found.content_keys.find_page(KeyFilter(), Cut(100)).items
    issued = [each.license.issued_at for each in licenses]
    assert issued == sorted(issued, reverse=True)
    added = [each.key.added_at for each in keys]
    assert added == sorted(added)


def test_a_page_is_the_same_when_rows_are_added_before_it(store: Store) -> None:
    add_licenses(store)
    with store.reading() as found:
        first = found.licenses.find_page(LicenseFilter(), Cut(4))
        second = found.licenses.find_page(LicenseFilter(), Cut(4, first.next))
    record(store, replace(license_of(request=b"\xff" * 32), issued_at=5000))
    with store.reading() as found:
        assert found.licenses.find_page(LicenseFilter(), Cut(4, first.next)) == second


@pytest.mark.parametrize(
    "after",
    [
        *((), (1,), (1, b"x" * 16, 1), ("1", b"x" * 16), (1, "x"), (1, b"x"), (True, b"x" * 16)),
        *((2**63, b"x" * 16), (-(2**63), b"x" * 16), (1.5, b"x" * 16), (None, b"x" * 16)),
    ],
    ids=str,
)
def test_the_key_of_another_list_is_refused(store: Store, after: Key) -> None:
    with store.reading() as found, pytest.raises(InvalidMessage):
        found.content_keys.find_page(KeyFilter(), Cut(1, after))


def test_a_text_that_no_database_holds_is_refused_as_key(store: Store) -> None:
    with store.reading() as found, pytest.raises(InvalidMessage):
        found.tokens.find_page(Cut(1, (1, "a\0b")))


def test_a_licence_has_its_acknowledgement(store: Store) -> None:
    request = b"r" * 32
    record(store, license_of(0, request), license_of(1, request))
    with store.transaction() as transaction:
        for number in (1, 2):
            transaction_id = TransactionId(bytes([number]) * 16)
            transaction.acknowledgements.record_transaction(transaction_id, DEVICE, request)
            transaction.acknowledgements.record(transaction_id, DEVICE, Kid(bytes(16)), number, 9)
    with store.reading() as found:
        listed = found.licenses.find_page(LicenseFilter(), Cut(10)).items
    assert [each.result for each in listed] == [1, None]


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [
        (KeyFilter(), {1, 2, 3}),
        (KeyFilter(program="news"), {2}),
        (KeyFilter(origin="operator"), {1, 3}),
        (KeyFilter(origin="import"), {2}),
        (KeyFilter(key_type="aescbc"), {3}),
        (KeyFilter(program="news", key_type="aescbc"), set()),
    ],
)
def test_keys_are_found_by_a_filter(store: Store, chosen: KeyFilter, numbers: set[int]) -> None:
    with store.transaction() as transaction:
        for number in (1, 2):
            transaction.content_keys.record(key_of(number))
        transaction.content_keys.record(replace(key_of(3), key_type="aescbc"))
        transaction.sources.record(Kid(bytes([2]) * 16), Source(IMPORT, "news", 0))
    with store.reading() as found:
        listed = found.content_keys.find_page(chosen, Cut(10)).items
    assert {each.key.kid.raw[0] for each in listed} == numbers


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [
        (StreamFilter(), {1, 2, 3}),
        (StreamFilter(holder="user:a"), {1, 3}),
        (StreamFilter(device="D"), {2}),
        (StreamFilter(kid=Kid(bytes([3]) * 16)), {3}),
        (StreamFilter(open_at=100), {1, 2}),
        (StreamFilter(open_at=500), {1}),
    ],
)
def test_streams_are_found_by_a_filter(
    store: Store, chosen: StreamFilter, numbers: set[int]
) -> None:
    def stream(number: int, holder: str, device: str, expires_at: int) -> Stream:
        each = bytes([number]) * 16
        return Stream(Guid(each), holder, device, Kid(each), 0, 0, expires_at)

    with store.transaction() as transaction:
        transaction.streams.record(stream(1, "user:a", DEVICE, 1000))
        transaction.streams.record(stream(2, "device:D", "D", 500))
        transaction.streams.record(stream(3, "user:a", DEVICE, 1000))
        transaction.streams.end(Guid(bytes([3]) * 16), 50)
    with store.reading() as found:
        listed = found.streams.find_page(chosen, Cut(10)).items
    assert {each.kid.raw[0] for each in listed} == numbers
