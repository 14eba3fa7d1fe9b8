"""Transactions of the store are whole or nothing, and a repeat is recorded once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.database import (
    FAILURES,
    READ_SECONDS,
    READS,
    WRITE_SECONDS,
    WRITES,
    Store,
    open_store,
)
from rightsmanager.store.licenses import IssuedLicense
from rightsmanager.store.schema import upgrade
from tests.databases import execute
from tests.store.records import DEVICE, all_licenses, key_of, license_of, record

NULL = ("IntegrityError", "NotNullViolation")
"""Either driver's error for a row that lacks a value."""


class Interrupted(BaseException):
    """Not an Exception, like the end of a worker."""


def test_licenses_are_found_as_they_were_recorded(store: Store) -> None:
    licenses = [license_of(0), license_of(1, license_id=2)]
    assert [each.license_id for each in licenses] == record(store, *licenses)
    assert licenses == all_licenses(store)


def test_another_store_on_the_same_database_finds_them(store: Store, database_url: str) -> None:
    record(store, license_of())
    other = open_store(database_url)
    assert [license_of()] == all_licenses(other)
    other.close()


def test_a_repeat_gives_the_license_ids_of_the_first_time(store: Store) -> None:
    first = [license_of(ordinal, license_id=ordinal) for ordinal in range(12)]
    again = [license_of(ordinal, license_id=100 + ordinal) for ordinal in range(12)]
    assert record(store, *first) == record(store, *again)
    assert first == all_licenses(store)


@pytest.mark.parametrize("request_", [b"\1" * 32, bytes(31) + b"\1"])
def test_another_request_is_recorded_too(store: Store, request_: bytes) -> None:
    licenses = [license_of(), license_of(request=request_, license_id=2)]
    for license_ in licenses:
        assert [license_.license_id] == record(store, license_)
    assert len(all_licenses(store)) == 2


def test_licenses_are_found_oldest_first(store: Store) -> None:
    licenses = [replace(license_of(request=bytes([9 - at]) * 32), issued_at=at) for at in range(5)]
    for license_ in reversed(licenses):
        record(store, license_)
    assert licenses == all_licenses(store)


def test_transactions_their_time_and_failures_are_counted(store: Store) -> None:
    record(store)
    with store.reading() as reading:
        reading.licenses.find_all()
    with pytest.raises(RuntimeError), store.transaction():
        raise RuntimeError
    found = store.meter.values
    assert (found[READS], found[WRITES], found[FAILURES]) == (1, 2, 0)
    assert 0 < found[READ_SECONDS] < 60
    assert 0 < found[WRITE_SECONDS] < 60
    with pytest.raises(InternalError), store.reading() as reading:
        reading.link.connection.exec_driver_sql("SELECT nothing FROM nowhere")
    assert (found[READS], found[FAILURES]) == (1, 1)


def test_content_keys_are_recorded_once_found_and_removed(store: Store) -> None:
    key = key_of(1)
    with store.transaction() as transaction:
        assert transaction.content_keys.find(key.kid) is None
        assert transaction.content_keys.record(key)
        assert not transaction.content_keys.record(replace(key, ciphertext=bytes(44)))
        assert key == transaction.content_keys.find(key.kid)
        assert transaction.content_keys.remove(key.kid)
        assert not transaction.content_keys.remove(key.kid)
        assert transaction.content_keys.find(key.kid) is None


def test_content_keys_are_listed_oldest_first(store: Store) -> None:
    keys = [key_of(3, 1), key_of(1, 2), key_of(2, 2)]
    with store.transaction() as transaction:
        for key in reversed(keys):
            transaction.content_keys.record(key)
        assert keys == transaction.content_keys.find_all()


@pytest.mark.parametrize(
    "exception",
    [InvalidMessage("refused"), ValueError("wrong"), Interrupted(), KeyboardInterrupt()],
)
def test_an_exception_rolls_the_transaction_back_and_is_raised(
    store: Store, exception: BaseException
) -> None:
    def interrupted() -> None:
        with store.transaction() as transaction:
            transaction.licenses.record([license_of()])
            transaction.content_keys.record(key_of(1))
            raise exception

    with pytest.raises(type(exception)) as caught:
        interrupted()
    assert exception is caught.value
    with store.transaction() as transaction:
        assert transaction.licenses.find_all() == []
        assert transaction.content_keys.find_all() == []


def test_other_connections_see_nothing_before_the_commit(store: Store, database_url: str) -> None:
    with store.transaction() as transaction:
        transaction.licenses.record([license_of()])
        assert_rows(database_url, 0)
    assert len(all_licenses(store)) == 1


def test_a_failure_halfway_rolls_back_what_came_before(store: Store) -> None:
    wrong = replace(license_of(1), device=None)  # type: ignore[arg-type] # a row that cannot be
    with pytest.raises(InternalError, match=f"the store failed: {'|'.join(NULL)}"):
        record(store, license_of(0), wrong)
    record(store, license_of(2))
    assert [license_of(2)] == all_licenses(store)


def test_a_database_is_an_internal_error_for_as_long_as_it_stays_locked(
    store: Store, database_url: str
) -> None:
    record(store, license_of(0))
    other = open_store(database_url)
    with suppress(Interrupted), other.transaction() as transaction:
        transaction.licenses.record([license_of(1)])
        for _ in range(2):
            with pytest.raises(InternalError, match=r"(Operational|LockNotAvail)"):
                record(store, license_of(1))
        raise Interrupted
    other.close()
    record(store, license_of(2))
    assert [license_of(0), license_of(2)] == all_licenses(store)


def test_missing_tables_are_an_internal_error_until_they_exist(
    store: Store, database_url: str
) -> None:
    execute(database_url, "ALTER TABLE licenses RENAME TO away")
    for _ in range(2):
        with pytest.raises(InternalError, match=r"the store failed: (Operational|UndefinedTable)"):
            record(store, license_of())
    execute(database_url, "ALTER TABLE away RENAME TO licenses")
    record(store, license_of())
    assert len(all_licenses(store)) == 1


def no_folder(folder: Path) -> Path:
    return folder / "none" / "rightsmanager.db"


def no_database(folder: Path) -> Path:
    file = folder / "rightsmanager.db"
    file.write_bytes(b"something else than a database " * 100)
    return file


def a_folder(folder: Path) -> Path:
    return folder


@pytest.mark.parametrize("away", [no_folder, no_database, a_folder])
def test_a_database_that_cannot_be_opened_is_an_internal_error(
    tmp_path: Path, away: object
) -> None:
    assert callable(away)
    url = f"sqlite:///{away(tmp_path)}"
    store = open_store(url)
    for _ in range(2):
        with pytest.raises(InternalError, match="the store failed"), store.transaction():
            pass
    with pytest.raises(InternalError, match="the database cannot be reached: "):
        upgrade(url)
    store.close()


def test_a_read_only_database_is_an_internal_error(database_url: str) -> None:
    store = open_store(
        database_url.replace("sqlite:///", "sqlite:///file:") + "?mode=ro&uri=true"
        if database_url.startswith("sqlite")
        else f"{database_url}?options=-c%20default_transaction_read_only=on"
    )
    with pytest.raises(InternalError, match=r"the store failed: (Operational|ReadOnlySql)"):
        record(store, license_of())
    store.close()
    assert_rows(database_url, 0)


def assert_rows(url: str, count: int) -> None:
    assert [(count,)] == execute(url, "SELECT count(*) FROM licenses")


@pytest.mark.parametrize(
    "url",
    [
        *("", "nonsense", "sqlite", "mysql://h/d", "oracle://h/d"),
        *("sqlite://", "sqlite:///:memory:", "postgresql+nothing://h/d"),
    ],
)
def test_any_other_database_is_refused_with_the_name_of_the_setting(url: str) -> None:
    with pytest.raises(InternalError, match="database_url"):
        open_store(url)


def test_the_text_of_a_failure_has_no_values(store: Store) -> None:
    with pytest.raises(InternalError) as failure, store.transaction() as transaction:
        transaction.content_keys.record(replace(key_of(1), key_type=None))  # type: ignore[arg-type]
    assert failure.value.text in {f"the store failed: {name}" for name in NULL}


def test_more_threads_than_a_pool_usually_serves_record_at_once(database_url: str) -> None:
    store = open_store(database_url)
    threads = 24
    barrier = Barrier(threads)

    def run(number: int) -> list[bytes]:
        barrier.wait()
        found = record(store, license_of(request=bytes([number]) * 32, license_id=number))
        barrier.wait()
        return found

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(run, range(threads)))
    assert [[number.to_bytes(16, "big")] for number in range(threads)] == found
    assert len(all_licenses(store)) == threads
    store.close()


def test_many_threads_in_turn_record(store: Store) -> None:
    for number in range(40):
        with ThreadPoolExecutor(1) as pool:
            license_ = license_of(request=bytes([number]) * 32)
            assert [license_.license_id] == pool.submit(record, store, license_).result()
    assert len(all_licenses(store)) == 40


def _record_many(url: str, process: int, count: int) -> list[bytes]:
    """Record the same requests in every process, with its own ids; return the recorded ids."""
    store = open_store(url)
    found = [
        record(store, license_of(request=bytes([number]) * 32, license_id=1000 * process + number))
        for number in range(count)
    ]
    store.close()
    return [license_id for (license_id,) in found]


def test_two_processes_that_record_the_same_requests_return_the_same_ids(
    database_url: str,
) -> None:
    url, count = database_url, 60
    with get_context("spawn").Pool(2) as pool:
        first, second = pool.starmap(_record_many, [(url, 1, count), (url, 2, count)])
    assert first == second
    assert len(set(first)) == count
    assert_rows(url, count)


def test_the_later_of_two_roots_recorded_at_once_is_kept(database_url: str) -> None:
    store, kid = open_store(database_url), Kid(bytes(16))

    def replace_root() -> None:
        with store.transaction() as transaction:
            transaction.roots.record(DEVICE, kid, bytes([2]) * 44)

    with ThreadPoolExecutor(1) as pool:
        with store.transaction() as transaction:
            transaction.roots.record(DEVICE, kid, bytes([1]) * 44)
            later = pool.submit(replace_root)
        later.result()
    with store.reading() as found:
        assert found.roots.find(DEVICE, kid) == bytes([2]) * 44
    store.close()


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
"""Texts that both databases store. PostgreSQL refuses NUL, which neither XML nor JSON can have."""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=16, max_size=16), TEXT, st.integers(0, 2**62))
def test_every_value_is_found_as_it_was_recorded(
    store: Store, raw: bytes, policy: str, issued_at: int
) -> None:
    license_ = IssuedLicense(DEVICE, raw * 2, 3, Kid(raw), raw[::-1], policy, issued_at)
    with suppress(Interrupted), store.transaction() as transaction:
        transaction.licenses.record([license_])
        assert [license_] == transaction.licenses.find_all()
        raise Interrupted
