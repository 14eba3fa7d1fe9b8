"""Licences and sessions are found by filters, newest first, and removed by age in batches."""

from dataclasses import replace

import pytest

from rightsmanager.protocol.wire import Kid, Mid, SessionId, TransactionId
from rightsmanager.store import acknowledgements, licenses
from rightsmanager.store.database import Store
from rightsmanager.store.licenses import IssuedLicense, LicenseFilter
from rightsmanager.store.sessions import StoredSession
from tests.store.records import DEVICE, all_licenses, license_of, record

OTHER = "B" * 43 + "="


def at(number: int, device: str = DEVICE) -> IssuedLicense:
    """Return a licence that is issued at second `number`, of a request that sorts backwards."""
    license_ = license_of(number % 2, request=bytes([255 - number]) * 32, license_id=number)
    return replace(license_, issued_at=number, device=device)


@pytest.fixture
def issued(store: Store) -> list[IssuedLicense]:
    """Return licences of the seconds 0 to 9, the odd ones of another device and KID."""
    made = [at(number, OTHER if number % 2 else DEVICE) for number in range(10)]
    for each in made:
        record(store, each)
    return made


@pytest.mark.parametrize(
    ("chosen", "seconds"),
    [
        (LicenseFilter(), range(9, -1, -1)),
        (LicenseFilter(device=OTHER), [9, 7, 5, 3, 1]),
        (LicenseFilter(kid=Kid(bytes(16))), [8, 6, 4, 2, 0]),
        (LicenseFilter(since=3, before=6), [5, 4, 3]),
        (LicenseFilter(device=DEVICE, kid=Kid(bytes([1]) * 16)), []),
        (LicenseFilter(device=DEVICE, kid=Kid(bytes(16)), since=2, before=8), [6, 4, 2]),
    ],
)
def test_licences_are_found_by_a_filter_newest_first(
    store: Store, issued: list[IssuedLicense], chosen: LicenseFilter, seconds: list[int]
) -> None:
    with store.reading() as found:
        assert found.licenses.find_newest(chosen, 100) == [issued[second] for second in seconds]
        assert found.licenses.find_newest(chosen, 1) == [issued[each] for each in seconds][:1]


@pytest.mark.parametrize("batch", [1, 3, 10, 11])
def test_old_licences_are_removed_with_their_transactions(
    store: Store, issued: list[IssuedLicense], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [TransactionId(bytes([number]) * 16) for number in range(10)]
    with store.transaction() as transaction:
        for each, transaction_id in zip(issued, ids, strict=True):
            transaction.acknowledgements.record_transaction(
                transaction_id, each.device, each.request
            )
    for module in (licenses, acknowledgements):
        end = module._FIND_END_OF_BATCH.offset(batch - 1)
        monkeypatch.setattr(module, "_FIND_END_OF_BATCH", end)
    for remove, expected in (("licences", 4), ("transactions", 4), ("licences", 0)):
        removed = 0
        after: bytes | None = b""
        while after is not None:
            with store.transaction() as transaction:
                count, after = (
                    transaction.licenses.remove_old(4, after)
                    if remove == "licences"
                    else transaction.acknowledgements.remove_orphans(after)
                )
            assert count <= batch
            removed += count
        assert removed == expected
    assert all_licenses(store) == issued[4:]
    with store.reading() as found:
        kids = [
            found.acknowledgements.find_kids(transaction_id, each.device)
            for each, transaction_id in zip(issued, ids, strict=True)
        ]
    assert kids == [frozenset()] * 4 + [frozenset({each.kid}) for each in issued[4:]]


def test_sessions_are_found_by_device_and_kid_newest_first(store: Store) -> None:
    made = [
        StoredSession(
            device=OTHER if number % 2 else DEVICE,
            session_id=SessionId(bytes([9 - number]) * 16),
            kid=Kid(bytes([number % 3]) * 16),
            mid=Mid(bytes(16)),
            start_time=0,
            update_time=2**63 - 1,
            stopped=number % 2 == 0,
            proven=number % 2 == 1,
            reported_at=0,
            changed_at=number,
        )
        for number in range(9)
    ]
    with store.transaction() as transaction:
        for each in made:
            assert transaction.sessions.record(each) is None
    kid = made[0].kid
    with store.reading() as found:
        find = found.sessions.find_newest
        assert find(None, None, 100) == made[::-1]
        assert find(None, None, 2) == made[:-3:-1]
        assert find(OTHER, None, 100) == [made[number] for number in (7, 5, 3, 1)]
        assert find(None, kid, 100) == [made[number] for number in (6, 3, 0)]
        assert find(DEVICE, kid, 100) == [made[number] for number in (6, 0)]
