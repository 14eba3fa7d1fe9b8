"""A store for each test, in a file of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rightsmanager.store.queries import Store, open_store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rightsmanager.db"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{file}", busy_seconds=0.05)
    store.create_tables()
    yield store
    store.close()
