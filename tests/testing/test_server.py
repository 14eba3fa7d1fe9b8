"""Starting and stopping servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rightsmanager.errors import ConnectionFailed, InternalError
from rightsmanager.testing import Server
from rightsmanager.testing.control import Control, connect
from rightsmanager.testing.server import Launch

if TYPE_CHECKING:
    from pathlib import Path


def test_the_environment_has_the_given_settings_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_SERVER__WORKERS", "9")
    monkeypatch.setenv("RIGHTSMANAGER_PASSPHRASE", "secret words")
    settings = {"domain.max_members": 2, "license.sign": "always", "journal.bodies": True}
    given = Launch(tmp_path, 1, "postgresql://database.test/a", settings).environment()
    assert {name: value for name, value in given.items() if name.startswith("RIGHTSMANAGER")} == {
        "RIGHTSMANAGER_DATABASE_URL": "postgresql://database.test/a",
        "RIGHTSMANAGER_DOMAIN__MAX_MEMBERS": "2",
        "RIGHTSMANAGER_JOURNAL__BODIES": "true",
        "RIGHTSMANAGER_LICENSE__SIGN": "always",
        "RIGHTSMANAGER_PASSPHRASE": "secret words",
        "RIGHTSMANAGER_SERVER__PIN_WORKERS": "false",
    }


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    server = Server(data=tmp_path, settings={"license.sign": "sometimes"})
    with pytest.raises(InternalError, match=r"license\.sign"):
        server.start()
    server.stop()
    with pytest.raises(InternalError, match="not running"):
        _ = server.url


def test_a_server_that_is_away_is_a_failed_connection() -> None:
    with pytest.raises(ConnectionFailed, match="cannot be reached"):
        Control(connect("http://127.0.0.1:1")).get("/api/v1/worlds")
