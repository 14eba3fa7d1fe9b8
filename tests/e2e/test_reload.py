"""SIGHUP reloads settings and keys while the server goes on serving."""

from __future__ import annotations

import shutil
import signal
import time
import urllib.request
from typing import TYPE_CHECKING

from rightsmanager.errors import Refusal
from rightsmanager.keyring import create, rng_for
from rightsmanager.keyring.files import KeyFiles
from tests.databases import on_sqlite
from tests.e2e.conftest import REPLY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Client, Enrol, HeaderOf, Server, Start

pytestmark = on_sqlite


def wsdl(server: Server) -> str:
    with urllib.request.urlopen(  # noqa: S310 -- our own server
        f"{server.url}?wsdl", timeout=REPLY_SECONDS
    ) as reply:
        return str(reply.read().decode())


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + REPLY_SECONDS
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_changed_setting_is_in_force_after_a_reload(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    settings = data / "rightsmanager.toml"
    settings.write_text('[server]\npublic_url = "https://one.example/rightsmanager.asmx"')
    server = start(data, "--workers", "2")
    assert "https://one.example/" in wsdl(server)
    settings.write_text('[server]\npublic_url = "https://two.example/rightsmanager.asmx"')
    assert "https://one.example/" in wsdl(server)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "https://two.example/" in wsdl(server))


def test_an_invalid_setting_is_logged_and_the_old_ones_stay(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    settings = data / "rightsmanager.toml"
    settings.write_text('[server]\npublic_url = "https://one.example/rightsmanager.asmx"')
    server = start(data)
    settings.write_text('[server]\npublic_url = "two"')
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "server.public_url" in server.log.read_text())
    for _ in range(10):
        assert "https://one.example/" in wsdl(server)
    settings.write_text('[server]\npublic_url = "https://three.example/rightsmanager.asmx"')
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "https://three.example/" in wsdl(server))


def test_a_server_key_that_is_replaced_is_used_after_a_reload(
    start: Start, tmp_path: Path, enrol: Enrol, header_of: HeaderOf
) -> None:
    """The roll-over of docs/keyring.md: the old key stays valid, the new one is published."""
    data, old = tmp_path / "data", tmp_path / "old.key"
    data.mkdir()
    settings = data / "rightsmanager.toml"
    settings.write_text("")
    server = start(data)
    # The worker has read its keys once it answers.
    assert wsdl(server)
    files = KeyFiles(data, None)
    clients = [enrol(data)]
    shutil.move(files.key_file("wmrmserver"), old)
    files.public_file("wmrmserver").unlink()
    create(files, rng_for(None))
    settings.write_text(f'[keyring]\nserver_keys = ["{old}"]')
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reloaded" in server.log.read_text())
    clients.append(enrol(data))
    header = header_of("4Rplb+TbNES8tGkNFWTEHA==")

    def acquires(client: Client) -> bool:
        try:
            return len(client.acquire(server.url, header).licenses) == 1
        except Refusal:
            # A worker of before the reload may answer one more request.
            return False

    for client in clients:
        wait_until(lambda client=client: acquires(client))  # type: ignore[misc]
    assert all(acquires(client) for client in clients * 5)
