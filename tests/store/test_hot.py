"""Hot statements are compiled once, and share connection and transaction with SQLAlchemy Core."""

from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy.sql.compiler import SQLCompiler

from rightsmanager.protocol.wire import Guid, Kid
from rightsmanager.store.database import Store, Transaction, open_store
from tests.store.records import all_licenses, key_of, license_of, record

LIST = Guid(bytes(range(16)))


class Interrupted(BaseException):
    """Not an Exception, like the end of a worker."""


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the statements that are compiled from now on."""
    seen: list[object] = []
    initialize = SQLCompiler.__init__

    def noting(self: SQLCompiler, dialect: object, statement: object, **more: object) -> None:
        seen.append(statement)
        initialize(self, dialect, statement, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(SQLCompiler, "__init__", noting)
    return seen


def test_no_statement_is_compiled_to_open_a_store(
    database_url: str, compiled: list[object]
) -> None:
    open_store(database_url).close()
    assert compiled == []


def issue_and_repeat(store: Store) -> None:
    with store.reading() as found:
        found.content_keys.find_with_version(LIST, Kid(bytes(16)))
    for _ in range(2):
        record(store, license_of(0))


def test_a_licence_of_another_store_in_the_process_compiles_nothing(
    store: Store, database_url: str, compiled: list[object]
) -> None:
    issue_and_repeat(store)
    compiled.clear()
    other = open_store(database_url)
    issue_and_repeat(other)
    other.close()
    assert compiled == []


@pytest.mark.parametrize("version", [0, 2])
@pytest.mark.parametrize("stored", ["neither", "own", "swapped", "both"])
def test_version_and_keys_by_one_statement_are_those_by_two(
    store: Store, version: int, stored: str
) -> None:
    key = replace(key_of(1), kid=Kid(bytes(range(16))))
    other = replace(key, kid=key.kid.swapped)
    with store.transaction() as transaction:
        for _ in range(version):
            transaction.revocations.raise_version(LIST)
        for each, name in ((key, "own"), (other, "swapped")):
            if stored in {name, "both"}:
                transaction.content_keys.record(each)
    with store.reading() as found:
        both = found.content_keys.find_with_version(LIST, key.kid)
        own = key if stored in {"own", "both"} else None
        swapped = other if stored in {"swapped", "both"} else None
        assert both == (version, (own, swapped))
        assert both == (found.revocations.find_version(LIST), found.content_keys.find_pair(key.kid))


def record_by_core(transaction: Transaction) -> None:
    assert transaction.content_keys.record(key_of(1))


def record_by_the_driver(transaction: Transaction) -> None:
    transaction.licenses.record([license_of(0)])


BOTH = [record_by_core, record_by_the_driver]


@pytest.mark.parametrize("steps", [BOTH, BOTH[::-1]])
def test_both_roll_back_together(store: Store, steps: list[object]) -> None:
    def broken_off() -> None:
        with store.transaction() as transaction:
            for step in steps:
                assert callable(step)
                step(transaction)
            assert len(transaction.licenses.find_all()) == 1
            assert len(transaction.content_keys.find_all()) == 1
            raise Interrupted

    for _ in range(2):
        with suppress(Interrupted):
            broken_off()
        assert all_licenses(store) == []
        with store.reading() as found:
            assert found.content_keys.find_all() == []


def test_a_read_within_a_transaction_is_part_of_it(store: Store) -> None:
    with store.transaction() as transaction:
        record_by_core(transaction)
        with store.reading() as found:
            assert len(found.content_keys.find_all()) == 1
        record_by_the_driver(transaction)
    with store.reading() as found:
        assert len(found.content_keys.find_all()) == 1
    assert len(all_licenses(store)) == 1
