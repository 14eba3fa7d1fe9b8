from __future__ import annotations

from typing import TYPE_CHECKING

from tests.testing.lab import lab, world

if TYPE_CHECKING:
    import pytest

__all__ = ["lab", "world"]


def pytest_configure(config: pytest.Config) -> None:
    """Bring the fixture `pytester`, which only the conftest of all tests may bring otherwise."""
    config.pluginmanager.import_plugin("pytester")
