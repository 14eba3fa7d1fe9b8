"""A store for each test, on each kind of database."""

from collections.abc import Iterator

import pytest

from rightsmanager.store.database import Store, open_store


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = open_store(database_url)
    yield store
    store.close()
