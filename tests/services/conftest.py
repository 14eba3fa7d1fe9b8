"""A store for each test, in a file of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rightsmanager.store.queries import Store
from tests.services.subject import open_tables


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_tables(tmp_path)
    yield store
    store.close()
